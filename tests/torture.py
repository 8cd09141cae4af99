"""Sixty schemas that people write: each with an answer that fits it and one that doesn't."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
INTEGER: Schema = {"type": "integer"}
BOOLEAN: Schema = {"type": "boolean"}
NULL: Schema = {"type": "null"}


def an_object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties}


def optional(schema: Schema, *names: str) -> Schema:
    """Leave these properties out of what is required."""
    return {**schema, "required": [name for name in schema["properties"] if name not in names]}


def a_list(items: Schema, **more: object) -> Schema:
    return {"type": "array", "items": items, **more}


def either(*schemas: Schema) -> Schema:
    return {"anyOf": list(schemas)}


def ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def deep(levels: int) -> Schema:
    schema = an_object(leaf=INTEGER)
    for _ in range(levels):
        schema = an_object(next=schema)
    return schema


def deep_value(levels: int, leaf: object) -> dict[str, Any]:
    value: dict[str, Any] = {"leaf": leaf}
    for _ in range(levels):
        value = {"next": value}
    return value


TREE = {
    **an_object(tree=ref("node")),
    "$defs": {"node": an_object(name=TEXT, children=a_list(ref("node")))},
}
CHAIN = {
    **an_object(head=ref("link")),
    "$defs": {"link": an_object(value=INTEGER, next=either(ref("link"), NULL))},
}
PERSON = an_object(name=TEXT, age=INTEGER)
LINE = an_object(item=TEXT, quantity=INTEGER, price=NUMBER)
MIXED = an_object(kind={"const": "a"}, size=INTEGER)
OTHER = an_object(kind={"const": "b"}, title=TEXT)

# A name: the schema, an answer that fits, an answer that doesn't.
TABLE: dict[str, tuple[Schema, dict[str, Any], object]] = {
    "text": (an_object(a=TEXT), {"a": "x"}, {"a": 1}),
    "integer": (an_object(a=INTEGER), {"a": 7}, {"a": 7.5}),
    "number": (an_object(a=NUMBER), {"a": 7.25}, {"a": "7.25"}),
    "boolean": (an_object(a=BOOLEAN), {"a": True}, {"a": "true"}),
    "date": (
        an_object(a={"type": "string", "format": "date"}),
        {"a": "2026-05-03"},
        {"a": "3 May"},
    ),
    "time of day": (
        an_object(a={"type": "string", "format": "date-time"}),
        {"a": "2026-05-03T10:00:00Z"},
        {"a": "noon"},
    ),
    "email": (
        an_object(a={"type": "string", "format": "email"}),
        {"a": "a@b.org"},
        {"a": "a at b"},
    ),
    "several": (an_object(a=TEXT, b=INTEGER, c=BOOLEAN), {"a": "", "b": 0, "c": False}, {"a": ""}),
    "enum": (an_object(a={"type": "string", "enum": ["x", "y"]}), {"a": "y"}, {"a": "z"}),
    "enum without a type": (an_object(a={"enum": ["x", "y"]}), {"a": "x"}, {"a": ["x"]}),
    "enum of numbers": (an_object(a={"type": "integer", "enum": [1, 2]}), {"a": 2}, {"a": 3}),
    "enum of all kinds": (an_object(a={"enum": ["x", 1, True]}), {"a": 1}, {"a": "1"}),
    "enum with null": (an_object(a={"enum": ["x", None]}), {"a": None}, {"a": "none"}),
    "enum of one": (an_object(a={"type": "string", "enum": ["only"]}), {"a": "only"}, {"a": ""}),
    "enum with spaces": (
        an_object(a={"type": "string", "enum": ["very good", "very bad"]}),
        {"a": "very good"},
        {"a": "good"},
    ),
    "enum with quotes": (
        an_object(a={"type": "string", "enum": ['5" pipe', "6' rod", "a\\b"]}),
        {"a": '5" pipe'},
        {"a": "5 inch pipe"},
    ),
    "const": (an_object(a={"const": "fixed"}, b=TEXT), {"a": "fixed", "b": "x"}, {"a": "b"}),
    "numbers as text": (an_object(a=TEXT, b=TEXT), {"a": "007", "b": "1e5"}, {"a": 7, "b": "1"}),
    "enum of numbers as text": (
        an_object(a={"type": "string", "enum": ["1", "2"]}),
        {"a": "1"},
        {"a": 1},
    ),
    "a whole number with a point": (an_object(a=INTEGER), {"a": 3.0}, {"a": 3.1}),
    "a long integer": (an_object(a=INTEGER), {"a": 9_007_199_254_740_993}, {"a": "9e15"}),
    "a negative exponent": (an_object(a=NUMBER), {"a": 1e-9}, {"a": None}),
    "bounds": (
        an_object(a={"type": "integer", "minimum": 1, "maximum": 5}),
        {"a": 5},
        {"a": 6},
    ),
    "exclusive bounds": (
        an_object(a={"type": "number", "exclusiveMinimum": 0}),
        {"a": 0.5},
        {"a": 0},
    ),
    "multiples": (an_object(a={"type": "number", "multipleOf": 0.5}), {"a": 1.5}, {"a": 1.2}),
    "pattern": (
        an_object(a={"type": "string", "pattern": "^[A-Z]{2}\\d+$"}),
        {"a": "AB12"},
        {"a": "12AB"},
    ),
    "lengths": (
        an_object(a={"type": "string", "minLength": 2, "maxLength": 4}),
        {"a": "abc"},
        {"a": "a"},
    ),
    "nullable": (an_object(a={"type": ["string", "null"]}), {"a": None}, {"a": 1}),
    "nullable number": (an_object(a={"type": ["number", "null"]}), {"a": 2.5}, {"a": "n/a"}),
    "nullable by a choice": (an_object(a=either(INTEGER, NULL)), {"a": 4}, {"a": "four"}),
    "null first": (an_object(a=either(NULL, BOOLEAN)), {"a": False}, {"a": 0}),
    "nullable enum": (
        an_object(a=either({"type": "string", "enum": ["x"]}, NULL)),
        {"a": None},
        {"a": "y"},
    ),
    "optional left out": (optional(an_object(a=TEXT, b=INTEGER), "b"), {"a": "x"}, {"b": 1}),
    "optional as null": (
        optional(an_object(a=TEXT, b=INTEGER), "b"),
        {"a": "x", "b": None},
        {"a": "x", "b": "none"},
    ),
    "all optional": (optional(an_object(a=TEXT), "a"), {"a": None}, {"a": 1}),
    "optional inside": (
        an_object(a=optional(an_object(b=TEXT, c=TEXT), "c")),
        {"a": {"b": "x"}},
        {"a": {"c": "x"}},
    ),
    "list of texts": (an_object(a=a_list(TEXT)), {"a": ["x", "y"]}, {"a": "x, y"}),
    "empty list": (an_object(a=a_list(TEXT)), {"a": []}, {"a": {}}),
    "list of numbers": (an_object(a=a_list(NUMBER)), {"a": [1, 2.5]}, {"a": ["1"]}),
    "list of lists": (an_object(a=a_list(a_list(INTEGER))), {"a": [[1], []]}, {"a": [1]}),
    "list of choices": (
        an_object(a=a_list({"type": "string", "enum": ["x", "y"]})),
        {"a": ["y", "x"]},
        {"a": ["z"]},
    ),
    "list of a size": (
        an_object(a=a_list(INTEGER, minItems=2, maxItems=3)),
        {"a": [1, 2]},
        {"a": [1]},
    ),
    "list without repeats": (
        an_object(a=a_list(INTEGER, uniqueItems=True)),
        {"a": [1, 2]},
        {"a": [1, 1]},
    ),
    "list of objects": (
        an_object(lines=a_list(LINE)),
        {"lines": [{"item": "pen", "quantity": 2, "price": 1.5}]},
        {"lines": [{"item": "pen", "quantity": "2", "price": 1.5}]},
    ),
    "pair": (
        an_object(a={"type": "array", "prefixItems": [TEXT, INTEGER], "items": False}),
        {"a": ["x", 1]},
        {"a": [1, "x"]},
    ),
    "object inside": (an_object(who=PERSON), {"who": {"name": "Ann", "age": 3}}, {"who": "Ann"}),
    "closed object": (
        {**an_object(a=TEXT), "additionalProperties": False},
        {"a": "x"},
        {"a": "x", "b": 1},
    ),
    "map": (
        an_object(a={"type": "object", "additionalProperties": NUMBER}),
        {"a": {"x": 1, "y": 2.5}},
        {"a": {"x": "one"}},
    ),
    "ten levels": (deep(10), deep_value(10, 1), deep_value(10, "1")),
    "ninety levels": (deep(90), deep_value(90, 1), deep_value(90, None)),
    "union of kinds": (an_object(a=either(TEXT, INTEGER)), {"a": 5}, {"a": [5]}),
    "union by types": (an_object(a={"type": ["string", "integer"]}), {"a": "5"}, {"a": 5.5}),
    "union of objects": (
        an_object(a=either(MIXED, OTHER)),
        {"a": {"kind": "b", "title": "x"}},
        {"a": {"kind": "c", "title": "x"}},
    ),
    "exactly one": (
        an_object(a={"oneOf": [TEXT, INTEGER]}),
        {"a": "x"},
        {"a": None},
    ),
    "all of": (
        an_object(a={"allOf": [an_object(b=TEXT), an_object(c=TEXT)]}),
        {"a": {"b": "x", "c": "y"}},
        {"a": {"b": "x", "c": 1}},
    ),
    "definitions": (
        {**an_object(a=ref("p"), b=ref("p")), "$defs": {"p": PERSON}},
        {"a": {"name": "A", "age": 1}, "b": {"name": "B", "age": 2}},
        {"a": {"name": "A", "age": 1}, "b": "the same"},
    ),
    "a tree": (
        TREE,
        {"tree": {"name": "x", "children": [{"name": "y", "children": []}]}},
        {"tree": {"name": "x", "children": [{"name": "y"}]}},
    ),
    "a chain": (
        CHAIN,
        {"head": {"value": 1, "next": {"value": 2, "next": None}}},
        {"head": {"value": 1, "next": {"value": "2", "next": None}}},
    ),
    "unicode keys": (
        an_object(**{"Größe": NUMBER, "名前": TEXT, "😀": BOOLEAN}),
        {"Größe": 1.5, "名前": "山田", "😀": True},
        {"Grosse": 1.5, "名前": "山田", "😀": True},
    ),
    "odd keys": (
        an_object(**{"a b": TEXT, "a.b": TEXT, "$ref-ish": TEXT, "properties": TEXT, "'": TEXT}),
        {"a b": "1", "a.b": "2", "$ref-ish": "3", "properties": "4", "'": "5"},
        {"a b": "1"},
    ),
    "awkward texts": (
        an_object(a=TEXT, b=TEXT),
        {"a": '```json\n{"a": 1}\n```', "b": '{ "x": } \\ \u2028 \x00 </s> 😀'},
        {"a": {"b": "c"}},
    ),
}
