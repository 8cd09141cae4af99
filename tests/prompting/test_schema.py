"""Response formats as strict mode wants them, and answers as they come back."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import RejectedError, UsageError
from pipeline.prompting import schema, strictness
from pipeline.types import Column

TEXT = {"type": "string"}


def an_object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def closed(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("given_schema", "strict"),
    [
        pytest.param(an_object(a=TEXT, b=TEXT), closed(a=TEXT, b=TEXT), id="closed, all required"),
        pytest.param(
            {**an_object(a=TEXT, b={"type": "integer"}), "required": ["a"]},
            closed(a=TEXT, b={"type": ["integer", "null"]}),
            id="optional may be null",
        ),
        pytest.param(
            {**an_object(a={"enum": ["x"], "type": "string"}), "required": []},
            closed(a={"anyOf": [{"enum": ["x"], "type": "string"}, {"type": "null"}]}),
            id="optional enum",
        ),
        pytest.param(
            {
                **an_object(a={"$ref": "#/$defs/b"}),
                "required": [],
                "$defs": {"b": an_object(c=TEXT)},
            },
            {
                **closed(a={"anyOf": [{"$ref": "#/$defs/b"}, {"type": "null"}]}),
                "$defs": {"b": closed(c=TEXT)},
            },
            id="references",
        ),
        pytest.param(
            an_object(a={"type": "array", "items": an_object(b=TEXT)}),
            closed(a={"type": "array", "items": closed(b=TEXT)}),
            id="items",
        ),
        pytest.param(
            an_object(a={"anyOf": [an_object(b=TEXT), {"type": "null"}]}),
            closed(a={"anyOf": [closed(b=TEXT), {"type": "null"}]}),
            id="alternatives",
        ),
        pytest.param(
            {**an_object(a=TEXT), "additionalProperties": True, "title": "T"},
            {**closed(a=TEXT), "title": "T"},
            id="open one is closed",
        ),
        pytest.param(
            {**an_object(a={"$ref": "#/$defs/b", "description": "B"}), "$defs": {"b": TEXT}},
            {
                **closed(a={"anyOf": [{"$ref": "#/$defs/b"}], "description": "B"}),
                "$defs": {"b": TEXT},
            },
            id="nothing beside a reference",
        ),
        pytest.param(
            an_object(a={**TEXT, "default": "x", "examples": ["y"], "deprecated": True}),
            closed(a=TEXT),
            id="what says nothing of an answer",
        ),
        pytest.param(
            an_object(a={**TEXT, "minLength": 2, "format": "uri", "description": "An address."}),
            closed(a={**TEXT, "description": "An address. (minLength: 2, format: uri)"}),
            id="bounds in words",
        ),
        pytest.param(
            an_object(a={**TEXT, "format": "date", "pattern": "^2"}),
            closed(a={**TEXT, "format": "date", "pattern": "^2"}),
            id="bounds that are known",
        ),
        pytest.param(
            an_object(default=TEXT, minLength=TEXT, format=TEXT),
            closed(default=TEXT, minLength=TEXT, format=TEXT),
            id="properties named as refused keywords are",
        ),
        pytest.param(
            an_object(properties=TEXT, required=TEXT, items=TEXT, anyOf=TEXT),
            closed(properties=TEXT, required=TEXT, items=TEXT, anyOf=TEXT),
            id="properties named as keywords are",
        ),
    ],
)
def test_a_schema_is_made_strict(given_schema: dict[str, Any], strict: dict[str, Any]) -> None:
    before = json.dumps(given_schema)
    assert strictness.strict(given_schema) == strict
    assert json.dumps(given_schema) == before
    assert strictness.strict(strict) == strict


PARTS = st.recursive(
    st.sampled_from(
        [TEXT, {"type": "integer"}, {"type": "boolean"}, {"enum": ["a", "b"], "type": "string"}]
    ),
    lambda part: st.one_of(
        st.builds(lambda items: {"type": "array", "items": items}, part),
        st.dictionaries(st.sampled_from("abc"), part, min_size=1).flatmap(
            lambda parts: st.lists(st.sampled_from(sorted(parts)), unique=True).map(
                lambda required: {**an_object(**parts), "required": required}
            )
        ),
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(part=PARTS)
def test_what_fits_the_strict_schema_fits_the_one_that_was_given(part: dict[str, Any]) -> None:
    """A strict answer that leaves an optional property out by null says what the schema allows."""
    strict = strictness.strict(an_object(part=part))
    answer = {"part": _instance(strict["properties"]["part"])}
    assert jsonschema_rs.is_valid(strict, answer)
    assert jsonschema_rs.is_valid(an_object(part=part), _without_nulls(answer))


def _instance(part: dict[str, Any]) -> object:
    """Make an instance, with null wherever it is allowed."""
    kind = part.get("type", "null")
    if isinstance(kind, list):
        return None
    if kind == "object":
        return {name: _instance(inner) for name, inner in part["properties"].items()}
    if kind == "array":
        return [_instance(part["items"])]
    return {"string": "a", "integer": 1, "boolean": True, "null": None}[kind]


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(part) for name, part in value.items() if part is not None}
    return [_without_nulls(part) for part in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        ({"type": "string"}, "text"),
        ({"type": "integer"}, "integer"),
        ({"type": "number"}, "number"),
        ({"type": "boolean"}, "boolean"),
        ({"type": "array", "items": TEXT}, "json"),
        ({"type": "object"}, "json"),
        ({"type": ["integer", "null"]}, "integer"),
        ({"type": ["null", "string"]}, "text"),
        ({"type": ["array", "null"]}, "json"),
        ({"enum": ["a", "b"]}, "text"),
        ({"enum": [1, "b"]}, "any"),
        ({"type": "integer", "enum": [1, 2]}, "integer"),
        ({"anyOf": [TEXT, {"type": "integer"}]}, "any"),
        ({}, "any"),
    ],
)
def test_a_column_holds_what_its_property_does(part: dict[str, Any], kind: Any) -> None:
    assert schema.columns(an_object(a=part, b=TEXT)) == [Column("a", kind), Column("b", "text")]


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"type": "object"}, "outputs: the schema must be `type: object` with `properties`"),
        (an_object(), "outputs: the schema must be `type: object` with `properties`"),
        (
            {"type": "array", "items": TEXT},
            "outputs: the schema must be `type: object` with `properties`",
        ),
        (
            an_object(a={"type": "text"}),
            'outputs: not a JSON Schema: "text" is not valid under any of the schemas listed in '
            "the 'anyOf' keyword (at properties/a/type)",
        ),
        (
            {"type": 7},
            "outputs: not a JSON Schema: 7 is not valid under any of the schemas listed in "
            "the 'anyOf' keyword (at type)",
        ),
        (
            an_object(a={"minLength": -1}),
            "outputs: not a JSON Schema: -1 is less than the minimum of 0 "
            "(at properties/a/minLength)",
        ),
    ],
)
def test_what_is_no_schema_of_an_object_is_refused(wrong: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        schema.check(wrong)
    assert str(caught.value) == problem


def test_a_schema_of_an_object_passes_as_it_is() -> None:
    given = an_object(a=TEXT)
    schema.check(given)
    assert given == an_object(a=TEXT)


@pytest.mark.parametrize(
    ("content", "value"),
    [
        ('{"a": "b"}', {"a": "b"}),
        ('\n {"a": null}\n', {"a": None}),
        ("{}", {}),
        ('{"a": 12345678901234567890123}', {"a": 12345678901234567890123}),
        ('{"a": "\\u00e9\\ud83d\\ude00"}', {"a": "é😀"}),
    ],
)
def test_an_answer_is_a_json_object(content: str, value: dict[str, object]) -> None:
    assert schema.parse(content) == value


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (
            "bug",
            "the answer is not JSON (Expecting value: line 1 column 1 (char 0)): 'bug'",
        ),
        (
            '{"label":\n"bug',
            "the answer is not JSON (Unterminated string starting at: line 2 column 1 (char 10)): "
            '\'{"label": "bug\'',
        ),
        ("", "the answer is not JSON (Expecting value: line 1 column 1 (char 0)): ''"),
        ("[1]", "the answer is a JSON list, not an object"),
        ('"bug"', "the answer is a JSON str, not an object"),
        ("null", "the answer is a JSON NoneType, not an object"),
    ],
)
def test_an_answer_that_is_none_is_rejected_with_its_start(content: str, problem: str) -> None:
    with pytest.raises(RejectedError) as caught:
        schema.parse(content)
    assert str(caught.value) == problem


@pytest.mark.parametrize(
    "content",
    ["[" * 2_000, '{"a":' * 2_000, '{"a": ' + "9" * 5_000 + "}"],
    ids=["deep list", "deep object", "long number"],
)
def test_an_answer_that_is_a_bomb_is_rejected(content: str) -> None:
    with pytest.raises(RejectedError):
        schema.parse(content)


def test_half_a_surrogate_pair_does_not_fit() -> None:
    checker = schema.Checker(an_object(a={"type": "string", "enum": ["x"]}))
    with pytest.raises(RejectedError, match="surrogates not allowed"):
        checker.fit('{"a": "\\ud800"}')


@pytest.mark.parametrize("depth", range(900, 1000))
def test_an_answer_that_can_just_be_read_is_not_lost(depth: int) -> None:
    content = f'So: {{"a": {"[" * depth}{"]" * depth}}}'
    assert schema.extract(content, an_object(a={"type": "array"})) in (content, content[4:])


@pytest.mark.parametrize(
    ("part", "cell"),
    [
        ({"type": "integer"}, "3"),
        ({"type": ["integer", "null"]}, "3"),
        ({"type": ["null", "integer"]}, "3"),
        ({"type": "number"}, "3.0"),
        ({"type": ["integer", "string"]}, "3.0"),
    ],
)
def test_a_whole_number_is_an_integer_where_that_is_its_type(
    part: dict[str, Any], cell: str
) -> None:
    assert repr(schema.cells({"a": 3.0}, an_object(a=part))["a"]) == cell


TWO = {
    "type": "object",
    "properties": {"label": {"type": "string", "enum": ["billing", "praise"]}},
}


@pytest.mark.parametrize(
    "said",
    [
        'It is not {"label": "praise"}. My answer: {"label": "billing"}',
        '{"label": "billing"} {"label": "praise"}',
        '{"label": "billing"}\n\nA {"label": "praise"} would be nicer.',
    ],
)
def test_of_several_objects_that_fit_none_is_the_answer(said: str) -> None:
    assert schema.extract(said, TWO) == said
    with pytest.raises(RejectedError, match="the answer has 2 JSON objects, not one"):
        schema.Checker(TWO).fit(said)


@pytest.mark.parametrize(
    "said",
    [
        '{"label": "billing"} and again {"label": "billing"}',
        'Like {"label": "..."}: {"label": "billing"}',
        '{"label": "Billing"}, that is {"label": "billing"}',
        'From {"total": 7} follows {"label": "billing"}',
    ],
)
def test_the_one_object_that_fits_is_the_answer(said: str) -> None:
    assert json.loads(schema.extract(said, TWO)) == {"label": "billing"}
