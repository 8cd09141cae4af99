"""Tables as they really are, through a whole run: whatever they are kept in, it comes out."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import zipfile
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.sources.opening import open_source
from tests.running import Ended, run_here

ECHO = ("--instruction", "Answer.", "--model", "echo")
Cells = list[list[str]]

# Texts that are long enough for the encoding to be found out, as a user's would be.
TEXTS = {
    "utf-8": "Grüße aus Köln — “schön” 😀 名前",
    "utf-8-sig": "Grüße aus Köln — “schön” 😀 名前",
    "utf-16": "Grüße aus Köln — “schön” 😀 名前",
    "utf-16-le": "Grüße aus Köln, it is an ordinary letter",
    "utf-16-be": "Grüße aus Köln, it is an ordinary letter",
    "utf-32": "Grüße aus Köln — “schön” 😀 名前",
    "cp1252": "Le café était déjà fermé, l’été à la plage coûte 5 €",
    "cp1250": "Příliš žluťoučký kůň úpěl ďábelské ódy",
    "cp1251": "Здравствуйте, заказ ещё не пришёл, верните деньги",
    "koi8-r": "Здравствуйте, заказ не пришёл, верните деньги",
    "shift_jis": "注文した商品がまだ届いていません。返金してください。",
    "euc_jp": "注文した商品がまだ届いていません。返金してください。",
    "gb18030": "我订购的商品还没有送到，请尽快退款。谢谢您的帮助",
    "big5": "我訂購的商品還沒有送到，請盡快退款。謝謝您的幫助",
    "euc_kr": "주문한 상품이 아직 도착하지 않았습니다. 환불해 주세요",
}
WAYS = list(itertools.product(",;\t|", ["\n", "\r\n", "\r"]))


def run(*arguments: object) -> Ended:
    ended = run_here("run", *arguments, *ECHO)
    assert ended.code == 0, ended.err
    return ended


def read_csv(data: bytes, encoding: str = "utf-8", delimiter: str = ",") -> Cells:
    text = io.StringIO(data.decode(encoding), newline="")
    return list(csv.reader(text, delimiter=delimiter, strict=True))


def write_csv(rows: Cells, delimiter: str, line_end: str) -> str:
    """Write a table with an empty line in it and no line end at its end."""
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter, lineterminator=line_end).writerows(rows)
    header, _, rest = file.getvalue().partition(line_end)
    return f"{header}{line_end}{line_end}{rest}".removesuffix(line_end)


@pytest.mark.parametrize("encoding", TEXTS)
def test_each_cell_comes_out_whatever_the_encoding_the_delimiter_and_the_line_end(
    tmp_path: Path, encoding: str
) -> None:
    for number, (delimiter, line_end) in enumerate(WAYS):
        text = TEXTS[encoding]
        awkward = f'{text}{delimiter} "quoted",;\t|{line_end}second line, {text}'
        rows = [["id", "text", "a name"], ["007", text, " NA "], ["", awkward, "=1+1"]]
        path, output = tmp_path / f"{number}.csv", tmp_path / f"{number}-out.csv"
        path.write_bytes(write_csv(rows, delimiter, line_end).encode(encoding))
        run(path, "-o", output)
        found = read_csv(output.read_bytes(), encoding, delimiter)
        assert [row[:3] for row in found] == rows
        assert [row[3] for row in found[1:]] == [text, awkward]


@pytest.mark.parametrize(
    ("data", "options"),
    [
        ("text\nŠkoda\n".encode("iso8859_2"), ["--encoding", "iso8859_2"]),
        ("\ufefftext\nŠkoda\n".encode(), ["--encoding", "utf-8"]),
        ("text\nŠkoda\n".encode("utf-16"), ["--encoding", "utf-16-le"]),
        ("text#b\nŠkoda#2\n".encode(), ["--delimiter", "#"]),
        ("text,x\tb\nŠkoda\t2\n".encode(), ["--delimiter", "tab", "--text-column", "text,x"]),
        ("sep=#\r\ntext#b\r\nŠkoda#2\r\n".encode(), []),
        ("Name, first;text\nAda;Škoda\n".encode(), []),
    ],
)
def test_a_table_is_read_as_the_user_says(
    tmp_path: Path, data: bytes, options: Sequence[str]
) -> None:
    (tmp_path / "in.csv").write_bytes(data)
    run(tmp_path / "in.csv", "-o", tmp_path / "out.csv", *options)
    assert [row.fields["output"] for row in open_source(str(tmp_path / "out.csv"))] == ["Škoda"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--encoding", "utf-8"],
            "in.csv, line 2: byte 5 of the file is not UTF-8 text; leave --encoding out, "
            "or save the file as UTF-8 (--encoding-errors replace reads such bytes as \ufffd)",
        ),
        (
            ["--encoding", "latin9000"],
            "--encoding latin9000: no encoding has this name; "
            "they are called utf-8, utf-16, cp1252, shift_jis and so on",
        ),
        (
            ["--delimiter", '"'],
            "--delimiter \": give what is between cells: ';', tab, '||', '\\x01'...",
        ),
        (
            ["--sheet", "2"],
            "--sheet names a sheet of a workbook, and in.csv is none; leave --sheet out",
        ),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, options: list[str], message: str) -> None:
    (tmp_path / "in.csv").write_bytes("text\nà la carte\n".encode("cp1252"))
    ended = run_here("run", tmp_path / "in.csv", "-o", tmp_path / "out.csv", *ECHO, *options)
    assert (ended.code, ended.errors) == (2, [f"error: {message}"])


def test_what_was_found_out_or_named_anew_is_said(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes("text,a,a,\nDéjà vu à l’été,1,2,3\n".encode("cp1252"))
    ended = run(tmp_path / "in.csv", "-o", tmp_path / "out.csv")
    assert ended.lines[:2] == [
        'in.csv: another column "a" is called "a_2", a column without a name is called "column_4"',
        "in.csv: detected encoding Windows-1252 (use --encoding to change it)",
    ]


def test_any_column_can_be_named_in_a_prompt(tmp_path: Path) -> None:
    names = ["Customer Name", "order.id", "größe", "2024", "a", "a", "text"]
    body = (
        '{{ row["Customer Name"] }} {{ Customer_Name }} {{ order_id }} {{ größe }} '
        '{{ row["2024"] }} {{ _2024 }} {{ a }} {{ a_2 }} {{ text }}'
    )
    (tmp_path / "p.prompty").write_text(f"---\nname: p\n---\nuser:\n{body}\n", encoding="utf-8")
    file = io.StringIO(newline="")
    csv.writer(file).writerows([names, list("1234567")])
    (tmp_path / "in.csv").write_text(file.getvalue(), encoding="utf-8")
    output = tmp_path / "out.csv"
    prompt = ("-p", tmp_path / "p.prompty", "--model", "echo")
    assert run_here("run", tmp_path / "in.csv", "-o", output, *prompt).code == 0
    header, row = read_csv(output.read_bytes())
    assert row[header.index("output")].split() == list("112344567")


def test_a_header_alone_gives_a_header_alone(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("id,text\n", encoding="utf-8")
    run(tmp_path / "in.csv", "-o", tmp_path / "out.csv")
    (header,) = read_csv((tmp_path / "out.csv").read_bytes())
    assert header[:3] == ["id", "text", "output"]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
@pytest.mark.parametrize("packing", [".gz", ".zip"])
def test_packed_tables_go_in_and_out(tmp_path: Path, suffix: str, packing: str) -> None:
    (tmp_path / "in.csv").write_text('id,text\n007,"à ""b""\n"\n008,x\n', encoding="utf-8")
    packed = tmp_path / f"packed{suffix}{packing}"
    run(tmp_path / "in.csv", "-o", packed)
    # What was written packed is read packed, and by those who know the format.
    data = packed.read_bytes()
    if packing == ".gz":
        plain = gzip.decompress(data)
    else:
        with zipfile.ZipFile(packed) as archive:
            assert archive.namelist() == [f"packed{suffix}"]
            plain = archive.read(f"packed{suffix}")
        packed = packed.rename(tmp_path / "packed.zip")
    run(packed, "-o", tmp_path / f"out{suffix}", "--text-column", "text", "--prefix", "second_")
    again = (tmp_path / f"out{suffix}").read_bytes()
    assert plain.startswith(again[:8])
    run(packed, "-o", tmp_path / "out.csv", "--text-column", "text", "--prefix", "second_")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text(), newline="")))
    assert [(row["id"], row["text"], row["second_output"]) for row in rows] == [
        ("007", 'à "b"\n', 'à "b"\n'),
        ("008", "x", "x"),
    ]


def zip_of(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), data)
    return path


def test_of_an_archive_with_several_tables_one_is_named(tmp_path: Path) -> None:
    both = zip_of(tmp_path / "both.zip", a_csv=b"text\nA\n", sub__b_csv=b"text\nB\n")
    ended = run_here("run", both, "-o", tmp_path / "out.csv", *ECHO)
    assert ended.errors == [
        f"error: {both} holds 2 tables: a.csv, sub/b.csv; name one, such as {both}/a.csv"
    ]
    run(both / "sub/b.csv", "-o", tmp_path / "out.csv")
    assert read_csv((tmp_path / "out.csv").read_bytes())[1][0] == "B"
    ended = run_here("run", both / "b.csv", "-o", tmp_path / "c.csv", *ECHO)
    assert ended.errors == [f"error: {both} holds no file b.csv; did you mean sub/b.csv?"]


def test_workbooks_and_parquet_are_read_from_archives(tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": ["a", "b"], "n": [1, 2]})
    frame.to_excel(tmp_path / "in.xlsx", index=False)
    frame.to_parquet(tmp_path / "in.parquet")
    book = zip_of(tmp_path / "book.zip", in_xlsx=(tmp_path / "in.xlsx").read_bytes())
    column = tmp_path / "in.parquet.gz"
    column.write_bytes(gzip.compress((tmp_path / "in.parquet").read_bytes()))
    for number, path in enumerate([book, column]):
        output = tmp_path / f"{number}.csv"
        run(path, "-o", output)
        assert [row[:2] for row in read_csv(output.read_bytes())[1:]] == [["a", "1"], ["b", "2"]]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        (
            "bomb.csv.gz",
            lambda: gzip.compress(b"text\n" + bytes(100_000_000)),
            "bomb.csv.gz, line 2: over 33 MB without a line end, which is no row of a table",
        ),
        (
            "bomb.parquet.gz",
            lambda: gzip.compress(bytes(100_000_000)),
            "bomb.parquet.gz unpacks to over 76 MB, 100 times what it is: "
            "unpack it yourself if you trust it",
        ),
        (
            "quote.csv",
            lambda: b'id,text\n1,a\n2,"' + b"a line\n" * 5_000_000,
            "quote.csv, line 3: a row of over 33 million characters; "
            "is a quote there never closed?",
        ),
        (
            "cut.csv.gz",
            lambda: gzip.compress(b"text\n" + b"a line\n" * 1000)[:-9],
            "cut.csv.gz is damaged: Compressed file ended before the end-of-stream marker was "
            "reached; get or make it again",
        ),
    ],
)
def test_what_would_not_fit_into_memory_or_is_damaged_is_refused(
    tmp_path: Path, name: str, data: Callable[[], bytes], message: str
) -> None:
    (tmp_path / name).write_bytes(data())
    ended = run_here("run", tmp_path / name, "-o", tmp_path / "out.csv", *ECHO)
    assert (ended.code, ended.errors) == (2, [f"error: {message}"])


def test_numbers_of_json_lines_come_out_as_they_were_written(tmp_path: Path) -> None:
    lines = [
        '{"text":"a","price":1.10,"list":[1E5,-0,-0.0,1e400],"id":123456789012345678901234567890}',
        '{"text":"b","price":NaN,"list":[Infinity,{"x":2.50}],"id":0}',
    ]
    (tmp_path / "in.jsonl").write_text("\n".join(lines), encoding="utf-8")
    run(tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl")
    found = (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
    assert [line[: len(given) - 1] for line, given in zip(found, lines, strict=True)] == [
        line[:-1] for line in lines
    ]


def test_parquet_keeps_its_schema_and_its_categories(tmp_path: Path) -> None:
    levels = pd.Categorical(["hi", "lo", None], ["lo", "mid", "hi", "never"], ordered=True)
    table = pa.Table.from_pandas(pd.DataFrame({"text": ["a", "b", "c"], "level": levels}))
    moments = pa.array([1_700_000_000_123_456_789, None, 0], pa.timestamp("ns", "Europe/Berlin"))
    nested = pa.array(
        [[{"a": [Decimal("1.10")]}], [], None],
        pa.list_(pa.struct([("a", pa.list_(pa.decimal128(5, 2)))])),
    )
    pairs = pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int8()))
    needed = pa.field("needed", pa.int16(), nullable=False, metadata={"unit": "kg"})
    for field, array in [
        (pa.field("moment", moments.type), moments),
        (pa.field("nested", nested.type), nested),
        (pa.field("pairs", pairs.type), pairs),
        (needed, pa.array([1, 2, 3], pa.int16())),
    ]:
        table = table.append_column(field, array)
    pq.write_table(table, tmp_path / "in.parquet", compression="gzip", row_group_size=2)
    run(tmp_path / "in.parquet", "-o", tmp_path / "out.parquet")
    given = pq.read_table(tmp_path / "in.parquet")
    found = pq.read_table(tmp_path / "out.parquet").select(given.schema.names)
    assert found.equals(given)
    assert list(found.schema) == list(given.schema)
    assert [field.metadata for field in found.schema] == [f.metadata for f in given.schema]
    assert found["level"].to_pandas().dtype == levels.dtype
