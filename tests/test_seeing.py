"""Pictures and scans from a folder or a table to the server: what it gets to see, and the bill."""

from __future__ import annotations

import math
from decimal import Decimal
from pathlib import Path

import pytest

from pipeline import costs
from tests.pictures import BLUE, colours, lying, parts, picture, scan, seen, urls, write
from tests.running import PRICE, Ended, column, pipeline, price, read_rows, write_rows
from tests.server import Body, Fault, Server, last_message
from tests.sources.samples import pdf

MODEL = "gpt-6-luna"


def ask(folder: Path, server: Server, *command: object) -> Ended:
    given = ["-o", "out.csv", "-m", MODEL, "--base-url", server.base_url]
    return pipeline(*command, *given, "--price", ",".join(PRICE), folder=folder)


def rows(folder: Path) -> dict[str, dict[str, str]]:
    """Give the rows by their first cell."""
    return {next(iter(row.values())): row for row in read_rows(folder / "out.csv")}


def bodies(server: Server) -> list[Body]:
    return [record.json for record in server.tally.records]


def prompt(folder: Path, text: str) -> Path:
    path = folder / "look.prompty"
    path.write_text(f"---\nmodel:\n  options: {{maxOutputTokens: 20}}\n---\n{text}\n", "utf-8")
    return path


def image_tokens(body: Body) -> int:
    """Count what a body shows, as its server would: by what it gets to see."""
    patches = [math.ceil(image.width / 32) * math.ceil(image.height / 32) for image in seen(body)]
    return sum(math.ceil(Decimal("1.2") * count) for count in patches)


# A folder


def test_a_folder_of_pictures_and_texts_is_summarized(tmp_path: Path, server: Server) -> None:
    names = ["a.png", "b.jpg", "c.webp", "d.gif", "e.tiff", "f.heic", "g.bmp", "h.avif"]
    write(tmp_path / "in", *names)
    lying(tmp_path / "in/i.jpg")
    (tmp_path / "in/j.txt").write_text("only words", "utf-8")
    server.change(answer=lambda body: " ".join(map(" ".join, map(colours, seen(body)))) or "words")
    ended = ask(tmp_path, server, "summarize", "in")
    assert ended.code == 0, ended.err
    answers = {name: row["output"] for name, row in rows(tmp_path).items()}
    assert answers == dict.fromkeys([*names, "i.jpg"], "red blue") | {"j.txt": "words"}
    assert len(bodies(server)) == 10


def test_the_pages_of_a_scan_go_out_in_their_order(tmp_path: Path, server: Server) -> None:
    (tmp_path / "in").mkdir()
    pages = [picture(600, 800, left=(255, 255, 255)), picture(600, 800), picture(800, 600)]
    pages[0].save(tmp_path / "in/a.pdf", save_all=True, append_images=pages[1:], resolution=75)
    server.change(answer=lambda body: " ".join(colours(image)[0] for image in seen(body)))
    ended = ask(tmp_path, server, "summarize", "in")
    assert ended.code == 0, ended.err
    assert rows(tmp_path)["a.pdf"]["output"] == "white red red"
    (body,) = bodies(server)
    assert [image.size for image in seen(body)] == [(600, 800), (600, 800), (800, 600)]
    assert [part["type"] for part in parts(body)] == ["text", *["image_url"] * 3]


def test_a_prompt_says_where_the_pictures_stand(tmp_path: Path, server: Server) -> None:
    write(tmp_path / "in", "a.png")
    prompt(tmp_path, "user:\nLook at {{ image }}: what is {{ document }}?")
    assert ask(tmp_path, server, "run", "in", "-p", "look.prompty").code == 0
    (body,) = bodies(server)
    first, second, third = parts(body)
    assert (first, third) == (
        {"type": "text", "text": "Look at "},
        {"type": "text", "text": ": what is a.png?"},
    )
    assert second["type"] == "image_url"


def test_a_damaged_picture_fails_its_row_alone(tmp_path: Path, server: Server) -> None:
    write(tmp_path / "in", "a.png", "b.jpg", "c.png", width=400, height=300)
    cut = (tmp_path / "in/b.jpg").read_bytes()
    (tmp_path / "in/b.jpg").write_bytes(cut[: len(cut) * 3 // 4])
    (tmp_path / "in/c.png").write_bytes(b"not one")
    ended = ask(tmp_path, server, "summarize", "in")
    assert ended.code == 1
    found = rows(tmp_path)
    assert column(found.values(), "status") == ["ok", "failed", "failed"]
    assert found["b.jpg"]["error"].startswith("the picture is damaged: ")
    assert found["c.png"]["error"] == "not a picture that can be read; it may be damaged"
    assert (found["b.jpg"]["attempts"], found["b.jpg"]["cost_usd"]) == ("0", "")
    assert server.tally.received == 1


@pytest.mark.parametrize("model", ["echo", "local"])
def test_a_model_that_cannot_see_is_sent_nothing(tmp_path: Path, model: str) -> None:
    write(tmp_path / "in", "a.png")
    scan(tmp_path / "in/b.pdf", pages=2)
    ended = pipeline("summarize", "in", "-o", "out.csv", "-m", model, folder=tmp_path)
    assert ended.code == 1
    what_to_do = f"and {model} can't see: choose a model that does with --model"
    assert column(rows(tmp_path).values(), "error") == [
        f"an image has no text, {what_to_do}",
        f"no text layer: looks like a scan, {what_to_do}",
    ]


def test_a_server_that_cannot_see_fails_the_rows_and_the_run_goes_on(
    tmp_path: Path, server: Server
) -> None:
    write(tmp_path / "in", "a.png", "b.png")
    (tmp_path / "in/c.txt").write_text("words", "utf-8")
    message = "image input is not supported - hint: you may need to provide the mmproj"
    server.change(faults=(Fault("status", status=500, message=message, where=parts),))
    ended = ask(tmp_path, server, "summarize", "in")
    assert ended.code == 1
    assert column(rows(tmp_path).values(), "status") == ["failed", "failed", "ok"]
    assert rows(tmp_path)["a.png"]["error"] == f"HTTP 500: {message}"
    assert server.tally.received == 2  # the two pictures are the same


def test_a_text_under_a_prompt_that_only_looks_says_so(tmp_path: Path, server: Server) -> None:
    write(tmp_path / "in", "a.png")
    (tmp_path / "in/b.txt").write_text("words", "utf-8")
    prompt(tmp_path, "user:\n{{ image }}")
    assert ask(tmp_path, server, "run", "in", "-p", "look.prompty").code == 1
    assert rows(tmp_path)["b.txt"]["error"] == (
        "prompt look shows {{ image }}, and there is none here: "
        "{{ text }} stands for a document's text"
    )


# A table


def test_the_pictures_of_a_column_are_sent_and_the_column_stays(
    tmp_path: Path, server: Server
) -> None:
    write(tmp_path / "in/pics", "a.png", "b.png")
    picture(64, 32, left=BLUE).save(tmp_path / "in/pics/b.png")
    cells = ["pics/a.png", "https://a.example/c.jpg", "", "gone.png", "pics/b.png", "pics/a.png"]
    given = [{"id": f"{i:03}", "photo": cell} for i, cell in enumerate(cells)]
    write_rows(tmp_path / "in/t.csv", given)
    command = ["run", "in/t.csv", "--image-column", "photo", "--instruction", "What is it?"]
    assert ask(tmp_path, server, *command).code == 1
    found = list(rows(tmp_path).values())
    assert [{"id": row["id"], "photo": row["photo"]} for row in found] == given
    assert column(found, "status") == ["ok", "ok", "skipped", "failed", "ok", "ok"]
    assert found[3]["error"] == (
        "image gone.png: the file can't be read: No such file or directory"
    )
    assert column(found, "attempts") == ["1", "1", "", "", "1", "0"]
    addresses = [url for body in bodies(server) for url in urls(body)]
    assert len(addresses) == 3
    assert addresses.count("https://a.example/c.jpg") == 1


def test_a_column_called_image_is_text_unless_it_is_the_one_with_images(
    tmp_path: Path, server: Server
) -> None:
    write(tmp_path, "a.png")
    write_rows(tmp_path / "t.csv", [{"image": "a.png", "text": "one"}])
    prompt(tmp_path, "user:\n{{ text }}: {{ image }}")
    assert ask(tmp_path, server, "run", "t.csv", "-p", "look.prompty").code == 0
    assert [last_message(body) for body in bodies(server)] == ["one: a.png"]
    server.reset()
    command = ["run", "t.csv", "-p", "look.prompty", "--image-column", "image"]
    assert ask(tmp_path, server, *command).code == 0
    assert [part["type"] for body in bodies(server) for part in parts(body)] == [
        "text",
        "image_url",
    ]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (
            ["t.csv", "--image-column", "foto", "--instruction", "x"],
            't.csv has no column "foto"; its columns are id, photo; did you mean "photo"?',
        ),
        (
            ["pics", "--image-column", "photo", "--instruction", "x"],
            'pics is not a table and has no column "photo"; leave --image-column out',
        ),
        (
            ["t.csv", "--image-column", "photo", "-p", "blind.prompty"],
            "prompt blind shows no image: put {{ image }} where it is to be",
        ),
        (
            ["t.csv", "-p", "look.prompty"],
            "prompt look uses {{ image }}, which the input doesn't have; its columns are: "
            "id, photo; which holds images? --image-column says so",
        ),
        (
            ["pics", "-p", "system.prompty"],
            "prompt system has {{ image }} in its system message: "
            "servers take images in `user:` messages only",
        ),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_sent(
    tmp_path: Path, server: Server, command: list[str], message: str
) -> None:
    write(tmp_path / "pics", "a.png")
    write_rows(tmp_path / "t.csv", [{"id": "1", "photo": "pics/a.png"}])
    texts = {"look": "{{ image }}", "blind": "{{ id }}", "system": "system:\n{{ image }}\nuser:\nx"}
    for name, text in texts.items():
        (tmp_path / f"{name}.prompty").write_text(text, "utf-8")
    ended = ask(tmp_path, server, "run", *command)
    assert (ended.code, ended.errors) == (2, [f"error: {message}"])
    assert server.tally.received == 0


# The journal


def test_only_a_picture_that_changed_is_asked_again(tmp_path: Path, server: Server) -> None:
    write(tmp_path / "in", "a.png", "b.jpg")
    assert ask(tmp_path, server, "summarize", "in").code == 0
    assert ask(tmp_path, server, "summarize", "in").code == 0
    assert server.tally.received == 2
    (tmp_path / "in/a.png").rename(tmp_path / "in/z.png")
    write(tmp_path / "in", "b.jpg", width=80)
    assert ask(tmp_path, server, "summarize", "in").code == 0
    assert server.tally.received == 3
    assert [image.width for image in seen(bodies(server)[-1])] == [80]
    assert ask(tmp_path, server, "summarize", "in", "--image-detail", "low").code == 0
    assert server.tally.received == 5


@pytest.mark.parametrize(
    ("detail", "size", "sent"),
    [
        ("auto", (1824, 1368), None),
        ("low", (512, 384), "low"),
        ("high", (1824, 1368), "high"),
        ("original", (3669, 2752), "original"),
    ],
)
def test_the_detail_sizes_what_is_sent(
    tmp_path: Path, server: Server, detail: str, size: tuple[int, int], sent: str | None
) -> None:
    write(tmp_path / "in", "a.jpg", width=4000, height=3000)
    assert ask(tmp_path, server, "summarize", "in", "--image-detail", detail).code == 0
    (body,) = bodies(server)
    assert [image.size for image in seen(body)] == [size]
    assert parts(body)[1]["image_url"].get("detail") == sent


def test_a_dry_run_names_the_pictures_and_sends_nothing(tmp_path: Path, server: Server) -> None:
    scan(tmp_path / "scan.pdf")
    ended = ask(tmp_path, server, "summarize", "scan.pdf", "--dry-run")
    assert ended.code == 0, ended.err
    assert f'"url": "{tmp_path}/scan.pdf#page=1"' in ended.out
    assert server.tally.received == 0


# The bill


def test_the_estimate_counts_what_the_server_bills(tmp_path: Path, server: Server) -> None:
    sizes = [(64, 32), (640, 480), (2000, 1000), (5000, 400), (3000, 4000)]
    for width, height in sizes:
        write(tmp_path / "in", f"{width}.jpg", width=width, height=height)
    scan(tmp_path / "in/scan.pdf", pages=2)
    server.change(prompt_tokens=image_tokens)
    prompt(tmp_path, "user:\n{{ image }}")
    ended = ask(tmp_path, server, "run", "in", "-p", "look.prompty")
    assert ended.code == 0, ended.err
    billed = sum(int(row["prompt_tokens"]) for row in rows(tmp_path).values())
    around = costs.TOKENS_PER_MESSAGE + costs.TOKENS_PER_REPLY
    assert f"6 requests to {MODEL}, about {billed + 6 * around:,} prompt tokens" in ended.err


def test_pictures_keep_to_the_budget(tmp_path: Path, server: Server) -> None:
    for number in range(12):
        write(tmp_path / "in", f"{number}.jpg", width=1000 + number, height=1000)
    server.change(prompt_tokens=image_tokens, completion_tokens=20)
    cap = Decimal("0.04")
    prompt(tmp_path, "user:\n{{ image }}")
    command = ["run", "in", "-p", "look.prompty", "--max-cost", cap]
    ended = ask(tmp_path, server, *command)
    assert ended.code == 3
    assert price(server.tally.billed) <= cap
    answered = server.tally.answered
    assert answered >= 5
    assert column(rows(tmp_path).values(), "status").count("ok") == answered


def test_the_scanned_pages_of_a_typed_document_are_named_in_its_row(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "half.pdf").write_bytes(pdf("Typed.", "", "Typed, too.", ""))
    ended = pipeline(*("summarize", "docs", "-o", "out.csv", "--model", "echo"), folder=tmp_path)
    assert ended.code == 0
    (row,) = read_rows(tmp_path / "out.csv")
    assert (row["status"], row["error"]) == (
        "ok",
        "not asked about: the scans in it, pages 2, 4 of 4",
    )
    assert any("pages 2, 4 of 4" in line for line in ended.lines)
