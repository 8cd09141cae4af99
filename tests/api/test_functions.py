"""What Python programs call: a table of any kind in, the same kind out, and the same journal."""

from __future__ import annotations

import asyncio
import inspect
import json
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pipeline
from pipeline.engine.settings import Settings
from tests.running import PRICE, TIMEOUT_SECONDS, environment, read_rows, texts
from tests.server import Fault, Server, answer_to

pytestmark = pytest.mark.usefixtures("here")
ASK = "Is this urgent?"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, without a key."""
    monkeypatch.chdir(tmp_path)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def ask(input: Any, server: Server, **more: Any) -> Any:
    return pipeline.run(
        input,
        instruction=ASK,
        text_column="text",
        base_url=server.base_url,
        price=(3, 17),
        max_tokens=20,
        **more,
    )


def tickets(count: int = 5) -> pd.DataFrame:
    return pd.DataFrame(
        {"id": range(count), "text": texts(count)}, index=list("abcdefghij")[:count]
    )


def test_a_dataframe_comes_back_with_the_answers_beside_what_it_was(server: Server) -> None:
    frame = tickets().assign(
        kind=pd.Categorical(["x", "y"] * 2 + ["x"]), when=pd.Timestamp("2026-01-02")
    )
    found = ask(frame, server)
    pd.testing.assert_frame_equal(found[list(frame.columns)], frame)
    assert list(found["output"]) == [answer_to(text) for text in frame["text"]]
    assert list(found["status"]) == ["ok"] * 5
    assert found["total_tokens"].sum() == server.tally.billed.total_tokens
    assert found["cost_usd"].sum() == pytest.approx(
        float(server.tally.billed.cost_usd(prompt=PRICE[0], completion=PRICE[1]))
    )
    summary = found.attrs["summary"]
    assert (summary.ok, summary.requests, summary.output) == (5, 5, None)
    assert summary.cost_usd == pytest.approx(found["cost_usd"].sum())


def test_the_same_call_again_asks_nothing_and_costs_nothing(here: Path, server: Server) -> None:
    first = ask(tickets(), server)
    again = ask(tickets(), server)
    assert server.tally.billed.requests == 5
    pd.testing.assert_frame_equal(first, again)
    assert again.attrs["summary"].requests == 0
    assert (here / "pipeline.journal").exists()
    more = ask(tickets(7), server)
    assert len(more) == 7
    assert server.tally.billed.requests == 7


def test_the_journal_can_be_chosen(here: Path, server: Server) -> None:
    ask(tickets(), server, journal=here / "mine.journal")
    assert [path.name for path in here.iterdir()] == ["mine.journal"]
    ask(tickets(), server, journal="mine.journal")
    assert server.tally.billed.requests == 5


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda data: pl.DataFrame(data), pl.DataFrame),
        (lambda data: pa.table(data), pa.Table),
        (lambda data: duckdb.from_arrow(pa.table(data)), duckdb.DuckDBPyRelation),
    ],
)
def test_a_table_of_another_library_comes_back_as_its_own_kind(
    make: Any, kind: type, server: Server
) -> None:
    data = {"id": [1, 2], "text": texts(2)}
    found = ask(make(data), server)
    assert isinstance(found, kind)
    cells = pa.table(found).to_pydict()
    assert cells["id"] == [1, 2]
    assert cells["output"] == [answer_to(text) for text in data["text"]]
    assert sum(cells["total_tokens"]) == server.tally.billed.total_tokens


def test_a_table_that_can_be_read_once_is_read_once(server: Server) -> None:
    table = pa.table({"text": texts(3)})
    found = ask(table.to_reader(), server)
    assert found.to_pydict()["output"] == [answer_to(text) for text in texts(3)]


def test_answers_stand_beside_the_rows_that_were_asked_about(server: Server) -> None:
    relation = duckdb.sql("SELECT range AS id, 'ticket ' || range AS text FROM range(200)")
    shuffled = relation.order("random()")
    cells = pa.table(ask(shuffled, server)).to_pydict()
    assert cells["output"] == [answer_to(text) for text in cells["text"]]


def test_a_path_gives_a_dataframe_and_an_output_a_summary(here: Path, server: Server) -> None:
    tickets().to_csv("in.csv", index=False)
    found = ask("in.csv", server)
    assert list(found["id"]) == ["0", "1", "2", "3", "4"]
    written = ask(here / "in.csv", server, output=here / "out.csv")
    assert (written.ok, written.output) == (5, str(here / "out.csv"))
    assert [row["output"] for row in read_rows(here / "out.csv")] == list(found["output"])


def test_what_is_missing_in_a_cell_is_no_text(server: Server) -> None:
    frame = pd.DataFrame({"text": ["one", None, float("nan"), pd.NA], "n": [1.5, None, 2, 3]})
    found = ask(frame, server)
    assert list(found["status"]) == ["ok", "skipped", "skipped", "skipped"]
    pd.testing.assert_frame_equal(found[["text", "n"]], frame)


CELLS = st.one_of(
    st.none(), st.text(), st.integers(), st.floats(), st.booleans(), st.lists(st.integers()),
    st.datetimes(), st.dates(), st.decimals(allow_nan=False), st.binary(),
)  # fmt: skip


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_whatever_a_dataframe_holds_stays_as_it_is(data: Any) -> None:
    names = data.draw(st.lists(st.text(), min_size=1, max_size=4, unique=True))
    rows = data.draw(st.integers(0, 4))
    columns = {
        f"c{name}": data.draw(st.lists(CELLS, min_size=rows, max_size=rows)) for name in names
    }
    index = data.draw(st.lists(st.text(), min_size=rows, max_size=rows))
    frame = pd.DataFrame(columns, index=pd.Index(index, dtype=object), dtype=object)
    found = pipeline.run(
        frame, instruction=ASK, model="echo", text_column=f"c{names[0]}", fresh=True, prefix="new "
    )
    pd.testing.assert_frame_equal(found[list(frame.columns)], frame)
    assert len(found.columns) > len(frame.columns)


def test_columns_need_not_have_texts_for_names(server: Server) -> None:
    frame = pd.DataFrame([["a", "b"]], columns=[0, ("x", 1)])
    found = pipeline.run(frame, instruction=ASK, text_column="0", base_url=server.base_url)
    assert list(found.columns[:2]) == [0, ("x", 1)]
    assert found["output"].iloc[0] == answer_to("a")


def test_several_labels_are_a_list(server: Server) -> None:
    server.change(answer=lambda _: json.dumps({"labels": ["bug", "praise"]}))
    found = pipeline.classify(
        tickets(1),
        {"bug": "Something doesn't work.", "praise": "They like it."},
        multi=True,
        text_column="text",
        base_url=server.base_url,
    )
    assert list(found["labels"]) == [["bug", "praise"]]


def test_fields_are_columns_of_their_kinds(server: Server) -> None:
    server.change(answer=lambda _: json.dumps({"vendor": "Acme", "total": 12.5, "paid": True}))
    found = pipeline.extract(
        tickets(1),
        "vendor, total: number, paid: boolean",
        text_column="text",
        base_url=server.base_url,
    )
    assert found[["vendor", "total", "paid"]].values.tolist() == [["Acme", 12.5, True]]


def test_an_estimate_sends_nothing(server: Server) -> None:
    plan = pipeline.estimate(
        tickets(), instruction=ASK, base_url=server.base_url, price="3,17", max_tokens=20
    )
    assert (plan.rows, plan.requests) == (5, 5)
    assert plan.low_usd is not None
    assert plan.high_usd is not None
    assert 0 < plan.low_usd < plan.high_usd
    assert not server.tally.records
    assert not list(Path().iterdir())


def test_an_evaluation_reads_a_table_in_memory() -> None:
    frame = pd.DataFrame({"label": ["a", "b", "a"], "gold": ["a", "b", "b"]})
    assert pipeline.evaluate(frame, "gold").accuracy == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"modle": "x"}, "there is no setting modle; did you mean model?"),
        ({"max_cost": "five"}, "max_cost five: give an amount in USD"),
        ({"price": 3}, "price 3: give two amounts"),
        ({"limit": 0}, "limit 0: give a number of 1 or more"),
        ({"temperature": "hot"}, "temperature hot: give a number of 0 to 2"),
        ({"long": "cut"}, "long is one of split, head, fail"),
        ({"text_column": "txt"}, 'the DataFrame has no column "txt"'),
        ({"max_cost": 1, "price": None}, "max_cost needs the price of"),
        ({"delimiter": ";"}, "delimiter is of a .csv or .tsv table, and the DataFrame is none"),
        ({"glob": "*.txt"}, "glob picks files of a folder, and the DataFrame is none"),
    ],
)
def test_a_mistake_is_an_error_in_pythons_words(
    wrong: dict[str, Any], said: str, server: Server
) -> None:
    arguments = {"base_url": server.base_url, "model": "mine", "price": (1, 1), **wrong}
    with pytest.raises(pipeline.UsageError) as raised:
        pipeline.run(tickets(), instruction=ASK, **arguments)
    assert str(raised.value).startswith(said)
    assert "--" not in str(raised.value)
    assert not server.tally.records


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"shots": 3}, "^shots does nothing without"),
        ({"shots": 0, "examples": "in.csv"}, "^shots 0: give a number of 1 or more"),
        ({"votes": 1}, "^votes 1: give a number of 2 or more"),
        ({"escalate": "x", "accuracy": 2}, "^accuracy 2"),
        ({"escalate": "x", "below": 85}, "^below 85: give a number of 0 to 1"),
        ({"escalate": "x", "level": 0.9}, "^level does nothing without accuracy"),
        ({"escalate": "x", "escalate_price": "cheap"}, "^escalate_price cheap: give two amounts"),
        ({"escalate": "x", "accuracy": 0.9, "below": 0.5}, "^accuracy finds what below says"),
        ({"below": 0.5}, "^below does nothing without escalate"),
        ({"accuracy": 0.9}, "^accuracy does nothing without escalate"),
        ({"escalate_price": (1, 2)}, "^escalate_price does nothing without escalate"),
    ],
)
def test_what_the_command_refuses_of_labels_a_call_refuses_too(
    wrong: dict[str, Any], said: str
) -> None:
    with pytest.raises(pipeline.UsageError, match=said):
        pipeline.classify(tickets(), ["a", "b"], model="echo", **wrong)


def test_facts_need_fields_or_a_prompt_that_names_them(here: Path) -> None:
    with pytest.raises(pipeline.UsageError, match=r"^give the fields: fields "):
        pipeline.extract(tickets(), model="echo", text_column="text")
    prompt = pipeline.Prompt.make("{{ text }}", outputs="topic")
    prompt.save("facts.prompty")
    for own in (prompt, here / "facts.prompty"):
        found = pipeline.extract(tickets(2), prompt=own, model="echo", text_column="text")
        assert list(found["topic"]) == texts(2)


def test_a_call_needs_one_prompt() -> None:
    with pytest.raises(
        pipeline.UsageError, match=r'^give one of the two: a prompt, or instruction="'
    ):
        pipeline.run(tickets(), model="echo")


@pytest.mark.parametrize("input", [None, 3, {"text": ["a"]}, ["a"]])
def test_what_is_no_table_is_refused(input: Any) -> None:
    with pytest.raises(pipeline.UsageError, match="a path, a glob, an address or a table"):
        pipeline.run(input, instruction=ASK, model="echo")


def test_the_budget_ends_a_call_with_what_was_answered(server: Server) -> None:
    with pytest.raises(pipeline.FatalError) as raised:
        ask(tickets(), server, max_cost="0.0006", max_concurrency=1)
    found = raised.value.result
    assert isinstance(found, pd.DataFrame)
    assert found["cost_usd"].sum() <= 0.0006
    assert {"ok", "skipped"} == set(found["status"])
    before = server.tally.billed.requests
    assert set(ask(tickets(), server)["status"]) == {"ok"}
    assert server.tally.billed.requests == 5 > before


def test_a_row_that_fails_fails_alone(server: Server) -> None:
    server.change(faults=(Fault("bad_request", contains="ticket 2"),))
    found = ask(tickets(), server)
    assert list(found["status"]) == ["ok", "ok", "failed", "ok", "ok"]
    assert found["error"].isna().tolist() == [True, True, False, True, True]


def test_rows_stream_as_they_come(server: Server) -> None:
    async def collect() -> list[pipeline.Row]:
        rows = pipeline.stream(
            tickets(), instruction=ASK, text_column="text", base_url=server.base_url
        )
        return [row async for row in rows]

    server.change(faults=(Fault("bad_request", contains="ticket 2"),))
    rows = asyncio.run(collect())
    assert sorted(row.position for row in rows) == [0, 1, 2, 3, 4]
    assert all(row["status"] == ("failed" if row.position == 2 else "ok") for row in rows)
    assert all(row["id"] == row.position for row in rows)
    again = asyncio.run(collect())
    assert [row["status"] for row in again].count("ok") == 4
    assert server.tally.billed.requests == 4


def test_what_the_command_would_say_is_in_the_log_of_every_call(
    here: Path, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """What is wrong comes as a warning: here a journal of an older program."""
    chosen: dict[str, Any] = {
        "instruction": ASK,
        "base_url": server.base_url,
        "model": "unheard-of",
        "text_column": "text",
    }

    async def follow() -> None:
        async for _ in pipeline.stream(tickets(1), **chosen):
            pass

    calls = {
        "estimate": lambda: pipeline.estimate(tickets(1), **chosen),
        "stream": lambda: asyncio.run(follow()),
        "run": lambda: pipeline.run(tickets(1), progress=False, **chosen),
    }
    pipeline.run(tickets(1), instruction=ASK, text_column="text", model="echo")
    for name, call in calls.items():
        with closing(sqlite3.connect(here / "pipeline.journal")) as connection:
            connection.execute("UPDATE runs SET recipe = 1")
            connection.commit()
        caplog.clear()
        with caplog.at_level("INFO", logger="pipeline"):
            call()
        warned = [item.message for item in caplog.records if item.levelname == "WARNING"]
        told = [item.message for item in caplog.records if item.levelname == "INFO"]
        assert [text.partition(" is of ")[0] for text in warned] == ["pipeline.journal"], name
        assert any(text.startswith("no published price for unheard-of") for text in told), name


def test_what_comes_to_light_of_the_server_is_in_the_notes(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    fault = Fault("unsupported_parameter", has="temperature", param="temperature")
    server.change(faults=(fault,))
    chosen: dict[str, Any] = {
        "instruction": ASK,
        "text_column": "text",
        "base_url": server.base_url,
        "model": "mine",
        "temperature": 0,
    }
    told = "mine does not take `temperature`: it is asked without"

    async def follow() -> None:
        async for _ in pipeline.stream(tickets(2), **chosen):
            pass

    assert told in pipeline.run(tickets(1), **chosen).attrs["summary"].notes
    with caplog.at_level("INFO", logger="pipeline"):
        asyncio.run(follow())
    assert told in caplog.messages


def test_leaving_a_stream_keeps_what_was_answered(server: Server) -> None:
    async def first() -> pipeline.Row:
        rows = pipeline.stream(
            tickets(10),
            instruction=ASK,
            text_column="text",
            base_url=server.base_url,
            max_concurrency=1,
        )
        async for row in rows:
            await rows.aclose()  # type: ignore[attr-defined]
            return row
        raise AssertionError("nothing came")

    assert asyncio.run(first())["status"] == "ok"
    asked = server.tally.billed.requests
    assert asked < 10
    ask_again = pipeline.run(
        tickets(10), instruction=ASK, text_column="text", base_url=server.base_url
    )
    assert set(ask_again["status"]) == {"ok"}
    assert server.tally.billed.requests == 10


def test_a_call_works_where_a_loop_is_running(server: Server) -> None:
    async def call() -> Any:
        return ask(tickets(), server)

    assert list(asyncio.run(call())["status"]) == ["ok"] * 5


def test_a_call_works_in_a_thread(server: Server) -> None:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(ask(tickets(), server)))
    thread.start()
    thread.join(TIMEOUT_SECONDS)
    assert list(found[0]["status"]) == ["ok"] * 5


INTERRUPTED = """
import sys, pandas, pipeline
try:
    frame = pandas.read_csv("in.csv")
    pipeline.run(frame, instruction=sys.argv[1], text_column="text", base_url=sys.argv[2],
                 max_concurrency=1)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends Ctrl-C to a whole console")
def test_an_interrupt_keeps_what_was_answered(here: Path, server: Server) -> None:
    tickets(10).to_csv("in.csv", index=False)
    server.change(faults=(Fault("hang", after=3, seconds=60),))
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, ASK, server.base_url],
        cwd=here,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    server.wait(received=4)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=TIMEOUT_SECONDS)
    assert out == "interrupted\n"
    server.change(faults=())
    asked = server.tally.billed.requests
    again = pipeline.run(tickets(10), instruction=ASK, text_column="text", base_url=server.base_url)
    assert set(again["status"]) == {"ok"}
    assert server.tally.billed.requests <= asked + 8


def test_a_signature_shows_every_setting() -> None:
    shown = inspect.signature(pipeline.classify).parameters
    given = {field.name for field in fields(Settings)} - {"prompt", "labelling", "stronger"}
    assert given <= shown.keys()


def test_all_that_is_public_is_there_and_says_what_it_is() -> None:
    for name in pipeline.__all__:
        assert getattr(pipeline, name).__doc__, name
    assert set(pipeline.__all__) <= set(dir(pipeline))
    with pytest.raises(AttributeError, match="nothing_of_ours"):
        _ = pipeline.nothing_of_ours


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = ("pandas", "openai", "pyarrow")
    code = f"import sys, pipeline; print([name for name in {heavy} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
