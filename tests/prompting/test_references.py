from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from pipeline.errors import RejectedError, UsageError
from pipeline.prompting import schema
from pipeline.prompting.references import resolve
from tests import bounded


def with_parts(part: object, **definitions: object) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": part}, "$defs": definitions}


def doubling(levels: int, *, through: str | None = None) -> dict[str, Any]:
    """Make a schema in which each part names the next one twice, on the same value or in it."""

    def part(number: int) -> dict[str, Any]:
        two = {"allOf": [{"$ref": f"#/$defs/d{number}"}] * 2}
        return two if through is None else {through: {"b": two} if through != "items" else two}

    definitions: dict[str, object] = {f"d{n}": part(n + 1) for n in range(levels)}
    definitions[f"d{levels}"] = {"type": "string"}
    return with_parts({"$ref": "#/$defs/d0"}, **definitions)


TREE = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "children": {"type": "array", "items": {"$ref": "#"}},
    },
}
EXPRESSION = with_parts(
    {"$ref": "#/$defs/expression"},
    expression={
        "anyOf": [{"type": "number"}, {"$ref": "#/$defs/sum"}, {"$ref": "#/$defs/product"}]
    },
    sum={"type": "array", "items": {"$ref": "#/$defs/expression"}},
    product={"type": "array", "items": {"$ref": "#/$defs/expression"}},
)


@pytest.mark.parametrize(
    ("outputs", "problem"),
    [
        (with_parts({"$ref": "#/$defs/x"}, x={"$ref": "#/$defs/x"}), "leads back to itself"),
        (
            with_parts({"$ref": "#/$defs/x"}, x={"anyOf": [{"$ref": "#/properties/a"}]}),
            "a `$ref` leads back to itself",
        ),
        (doubling(40), "a value would have to fit over 1,000 schemas at once"),
        (doubling(200, through="items"), "it goes over 100 levels deep"),
        (
            with_parts({"$ref": "#/$defs/y"}),
            "`$ref` '#/$defs/y' leads nowhere: only #/... into the schema itself",
        ),
        (
            with_parts({"$ref": "file:///etc/passwd"}),
            "`$ref` 'file:///etc/passwd' leads nowhere: only #/... into the schema itself",
        ),
        (
            with_parts({"$ref": "#/$defs/x"}, x={"$id": "http://other/", "type": "string"}),
            "`$id` isn't supported: use a `$ref` such as #/$defs/name",
        ),
        (
            with_parts({"$dynamicRef": "#x"}),
            "`$dynamicRef` isn't supported: use a `$ref` such as #/$defs/name",
        ),
        (
            with_parts({"type": "array", "items": {}, "minItems": 10**9}),
            "`minItems` 1e+09 is over 10,000",
        ),
        (with_parts(True), "`properties` has true for a schema; say its type"),
        (with_parts({"type": "string", "pattern": "(?=a)a"}), 'is not a "regex"'),
        (with_parts({"type": "string", "pattern": "(" * 500}), 'is not a "regex"'),
        (with_parts({"type": "string", "pattern": "((a{999}){999}){999}"}), 'is not a "regex"'),
    ],
)
def test_a_schema_that_names_too_much_is_refused(outputs: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError) as raised:
        schema.check(outputs)
    assert str(raised.value).startswith("outputs: ")
    assert problem in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_schema_never_makes_this_machine_call_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/schema"
        for where in ("$schema", "$id", "$ref"):
            for outputs in (
                {**with_parts({"type": "string"}), where: address},
                with_parts({"type": "string", where: address}),
                with_parts({"$ref": "#/$defs/x"}, x={"type": "string", where: address}),
                with_parts({"$ref": "#/$defs/x"}, x={"$id": address, "$schema": address}),
            ):
                try:
                    schema.check(outputs)
                except UsageError:
                    continue
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize(
    "outputs",
    [
        {**TREE, "$schema": "https://json-schema.org/draft/2020-12/schema"},
        {
            **TREE,
            "$schema": "http://json-schema.org/draft-07/schema#",
            "$id": "https://example.org/",
        },
        with_parts({"type": "object", "properties": {"$id": {"type": "string"}}}),
        with_parts({"type": "object", "properties": {}, "additionalProperties": False}),
        EXPRESSION,
        doubling(6),
    ],
)
def test_ordinary_schemas_are_taken(outputs: dict[str, Any]) -> None:
    schema.check(outputs)


def nested(levels: int) -> str:
    return '{"a": ' + "[" * levels + "1" + "]" * levels + "}"


def test_an_answer_that_a_recursive_schema_checks_too_often_fails_its_row() -> None:
    checker = schema.Checker(EXPRESSION)
    assert checker.fit(nested(6)).content == nested(6)
    with pytest.raises(RejectedError, match="too large to be checked against this schema"):
        checker.fit(nested(30))
    tree: dict[str, object] = {"name": "a", "children": []}
    for _ in range(50):
        tree = {"name": "a", "children": [tree]}
    assert schema.Checker(TREE).fit(json.dumps(tree)).content == json.dumps(tree)


def test_a_reference_is_found_by_its_steps() -> None:
    root = {"$defs": {"a/b": {"c~d": {"type": "string"}}}}
    assert resolve(root, "#/$defs/a~1b/c~0d") == {"type": "string"}
    assert resolve(root, "#/$defs/none") == {}


CHECKED = """
import json
from pipeline.prompting import schema, strictness
from pipeline.backends.servers.echo import _Least
from pipeline.errors import PipelineError
outputs, answers = json.loads(sys.argv[1]), json.loads(sys.argv[2])
try:
    schema.check(outputs)
    checker = schema.Checker(outputs)
    for answer in [*answers, json.dumps(_Least(strictness.strict(outputs), "x" * 10**6).answer())]:
        try:
            checker.fit(answer)
        except PipelineError:
            pass
except PipelineError:
    pass
print("checked")
"""
PATTERNS = [
    "^(a+)+$",
    "^(?=(a+)+$)(a+)+$",
    r"^(?:(a+)\1*)+$",
    "(a{1,100}){1,20}",
    r"^(\w+\s?)*(?!x)$",
]
ANSWERS = [
    json.dumps({"a": "a" * 5_000 + "!"}),
    nested(40),
    json.dumps({"a": [{}] * 1_000}),
    json.dumps({"a": {"a" * n + "!": 1 for n in range(100)}}),
]


@pytest.mark.parametrize(
    "outputs",
    [
        *(doubling(levels) for levels in (6, 20)),
        *(doubling(60, through=keyword) for keyword in ("items", "properties")),
        EXPRESSION,
        with_parts({"$ref": "#"}),
        {**with_parts({"$ref": "#"}), "required": ["a"]},
        with_parts({"allOf": [{"pattern": pattern} for pattern in PATTERNS * 20]}),
        with_parts(
            {"patternProperties": {f"{pattern}|{n}": {} for n, pattern in enumerate(PATTERNS * 40)}}
        ),
        with_parts({"enum": [str(n) for n in range(3_000)]}),
        with_parts(
            {
                "type": "array",
                "minItems": 9999,
                "items": {"type": "array", "minItems": 9999, "items": {}},
            }
        ),
        {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(2_000)}},
        with_parts({"type": "number", "multipleOf": 5e-324}),
    ],
    ids=lambda outputs: json.dumps(outputs)[:60],
)
def test_no_schema_holds_up_or_ends_the_program(outputs: dict[str, Any]) -> None:
    done = bounded.run(CHECKED, json.dumps(outputs), json.dumps(ANSWERS), seconds=20)
    assert done.stdout == "checked\n", done.stderr[-1000:]
