"""`--fields`: a schema in a line."""

from __future__ import annotations

from typing import Any

import pytest

from pipeline.errors import UsageError
from pipeline.prompting import schema, strictness
from pipeline.prompting.fields import read
from pipeline.types import Column


def test_fields_become_properties_that_may_be_null() -> None:
    found = read("vendor, date: date, total: number (with tax, in EUR), kind: invoice|receipt")
    assert found == {
        "type": "object",
        "properties": {
            "vendor": {"type": ["string", "null"]},
            "date": {"type": ["string", "null"], "format": "date"},
            "total": {"type": ["number", "null"], "description": "with tax, in EUR"},
            "kind": {
                "anyOf": [{"type": "string", "enum": ["invoice", "receipt"]}, {"type": "null"}]
            },
        },
        "required": ["vendor", "date", "total", "kind"],
    }
    schema.check(found)
    assert strictness.strict(found) == {**found, "additionalProperties": False}
    assert schema.columns(found) == [
        Column("vendor", "text"),
        Column("date", "any"),
        Column("total", "number"),
        Column("kind", "text"),
    ]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a", {"type": ["string", "null"]}),
        ("a:", {"type": ["string", "null"]}),
        (" a : Integer ", {"type": ["integer", "null"]}),
        ("a: bool", {"type": ["boolean", "null"]}),
        ("a: text[]", {"type": ["array", "null"], "items": {"type": "string"}}),
        (
            "a: x|y[]",
            {"type": ["array", "null"], "items": {"type": "string", "enum": ["x", "y"]}},
        ),
        ("a (who, when)", {"type": ["string", "null"], "description": "who, when"}),
        ("a,", {"type": ["string", "null"]}),
    ],
)
def test_a_field_has_a_type(text: str, part: dict[str, Any]) -> None:
    assert read(text)["properties"] == {"a": part}


@pytest.mark.parametrize("name", ["order no.", "Größe", "a-b", "名前", "$"])
def test_names_are_taken_as_they_are(name: str) -> None:
    assert list(read(f"{name}, other: number")["properties"]) == [name, "other"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: money", "--fields: a can't be 'money'; a field is text, number, integer, boolean, "),
        ("a, b, a", "--fields: 'a' is there twice"),
        ("a: x|", "--fields: a: 'x|' is no choice of different values"),
        ("a: x|x", "--fields: a: 'x|x' is no choice of different values"),
        ("", "--fields is empty"),
        (", a", "--fields: can't read ', a'; write them as in "),
        ("a: b: c", "--fields: a can't be 'b: c'"),
        ("a (b", "--fields: can't read 'a (b'"),
    ],
)
def test_what_is_no_field_is_refused(text: str, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(text)
    assert str(caught.value).startswith(problem)
