from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.sources.opening import open_source
from pipeline.types import Column, Document


def table(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "t.jsonl"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        (b'{"a": 1, "b": 2.50, "c": true, "d": null}', {"a": 1, "b": 2.5, "c": True, "d": None}),
        (b'{"a": {"b": [1, {"c": "d"}]}}', {"a": {"b": [1, {"c": "d"}]}}),
        (b'{"a": 123456789012345678901234567890}', {"a": 123456789012345678901234567890}),
        (b'{"a": [-9223372036854775809]}', {"a": [-9223372036854775809]}),
        (b'{"a": "00712345678901234567890"}', {"a": "00712345678901234567890"}),
        (b'{"a": {"b": [18446744073709551616]}}', {"a": {"b": [18446744073709551616]}}),
        (b'{"a": -9223372036854775809}', {"a": -9223372036854775809}),
        (b'{"a": 1e300}', {"a": 1e300}),
        (b'{"a": 1e400}', {"a": float("inf")}),
        (b'{"a": "\\u00e9\\ud83d\\ude00"}', {"a": "é😀"}),
        ('{"a": "x\u2028y"}'.encode(), {"a": "x\u2028y"}),
        (b'{"a": "hello \\ud83d there", "b": 7}', {"a": "hello \ufffd there", "b": 7}),
        (b'{"a": "\\uDE00\\ud83d", "b": 1.50}', {"a": "\ufffd\ufffd", "b": 1.5}),
        (b'{"a": ["\\ud83d\\ude00", {"\\udfff": null}]}', {"a": ["😀", {"\ufffd": None}]}),
        (b'{"a": "\\\\ud83d"}', {"a": "\\ud83d"}),
    ],
)
def test_values_keep_their_types(tmp_path: Path, line: bytes, fields: dict[str, object]) -> None:
    (document,) = open_source(str(table(tmp_path, line + b"\n")))
    assert document.fields == fields
    for value, expected in zip(document.fields.values(), fields.values(), strict=True):
        assert isinstance(value, type(expected))


def test_columns_are_all_keys_in_the_order_they_come_up(tmp_path: Path) -> None:
    source = open_source(str(table(tmp_path, b'{"b": 1}\n{"a": 2, "b": 3}\n{"c": 4}\n')))
    assert source.columns == (Column("b"), Column("a"), Column("c"))
    assert [document.fields for document in source] == [{"b": 1}, {"a": 2, "b": 3}, {"c": 4}]


@pytest.mark.parametrize(
    "line",
    [b"[1]", b"null", b'"text"', b"{", b'{"a": 1} {"a": 2}', b"{'a': 1}"],
)
def test_a_line_that_is_no_object_fails_alone(tmp_path: Path, line: bytes) -> None:
    path = table(tmp_path, b'{"text": "a"}\n\n' + line + b'\r\n{"text": "b"}')
    assert list(open_source(str(path))) == [
        Document(0, "t.jsonl, line 1", {"text": "a"}, "a"),
        Document(1, "t.jsonl, line 3", {}, "", "t.jsonl, line 3: not a JSON object"),
        Document(2, "t.jsonl, line 4", {"text": "b"}, "b"),
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b'"x"', "x"),
        (b"null", ""),
        (b"7", "7"),
        (b'["caf\xc3\xa9", {"a": null}]', '["café", {"a": null}]'),
    ],
)
def test_the_text_is_the_cell_as_a_string(tmp_path: Path, value: bytes, text: str) -> None:
    (document,) = open_source(str(table(tmp_path, b'{"id": 1, "text": ' + value + b"}")))
    assert document.text == text


def test_a_row_without_the_text_column_has_no_text(tmp_path: Path) -> None:
    path = table(tmp_path, b'{"id": 1, "text": "a"}\n{"id": 2}\n')
    assert [document.text for document in open_source(str(path))] == ["a", ""]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_any_encoding_of_unicode_is_read(tmp_path: Path, encoding: str) -> None:
    path = table(tmp_path, '{"text": "é"}\n'.encode(encoding))
    assert [document.text for document in open_source(str(path))] == ["é"]


@pytest.mark.parametrize("data", [b"", b"\n", b'[\n{"a": 1}]\n', b"{}\n"])
def test_a_file_without_objects_is_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(UsageError) as raised:
        open_source(str(table(tmp_path, data)))
    assert str(raised.value) == (
        "t.jsonl has no columns; each of its lines has to be a JSON object"
    )
