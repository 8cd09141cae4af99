"""How sure a label is: by the probabilities of its tokens, or by several answers."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest

from pipeline.engine.confidence import choice, majority, of_tokens
from pipeline.prompting.loading import SHIPPED
from pipeline.types import Token
from tests.running import column, pipeline, price, query, read_rows, write_rows
from tests.server import Fault, Server
from tests.server.tally import Bill

LABELS = ["billing", "bug", "bug report", "praise"]


def tokens(*parts: str | tuple[str, dict[str, float]]) -> list[Token]:
    """Make tokens: a text alone is certain, else the probabilities of what could stand there."""
    made = []
    for part in parts:
        text, seen = part if isinstance(part, tuple) else (part, {part: 1.0})
        others = {other.encode(): math.log(share) for other, share in seen.items()}
        made.append(Token(text.encode(), others[text.encode()], others))
    return made


@pytest.mark.parametrize(
    ("given", "chosen", "sure"),
    [
        pytest.param(
            tokens('{"label":"', ("praise", {"praise": 0.9, "b": 0.1}), '"}'),
            "praise",
            0.9,
            id="one token",
        ),
        pytest.param(
            tokens(("billing", {"billing": 0.9, "bug": 0.1})), "billing", 0.9, id="the label alone"
        ),
        pytest.param(
            tokens("<think>", '{"label": "praise"}', "</think>", '{"label": "',
                   ("praise", {"praise": 0.6, "b": 0.4}), '"}'),
            "praise",
            0.6,
            id="a draft in thoughts doesn't count",
        ),
        pytest.param(
            tokens('{"label": "', ("praise", {"praise": 0.6, "b": 0.2, "spam": 0.2}), '"}'),
            "praise",
            0.75,
            id="what leads to no label doesn't count",
        ),
        pytest.param(
            tokens(
                '{"', "label", '":"', ("b", {"b": 0.8, "praise": 0.2}),
                ("ug", {"ug": 0.5, "illing": 0.5}), ('"', {'"': 0.75, " report": 0.25}), "}",
            ),
            "bug",
            0.3,
            id="token by token",
        ),
        pytest.param(
            tokens(('{"label":"b', {'{"label":"b': 0.5, '{"label":"p': 0.5}), "illing", '"}'),
            "billing",
            0.5,
            id="a token that begins before the label",
        ),
        pytest.param(
            tokens('{"label":"', ("Bill", {"Bill": 0.5, "bill": 0.25, "pra": 0.25}), "ing", '"}'),
            "billing",
            0.75,
            id="whatever its case",
        ),
        pytest.param(
            tokens('{"label":"', ("praise", {"praise": 0.5, "pr": 0.3, "bug": 0.1, "b": 0.1}), '"'),
            "praise",
            0.8,
            id="other tokens that lead to the same label alone",
        ),
        pytest.param(
            tokens('{"label":"', ("bug", {"bug": 0.5, "b": 0.25, "praise": 0.25}), '"}'),
            "bug",
            0.5,
            id="others that may lead to other labels, too",
        ),
        pytest.param(
            tokens(
                '{"label":"', ("b", {"b": 0.4, "bi": 0.3, "bu": 0.2, "praise": 0.1}), "ug", '"}'
            ),
            "bug",
            0.6,
            id="others that lead to it sooner, and one that leads elsewhere",
        ),
        pytest.param(
            tokens('{"label":"', ("Praise", {"Praise": 0.6, "bill": 0.2, "bug": 0.2}), ".", '"}'),
            "praise",
            0.6,
            id="what follows when it is decided doesn't matter",
        ),
        pytest.param(
            tokens('{"label":"', ("other", {"other": 0.8, "bug": 0.2})),
            "bug",
            None,
            id="a token that leads to no label, and no more",
        ),
        pytest.param(tokens('{"label":"', "praise", '"}'), "praise", 1.0, id="certain"),
        pytest.param(tokens("no praise"), "praise", None, id="no JSON"),
        pytest.param(tokens('{"label":"', "other", '"}'), "praise", None, id="another label"),
        pytest.param([], "praise", None, id="none"),
    ],
)  # fmt: skip
def test_the_probability_of_a_label_is_its_share_of_all_labels(
    given: list[Token], chosen: str, sure: float | None
) -> None:
    assert of_tokens(given, "label", LABELS, chosen) == sure


@pytest.mark.parametrize("param", ["top_logprobs", None])
def test_a_server_that_tells_of_five_tokens_is_asked_for_five(
    tmp_path: Path, server: Server, param: str | None
) -> None:
    entry = {"token": "bug", "logprob": math.log(0.6)}
    others = [entry, {"token": "praise", "logprob": math.log(0.4)}]
    begun = {"token": '{"label":"', "logprob": 0.0}
    server.change(
        answer=lambda body: '{"label":"bug"}',
        logprobs=lambda text: [begun, {**entry, "top_logprobs": others}],
        faults=(
            Fault(
                "bad_request",
                where=lambda body: (body.get("top_logprobs") or 0) > 5,  # type: ignore[operator]
                message="Invalid value for top_logprobs: must be less than or equal to 5",
                param=param,
            ),
        ),
    )
    ended = classify(tmp_path, server, "--confidence", "--max-concurrency", 1, texts=3)
    assert (ended.code, ended.errors) == (0, [])
    assert column(read_rows(tmp_path / "out.csv"), "confidence") == ["0.6"] * 3
    bodies: list[Any] = [record.json for record in server.tally.records]
    assert [body["top_logprobs"] for body in bodies] == [20, 5, 5, 5]
    assert "log-probabilities" not in ended.err


def test_a_server_that_takes_no_top_logprobs_is_asked_without(
    tmp_path: Path, server: Server
) -> None:
    fault = Fault("bad_request", has="top_logprobs", message="No.", param="top_logprobs")
    server.change(answer=lambda body: '{"label":"bug"}', faults=(fault,))
    ended = classify(tmp_path, server, "--confidence", "--max-concurrency", 1, texts=2)
    assert (ended.code, ended.errors) == (0, [])
    bodies: list[Any] = [record.json for record in server.tally.records]
    assert [body.get("top_logprobs") for body in bodies] == [20, 5, None, None]


@pytest.mark.parametrize(
    ("share", "written"),
    [
        (1.0, "1.0"),
        (2 / 3, "0.6667"),
        (0.5, "0.5"),
        (0.999961234, "0.99996123"),
        (0.9999999951234, "0.999999995123"),
    ],
)
def test_near_certainty_confidence_has_more_digits_the_same_everywhere(
    tmp_path: Path, server: Server, share: float, written: str
) -> None:
    """What is written is what a threshold is compared with: no row stands that seems not to."""
    bug, praise = (
        {"token": name, "logprob": math.log(part) if part else -9999.0}
        for name, part in (("bug", share), ("praise", 1 - share))
    )
    begun = {"token": '{"label":"', "logprob": 0.0}
    entries = [begun, {**bug, "top_logprobs": [bug, praise]}]
    server.change(answer=lambda body: '{"label":"bug"}', logprobs=lambda text: entries)
    assert classify(tmp_path, server, "--confidence").code == 0
    assert column(read_rows(tmp_path / "out.csv"), "confidence") == [written]
    assert query(tmp_path / "out.csv.journal", "SELECT confidence FROM results") == [
        (float(written),)
    ]


@pytest.mark.parametrize("given", [False, True])
def test_a_token_may_be_a_part_of_a_character(tmp_path: Path, server: Server, given: bool) -> None:
    """OpenAI writes such a token as an escape and gives its bytes beside."""
    happy, sad = "Ärger \U0001f642".encode(), "ärger \U0001f641".encode()
    assert happy[:-1].lower() == sad[:-1].lower().replace(b"\xa4", b"\x84")
    second = {b"rger \xf0\x9f": 0.75, b"rger": 0.25}
    parts = [
        {b'{"label":"': 1.0}, {b"\xc3": 0.5, b"praise": 0.5}, {b"\x84": 1.0}, second,
        {b"\x99\x82": 0.8, b"\x99\x81": 0.2}, {b'"}': 1.0},
    ]  # fmt: skip

    def entry(text: bytes, share: float) -> dict[str, Any]:
        token = "".join(chr(byte) if byte < 128 else f"\\x{byte:02x}" for byte in text)
        raw = {"bytes": list(text)} if given else {}
        return {"token": token, "logprob": math.log(share), **raw}

    made = [[entry(*item) for item in seen.items()] for seen in parts]
    entries = [{**others[0], "top_logprobs": others} for others in made]
    server.change(
        answer=lambda body: json.dumps({"label": happy.decode()}, ensure_ascii=False),
        logprobs=lambda text: entries,
    )
    labels = ("--labels", f"{happy.decode()},{sad.decode()},praise")
    assert classify(tmp_path, server, "--confidence", *labels).code == 0
    (row,) = read_rows(tmp_path / "out.csv")
    assert (row["label"], row["confidence"]) == (happy.decode(), "0.4" if given else "")


NO_NUMBERS = [math.nan, math.inf, 1e308, 5.0]
NONE_AT_ALL = [-math.inf, -9999.0, -1e308]


@pytest.mark.parametrize("others", [0.0, -0.5, *NO_NUMBERS, *NONE_AT_ALL])
@pytest.mark.parametrize("own", [*NO_NUMBERS, *NONE_AT_ALL])
def test_what_is_no_probability_is_no_confidence(own: float, others: float) -> None:
    begun, end = tokens('{"label":"', '"}')
    given = [begun, Token(b"bug", own, {b"praise": others, b"bill": others}), end]
    possible = own in NONE_AT_ALL and others in (0.0, -0.5)
    assert of_tokens(given, "label", LABELS, "bug") == (0.0 if possible else None)


def test_the_choice_is_the_limited_output_or_the_first_that_is_one() -> None:
    enum, text = {"type": "string", "enum": ["a", "b"]}, {"type": "string"}
    schema = {"properties": {"x": text, "y": {"anyOf": [enum, {"type": "null"}]}, "z": enum}}
    assert choice(schema, None) == ("y", ["a", "b"])
    assert choice(schema, "z") == ("z", ["a", "b"])
    assert choice(schema, "x") is None
    assert choice({"properties": {"x": text}}, None) is None


def test_the_majority_is_what_came_most_often_and_first() -> None:
    a, b, c = '{"label": "a"}', '{"label":"b"}', '{"label": "b"}'
    assert majority([a, b, c], "label") == (b, 0.6667)
    assert majority([a, b], "label") == (a, 0.5)
    two = ['{"labels": ["x", "y"]}', '{"labels": ["y", "x"]}', '{"labels": ["x"]}']
    assert majority(two, "labels") == (two[0], 0.6667)


def test_the_majority_is_of_the_choice_alone_where_there_is_one() -> None:
    answers = [
        json.dumps({"reason": reason, "label": label})
        for reason, label in (("same", "a"), ("first", "b"), ("second", "b"), ("same", "a"))
    ]
    assert majority(answers[:3], "label") == (answers[1], 0.6667)
    assert majority(answers[1:], None) == (answers[1], 0.3333)
    assert majority(["yes", "no", "no"], None) == ("no", 0.6667)
    assert majority(["yes", "no", "no"], None, asked=4) == ("no", 0.5)


def classify(folder: Path, server: Server, *options: object, texts: int = 1) -> Any:
    write_rows(folder / "in.csv", [{"text": f"text {number}"} for number in range(texts)])
    return pipeline(
        *("classify", "in.csv", "--labels", "bug,praise", "-o", "out.csv"),
        *("--base-url", server.base_url, "--price", "3,17", *options),
        folder=folder,
    )


def test_confidence_comes_from_the_servers_log_probabilities(
    tmp_path: Path, server: Server
) -> None:
    def logprobs(text: str) -> list[Any]:
        begun = {"token": '{"label":"', "logprob": 0.0, "top_logprobs": []}
        seen = [
            {"token": name, "logprob": math.log(share)}
            for name, share in (("bug", 0.6), ("praise", 0.2), ("the", 0.2))
        ]
        return [begun, {**seen[0], "top_logprobs": seen}, {**begun, "token": '"}'}]

    server.change(answer=lambda body: '{"label":"bug"}', logprobs=logprobs)
    ended = classify(tmp_path, server, "--confidence")
    assert (ended.code, ended.errors) == (0, [])
    (row,) = read_rows(tmp_path / "out.csv")
    assert (row["label"], row["confidence"]) == ("bug", "0.75")
    body: Any = server.tally.records[0].json
    assert (body["logprobs"], body["top_logprobs"]) == (True, 20)
    # It is in the journal, like the answer.
    assert query(tmp_path / "out.csv.journal", "SELECT confidence FROM results") == [(0.75,)]
    (tmp_path / "out.csv").unlink()
    assert classify(tmp_path, server, "--confidence").code == 0
    assert column(read_rows(tmp_path / "out.csv"), "confidence") == ["0.75"]
    assert server.tally.received == 1


@pytest.mark.parametrize(
    "entry",
    [
        {"token": "bug", "logprob": -9999.0, "top_logprobs": []},
        {"token": "bug", "logprob": -9999.0, "top_logprobs": [{"token": "a", "logprob": -0.1}]},
        {"token": "bug", "logprob": 1e308, "top_logprobs": [{"token": "a", "logprob": 1e308}]},
        {"token": ["bug"], "logprob": 0.0},
        {"token": "bug", "logprob": 0.0, "bytes": 10**15},
        {"token": "bug", "logprob": 0.0, "bytes": [-1]},
        {"token": "bug", "logprob": 0.0, "bytes": ["b"]},
        {"token": "bug", "logprob": "much"},
        {"token": "bug", "logprob": None},
        {"token": "bug", "logprob": 0.0, "top_logprobs": [7]},
        {"logprob": 0.0},
        7,
    ],
    ids=str,
)
def test_no_log_probability_ends_the_run(tmp_path: Path, server: Server, entry: Any) -> None:
    begun = {"token": '{"label":"', "logprob": 0.0, "top_logprobs": []}
    server.change(answer=lambda body: '{"label":"bug"}', logprobs=lambda text: [begun, entry])
    ended = classify(tmp_path, server, "--confidence", texts=3)
    assert (ended.code, ended.errors) == (0, [])
    rows = read_rows(tmp_path / "out.csv")
    assert [(row["label"], row["confidence"]) for row in rows] == [("bug", "")] * 3


@pytest.mark.parametrize("refused", [True, False])
def test_a_server_without_log_probabilities_leaves_it_empty_and_says_so(
    tmp_path: Path, server: Server, refused: bool
) -> None:
    fault = Fault("bad_request", has="logprobs", message="`logprobs` is not supported.")
    server.change(answer=lambda body: '{"label":"bug"}', faults=(fault,) if refused else ())
    ended = classify(tmp_path, server, "--confidence", texts=3)
    assert ended.code == 0
    rows = read_rows(tmp_path / "out.csv")
    assert [(row["label"], row["confidence"]) for row in rows] == [("bug", "")] * 3
    said = [line for line in ended.lines if "log-probabilities" in line]
    assert said == [
        "gpt-6-luna gives no log-probabilities: confidence stays empty; "
        "--votes 5 asks five times and takes the share that agrees"
    ]


def test_several_labels_need_several_answers(tmp_path: Path, server: Server) -> None:
    ended = classify(tmp_path, server, "--confidence", "--multi")
    assert ended.code == 2
    assert ended.errors == [
        "error: how sure several labels are takes several answers: add --votes 5"
    ]


OWN = """---
name: own
model: {options: {temperature: 0, maxOutputTokens: 100}}
outputs:
  - name: urgency
    enumValues: [low, high]
  - name: label
---
user:
Which of {{ labels | join(", ") }} is it? {{ text }}
"""


def test_confidence_is_that_of_the_label_among_other_outputs(
    tmp_path: Path, server: Server
) -> None:
    def entry(text: str, **seen: float) -> Any:
        others = [{"token": name, "logprob": math.log(share)} for name, share in seen.items()]
        return {"token": text, "logprob": math.log(seen.get(text, 1)), "top_logprobs": others}

    parts = [
        entry('{"urgency":"'), entry("low", low=0.99, high=0.01),
        entry('","label":"'), entry("bug", bug=0.51, praise=0.49), entry('"}'),
    ]  # fmt: skip
    (tmp_path / "own.prompty").write_text(OWN)
    server.change(
        answer=lambda body: '{"urgency":"low","label":"bug"}', logprobs=lambda text: parts
    )
    assert classify(tmp_path, server, "--confidence", "-p", "own.prompty").code == 0
    (row,) = read_rows(tmp_path / "out.csv")
    assert (row["urgency"], row["label"], row["confidence"]) == ("low", "bug", "0.51")


@pytest.mark.parametrize("multi", [False, True])
def test_votes_are_for_the_label_among_other_outputs(
    tmp_path: Path, server: Server, multi: bool
) -> None:
    own = OWN.replace("  - name: urgency\n    enumValues: [low, high]\n", "  - name: reason\n")
    (tmp_path / "own.prompty").write_text(own)
    names = iter(["praise", "bug", "bug"])
    given = [
        {"reason": str(number), "labels": [name]}
        if multi
        else {"reason": str(number), "label": name}
        for number, name in enumerate(names)
    ]
    answers = iter(map(json.dumps, given))
    server.change(answer=lambda body: next(answers))
    options = ("-p", "own.prompty", *(["--multi"] if multi else []))
    assert classify(tmp_path, server, "--votes", 3, *options).code == 0
    (row,) = read_rows(tmp_path / "out.csv")
    label = row["labels" if multi else "label"]
    assert (row["reason"], label) == ("1", '["bug"]' if multi else "bug")
    assert row["confidence"] == "0.6667"


def test_only_the_turn_of_the_label_is_voted_on(tmp_path: Path, server: Server) -> None:
    talk = """---
name: talk
outputs:
  - name: label
---
user:
What is this about? {{ text }}

user:
Which of {{ labels | join(", ") }} is it?
"""
    (tmp_path / "talk.prompty").write_text(talk)
    label = votes("praise", "bug", "bug")
    server.change(
        answer=lambda body: "a fly" if len(body["messages"]) == 1 else label(body)  # type: ignore[arg-type]
    )
    ended = classify(tmp_path, server, "--votes", 3, "-p", "talk.prompty")
    assert (ended.code, ended.errors, server.tally.received) == (0, [], 4)
    (row,) = read_rows(tmp_path / "out.csv")
    assert (row["output"], row["label"], row["confidence"]) == ("a fly", "bug", "0.6667")


def votes(*labels: str) -> Any:
    """Give these answers in turn."""
    answers = itertools.cycle([json.dumps({"label": label}) for label in labels])
    return lambda body: next(answers)


def test_votes_are_counted_and_all_of_them_paid(tmp_path: Path, server: Server) -> None:
    server.change(answer=votes("praise", "bug", "bug", "BUG", "praise"), prompt_tokens=100)
    ended = classify(tmp_path, server, "--votes", 5)
    assert (ended.code, ended.errors) == (0, [])
    assert "1 row, 5 requests" in ended.err
    (row,) = read_rows(tmp_path / "out.csv")
    assert (row["label"], row["confidence"], row["attempts"]) == ("bug", "0.6", "5")
    assert (row["status"], row["error"], row["prompt_tokens"]) == ("ok", "", "500")
    assert row["cost_usd"] == f"{price(Bill(5, 500, int(row['completion_tokens']))).normalize():f}"
    bodies: list[Any] = [record.json for record in server.tally.records]
    assert [body["temperature"] for body in bodies] == [1.0] * 5


def test_votes_go_on_where_they_stopped(tmp_path: Path, server: Server) -> None:
    server.change(
        answer=votes("praise", "bug", "bug"), faults=(Fault("insufficient_quota", at=(3,)),)
    )
    assert classify(tmp_path, server, "--votes", 3).code == 4
    assert classify(tmp_path, server, "--votes", 3).code == 0
    (row,) = read_rows(tmp_path / "out.csv")
    assert (row["label"], row["confidence"], row["attempts"]) == ("bug", "0.6667", "3")
    assert server.tally.answered == 3


def test_an_answer_that_is_none_agrees_with_no_other(tmp_path: Path, server: Server) -> None:
    server.change(
        answer=votes("bug", "spam", "spam", "filtered", "bug"),
        faults=(Fault("content_filter", at=(4,)),),
    )
    assert classify(tmp_path, server, "--votes", 4).code == 0
    (row,) = read_rows(tmp_path / "out.csv")
    assert (row["status"], row["label"], row["confidence"]) == ("ok", "bug", "0.5")
    assert row["error"] == "2 of 4 answers could not be used"
    assert (int(row["attempts"]), server.tally.received) == (5, 5)
    assert int(row["prompt_tokens"]) == server.tally.billed.prompt_tokens


def test_a_row_without_any_answer_fails_whatever_its_votes(tmp_path: Path, server: Server) -> None:
    server.change(answer=votes("spam"))
    assert classify(tmp_path, server, "--votes", 2).code == 1
    (row,) = read_rows(tmp_path / "out.csv")
    assert (row["status"], row["label"], server.tally.received) == ("failed", "", 4)
    assert row["error"].startswith("the answer doesn't fit: label: ")


def test_a_request_that_fails_leaves_the_votes_as_they_are(tmp_path: Path, server: Server) -> None:
    """The next run asks for what is missing, and what failed is billed, too."""
    server.change(
        answer=votes("praise", "bug", "bug", "bug"), faults=(Fault("bad_request", at=(3,)),)
    )
    assert classify(tmp_path, server, "--votes", 4).code == 1
    (row,) = read_rows(tmp_path / "out.csv")
    assert (row["status"], row["label"], server.tally.received) == ("failed", "", 3)
    server.change(faults=())
    assert classify(tmp_path, server, "--votes", 4).code == 0
    (row,) = read_rows(tmp_path / "out.csv")
    assert (row["label"], row["attempts"]) == ("bug", "5")
    assert int(row["prompt_tokens"]) == server.tally.billed.prompt_tokens
    assert server.tally.received == 5


def test_later_votes_have_a_seed_of_their_own(tmp_path: Path, server: Server) -> None:
    shipped = (SHIPPED / "classify.prompty").read_text(encoding="utf-8")
    seeded = shipped.replace("    temperature: 0\n", "    temperature: 0\n    seed: 7\n")
    (tmp_path / "seeded.prompty").write_text(seeded, encoding="utf-8")
    server.change(answer=votes("bug"))
    assert classify(tmp_path, server, "--votes", 3, "-p", "seeded.prompty").code == 0
    bodies: list[Any] = [record.json for record in server.tally.records]
    assert [body["seed"] for body in bodies] == [7, 8, 9]


def test_a_vote_that_does_not_fit_is_asked_for_again(tmp_path: Path, server: Server) -> None:
    server.change(answer=votes("bug", "spam", "praise", "bug"))
    assert classify(tmp_path, server, "--votes", 3).code == 0
    (row,) = read_rows(tmp_path / "out.csv")
    assert (row["label"], row["confidence"], row["attempts"]) == ("bug", "0.6667", "4")
    assert row["error"] == ""
    counts = [len(record.json["messages"]) for record in server.tally.records]  # type: ignore[arg-type]
    assert counts == [2, 2, 4, 2]


def test_the_stronger_model_is_asked_as_it_would_be_alone(tmp_path: Path, server: Server) -> None:
    """Only who is asked several times is asked at the temperature of votes."""
    said = votes("bug", "praise")
    server.change(
        answer=lambda body: '{"label":"praise"}' if body["model"] == "big" else said(body)
    )
    stronger = ("--escalate", "big", "--escalate-price", "3,17")
    ended = classify(tmp_path, server, "--votes", 3, *stronger, "--model", "small")
    assert (ended.code, ended.errors) == (0, [])
    bodies: list[Any] = [record.json for record in server.tally.records]
    asked = [(body["model"], body["temperature"]) for body in bodies]
    assert asked == [*[("small", 1.0)] * 3, ("big", 0.0)]
    server.reset()
    assert classify(tmp_path, server, "--model", "big").code == 0
    assert server.tally.received == 0  # it is the same request
    varied = ("--votes", 3, *stronger, "--model", "small", "--temperature", 0.5)
    assert classify(tmp_path, server, *varied).code == 0
    bodies = [record.json for record in server.tally.records]
    assert {body["temperature"] for body in bodies} == {0.5}
