"""The terminal is ours: what comes from files, servers and answers is shown on it, never obeyed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest

from tests.running import PROMPT, Ended, job, pipeline, write_rows
from tests.server import Fault, Server

# Clear the screen, name the window (by C0 and by C1), go back, turn the direction, begin a line.
EVIL = "\x1b[2J\x1b]0;mine\x07\x9b31m\x9dmine\x9c\r\x08\x7f\u202eevil\u2066\u2028error: lies"
NAME = EVIL.replace("\x9d", "")
ECHO = ("--model", "echo")
# Excel's files take neither C0 nor what isn't XML.
XML = "".join(letter for letter in EVIL if letter >= " ")
Asking = Callable[[Path, Server], Ended]


def _obeyed(text: str) -> set[str]:
    return {letter for letter in text if not (letter.isprintable() or letter == "\n")}


def _ask(folder: Path, server: Server, *options: str, prompt: str = PROMPT) -> Ended:
    made = job(folder, server, ["a", "b"], prompt=prompt)
    return pipeline(*made.arguments("--patience", "0", *options), folder=folder)


def _fails(**error: object) -> Asking:
    def asking(folder: Path, server: Server) -> Ended:
        body = json.dumps({"error": {"message": "No.", **error}})
        status = int(str(error.get("status", 400)))
        server.change(faults=(Fault("status", status=status, payload=body.encode()),))
        return _ask(folder, server, *map(str, error.get("options", ())))  # type: ignore[arg-type]

    return asking


def _answers(*options: str, prompt: str = PROMPT, said: str = EVIL) -> Asking:
    def asking(folder: Path, server: Server) -> Ended:
        server.change(answer=lambda body: said)
        return _ask(folder, server, *options, prompt=prompt)

    return asking


def _commands(*arguments: str, rows: list[dict[str, str]] | None = None) -> Asking:
    def asking(folder: Path, server: Server) -> Ended:
        if rows:
            write_rows(folder / "in.csv", rows)
        (folder / "ask.prompty").write_text(PROMPT)
        return pipeline(*arguments, folder=folder)

    return asking


def _file_names(folder: Path, server: Server) -> Ended:
    (folder / "in").mkdir()
    (folder / "in" / f"{NAME.replace('/', '')}.pdf").write_bytes(b"%PDF-1.7 broken")
    return pipeline("summarize", "in", "-o", "out.csv", *ECHO, folder=folder)


def _sheet_names(folder: Path, server: Server) -> Ended:
    book = openpyxl.Workbook()
    book.active.title = "a\u202eb\x9bc\u2028d"
    book.save(folder / "in.xlsx")
    return pipeline(
        "summarize", "in.xlsx", "--sheet", "none", "-o", "out.csv", *ECHO, folder=folder
    )


def _redirects(folder: Path, server: Server) -> Ended:
    headers = {"location": "http://other/\x1b[2J\x9b31m"}
    server.change(faults=(Fault("status", status=307, headers=headers),))
    return _ask(folder, server)


def _refuses(folder: Path, server: Server) -> Ended:
    message = {"role": "assistant", "content": None, "refusal": EVIL}
    reply = {"choices": [{"message": message, "finish_reason": "stop"}], "model": EVIL}
    server.change(faults=(Fault("status", status=200, payload=json.dumps(reply).encode()),))
    return _ask(folder, server)


def _is_no_completion(folder: Path, server: Server) -> Ended:
    server.change(faults=(Fault("status", status=200, payload=EVIL.encode()),))
    made = job(folder, server, [str(number) for number in range(12)])
    return pipeline(*made.arguments("--patience", "0", "--debug"), folder=folder)


def _prompt_file(text: str) -> Asking:
    def asking(folder: Path, server: Server) -> Ended:
        write_rows(folder / "in.csv", [{"text": "a"}])
        (folder / "p.prompty").write_text(text, encoding="utf-8")
        return pipeline(
            "run", "in.csv", "-p", "p.prompty", "-o", "o.csv", *ECHO, "--debug", folder=folder
        )

    return asking


def _labels_file(folder: Path, server: Server) -> Ended:
    write_rows(folder / "in.csv", [{"text": "a"}])
    (folder / "labels.yaml").write_text(json.dumps([{"name": EVIL}, {"name": EVIL}]))
    return pipeline(
        *["classify", "in.csv", "--labels", "labels.yaml", "-o", "o.csv", *ECHO], folder=folder
    )


def _reviews(folder: Path, server: Server) -> Ended:
    rows = [{"text": EVIL, EVIL: "x"}]
    write_rows(folder / "in.csv", rows)
    asked = pipeline(
        *["classify", "in.csv", "--labels", f"a,{XML}", "-o", "out\x1b[2J.csv", *ECHO],
        *["--text-column", "text", "--review", "re\x9bview.xlsx"],
        folder=folder,
    )
    read = pipeline("review", "re\x9bview.xlsx", folder=folder)
    return Ended(read.code, asked.out + read.out, asked.err + read.err)


OUTPUT = [
    {"text": EVIL, "label": EVIL, "gold": "b", "status": "ok", "model": EVIL, "confidence": "0.9"},
    {"text": "c", "label": "b", "gold": EVIL, "status": "ok", "model": EVIL, "confidence": "0.5"},
    {"text": "d", "label": "b", "gold": "b", "status": "failed", "model": EVIL, "confidence": ""},
]
LABELLED = "outputs:\n  - name: label\n    enumValues: [bug, praise]\n---\nuser:"
PLACES: dict[str, Asking] = {
    "a file's name": _file_names,
    "a sheet's name": _sheet_names,
    "a column's name": _commands(
        *["summarize", "in.csv", "-o", "o.csv", "--text-column", "none", *ECHO],
        rows=[{EVIL: "a", "b": "c"}],
    ),
    "a text column's name": _commands(
        *["run", "in.csv", "-p", "ask.prompty", "-o", "o.csv", *ECHO], rows=[{EVIL: "a long text"}]
    ),
    "a cell": _commands(
        *["run", "in.csv", "-p", "ask.prompty", "-o", "o.csv", "--dry-run", *ECHO],
        rows=[{"text": EVIL}],
    ),
    "a label": _labels_file,
    "labels of a table": _commands(
        "evaluate", "in.csv", "--expected", "gold", "--predicted", "label", rows=OUTPUT
    ),
    "labels of a table, as JSON": _commands(
        "evaluate", "in.csv", "--expected", "gold", "--json", rows=OUTPUT
    ),
    "a table that has no such column": _commands(
        "evaluate", "in.csv", "--expected", EVIL, "--debug", rows=OUTPUT
    ),
    "scores of a table": _commands(
        "evaluate", "in.csv", "--score", EVIL, rows=[{EVIL: "3", "text": EVIL, "status": "ok"}]
    ),
    "an input": _commands("summarize", f"{NAME}.csv", "-o", "o.csv", *ECHO, "--debug"),
    "an output": _commands(
        *["run", "in.csv", "-p", "ask.prompty", "-o", "o\x1b[2J\x9b.csv", *ECHO],
        rows=[{"text": "a"}],
    ),
    "an argument too many": _commands("summarize", "a.csv", EVIL, "-o", "o.csv"),
    "an option's value": _commands("summarize", "a.csv", "-o", "o.csv", "--limit", EVIL),
    "a model's name": _commands("models", EVIL),
    "a prompt file's key": _prompt_file(f"---\n{json.dumps(EVIL)}: 1\n---\nuser:\nx"),
    "a prompt file's YAML": _prompt_file(f"---\nname: [{XML}\n---\nuser:\nx"),
    "a prompt file's name": _prompt_file(
        f"---\nname: {json.dumps(EVIL)}\n---\nuser:\n{{{{ nothing }}}}"
    ),
    "a template's variable": _prompt_file(f"---\nname: p\n---\nuser:\n{{{{ {EVIL} }}}}"),
    "an error's message": _fails(message=EVIL),
    "an error's code": _fails(code=EVIL),
    "an error's parameter": _fails(param=EVIL),
    "an error for a log": _fails(message=EVIL, options=("--json-log",)),
    "a wrong key": _fails(message=EVIL, status=401, options=("--debug",)),
    "an unknown model": _fails(message=EVIL, code="model_not_found", status=404),
    "a redirect": _redirects,
    "a refusal": _refuses,
    "no completion": _is_no_completion,
    "an answer that is no label": _answers(
        "--debug", prompt=PROMPT.replace("---\nuser:", LABELLED), said=json.dumps({"label": EVIL})
    ),
    "an answer that is no JSON": _answers(prompt=PROMPT.replace("---\nuser:", LABELLED)),
    "an answer that is evaluated": _answers("--expected", "id"),
    "a review": _reviews,
}


@pytest.mark.parametrize("place", PLACES)
def test_nothing_that_came_from_outside_is_obeyed(
    tmp_path: Path, server: Server, place: str
) -> None:
    ended = PLACES[place](tmp_path, server)
    assert ended.out or ended.err
    assert not _obeyed(ended.out + ended.err)
    assert "\nerror: lies" not in ended.out + ended.err


def test_a_log_is_ascii_and_says_it_all(tmp_path: Path, server: Server) -> None:
    ended = _fails(message=EVIL, options=("--json-log",))(tmp_path, server)
    assert ended.err.isascii()
    notes = [json.loads(line).get("text", "") for line in ended.lines]
    assert any(r"\u001b[2J" in note and r"\u202eevil" in note for note in notes)


def test_the_command_to_run_again_can_be_pasted(tmp_path: Path, server: Server) -> None:
    server.change(faults=(Fault("bad_request"),))
    write_rows(tmp_path / "in.csv", [{"text": "a"}])
    ended = pipeline(
        *["run", "in.csv", "--instruction", "it's\n\x1b[2J", "-o", "o.csv", "--price", "1,1"],
        *["--base-url", server.base_url],
        folder=tmp_path,
    )
    assert ended.code == 1
    assert r"--instruction $'it\'s\x0a\x1b[2J' -o o.csv" in ended.lines[-1]


def test_a_child_and_its_parser_say_nothing_raw(tmp_path: Path) -> None:
    """The same in a process of its own, whose standard error is the real one."""
    ended = pipeline("summarize", "a.csv", "\x1b[2J", "-o", "o.csv", folder=tmp_path)
    assert ended.code == 2
    assert "[2J" in ended.err
    assert "\x1b" not in ended.err
