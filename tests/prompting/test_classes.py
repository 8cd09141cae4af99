"""A pydantic model becomes a schema that servers take, and whose answers the model validates."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

import pytest
from pydantic import AnyUrl, BaseModel, ConfigDict, Field, RootModel

from pipeline.errors import RejectedError, UsageError
from pipeline.prompting import schema, strictness
from pipeline.prompting.classes import schema_of
from pipeline.prompting.prompt import Prompt
from pipeline.types import Column


class Tone(Enum):
    CALM = "calm"
    ANGRY = "angry"


class Stars(IntEnum):
    ONE = 1
    TWO = 2


class Address(BaseModel):
    """Where it goes."""

    street: str
    city: str = "Leeds"


class Mail(BaseModel):
    kind: Literal["mail"]
    sender: str


class Call(BaseModel):
    kind: Literal["call"]
    number: str


class Ticket(BaseModel):
    """A ticket."""

    model_config = ConfigDict(extra="forbid")

    topic: Literal["billing", "bug"] = Field(description="What it is about.")
    tone: Tone
    stars: Stars | None
    due: date | None = None
    seen: datetime
    urgency: int = Field(5, ge=1, le=5)
    total: Decimal = Field(gt=0)
    code: str = Field(min_length=2, max_length=4, pattern="^[A-Z]+$")
    tags: list[str] = Field(max_length=3)
    place: tuple[float, float]
    kinds: set[str]
    sent: Address = Field(description="To whom.")
    billed: Address | None = None
    lines: list[Address]
    came: Annotated[Mail | Call, Field(discriminator="kind")]
    title: str = Field(alias="the title")
    took: timedelta
    id: UUID
    page: AnyUrl


ANSWER = {
    "topic": "bug",
    "tone": "angry",
    "stars": 2,
    "due": None,
    "seen": "2026-01-31T10:00:00Z",
    "urgency": 3,
    "total": 11.5,
    "code": "ABC",
    "tags": ["a"],
    "place": [1.5, 2],
    "kinds": ["x"],
    "sent": {"street": "A", "city": "B"},
    "billed": None,
    "lines": [{"street": "A", "city": "B"}],
    "came": {"kind": "call", "number": "1"},
    "the title": "Late",
    "took": "PT1H",
    "id": "12345678-1234-5678-1234-567812345678",
    "page": "https://example.org/",
}
# What OpenAI's strict mode takes.
KEYWORDS = {
    *("type", "enum", "anyOf", "$ref", "$defs", "properties", "required", "additionalProperties"),
    *("items", "description", "pattern", "format", "minItems", "maxItems", "multipleOf"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
}
FORMATS = {
    *("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"),
}


def check_strict(part: dict[str, Any]) -> None:
    """Check a schema by the rules of https://platform.openai.com/docs/guides/structured-outputs."""
    assert part.keys() <= KEYWORDS
    assert "$ref" not in part or len(part) == 1
    assert part.keys() & {"type", "enum", "anyOf", "$ref"}
    assert part.get("format", "date") in FORMATS
    if part.get("type") == "object":
        assert part["additionalProperties"] is False
        assert part["required"] == list(part["properties"])
    assert part.get("type") != "array" or "items" in part
    inner = [*part.get("properties", {}).values(), *part.get("$defs", {}).values()]
    for each in [*inner, *part.get("anyOf", []), *([part["items"]] if "items" in part else [])]:
        check_strict(each)


def test_a_model_is_asked_for_as_strict_answers_need_it() -> None:
    check_strict(strictness.strict(schema_of(Ticket)))


def test_an_answer_that_fits_is_one_that_the_model_validates() -> None:
    fit = schema.Checker(schema_of(Ticket)).fit
    ticket = Ticket.model_validate_json(fit(json.dumps(ANSWER)).content)
    assert (ticket.tone, ticket.stars, ticket.title) == (Tone.ANGRY, Stars.TWO, "Late")
    for name in ANSWER:
        with pytest.raises(RejectedError):
            fit(json.dumps({key: value for key, value in ANSWER.items() if key != name}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("topic", "praise"),
        ("urgency", 6),
        ("urgency", None),
        ("total", 0),
        ("total", "11.5"),
        ("code", "A"),
        ("code", "ABCDE"),
        ("code", "abc"),
        ("tags", ["a", "b", "c", "d"]),
        ("place", [1.5]),
        ("came", {"kind": "post", "number": "1"}),
        ("sent", {"street": "A"}),
        ("page", "no address"),
    ],
)
def test_what_the_model_refuses_does_not_fit(name: str, value: object) -> None:
    with pytest.raises(RejectedError):
        schema.Checker(schema_of(Ticket)).fit(json.dumps({**ANSWER, name: value}))


def test_each_field_has_its_column() -> None:
    prompt = Prompt.make("{{ text }}", outputs=Ticket)
    kinds = {column.name: column.kind for column in prompt.columns}
    assert list(kinds) == list(ANSWER)
    assert [kinds[name] for name in ("topic", "tone", "stars", "urgency", "total", "sent")] == [
        "text",
        "text",
        "integer",
        "integer",
        "number",
        "json",
    ]
    assert Column("due", "any") in prompt.columns
    cells = prompt.answers([json.dumps({**ANSWER, "due": "2026-01-31"})])
    assert cells["due"] == date(2026, 1, 31)


def test_what_a_model_needs_to_know_is_kept() -> None:
    found = schema_of(Ticket)
    assert found["description"] == "A ticket."
    assert found["properties"]["topic"] == {
        "type": "string",
        "enum": ["billing", "bug"],
        "description": "What it is about.",
    }
    assert found["properties"]["sent"] == {"$ref": "#/$defs/Address", "description": "To whom."}
    assert found["$defs"]["Address"]["description"] == "Where it goes."
    strict = strictness.strict(found)["properties"]
    assert strict["code"]["description"] == "(minLength: 2, maxLength: 4)"
    assert strict["page"]["description"] == "(minLength: 1, format: uri)"


class Node(BaseModel):
    name: str
    children: list[Node]


class Tree(BaseModel):
    root: Node


@pytest.mark.parametrize("model", [Node, Tree])
def test_a_model_that_is_in_itself_is_asked_for(model: type[BaseModel]) -> None:
    found = schema_of(model)
    check_strict(strictness.strict(found))
    schema.check(found)
    node = {"name": "a", "children": [{"name": "b", "children": []}]}
    answer = json.dumps(node if model is Node else {"root": node})
    model.model_validate_json(schema.Checker(found).fit(answer).content)


class Defaults(BaseModel):
    """A model whose fields have defaults, one that is no JSON among them."""

    title: str = "none"
    default: int = 3
    examples: list[str] = Field(default=["a"], examples=[["b"]])
    made: Any = Field(default=object(), json_schema_extra={"type": "string"})


def test_fields_may_be_called_as_keywords_and_have_any_default() -> None:
    found = schema_of(Defaults)
    assert found["required"] == ["title", "default", "examples", "made"]
    assert found["properties"]["default"] == {"type": "integer"}
    check_strict(strictness.strict(found))


class Point(NamedTuple):
    x: float
    y: float


class Drawn(BaseModel):
    points: list[Point]


def test_a_tuple_of_one_type_is_a_list_as_long_as_it() -> None:
    point = schema_of(Drawn)["$defs"]["Point"]
    assert (point["type"], point["items"], point["maxItems"]) == ("array", {"type": "number"}, 2)


class Scores(BaseModel):
    scores: dict[str, int]


class Inner(BaseModel):
    scores: Scores | None


class Anything(BaseModel):
    value: list[Any]


class Bare(BaseModel):
    values: list  # type: ignore[type-arg]  # as people write it


class Pair(BaseModel):
    pair: tuple[str, int]


class Function(BaseModel):
    call: Callable[[], int]


class Empty(BaseModel):
    pass


class Names(RootModel[list[str]]):
    pass


class Unfinished(BaseModel):
    other: Missing  # type: ignore[name-defined]  # noqa: F821  # nowhere


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        (Scores, "Scores.scores doesn't name its fields: make it a model that does"),
        (Inner, "Scores.scores doesn't name its fields: make it a model that does"),
        (Anything, "Anything.value may be anything: give it a type"),
        (Bare, "Bare.values may be anything: give it a type"),
        (Pair, "Pair.pair is a tuple of several types: make it a model"),
        (Function, "Function has no JSON Schema: Cannot generate a JsonSchema for core_schema"),
        (Empty, "Empty doesn't name its fields: make it a model that does"),
        (Names, "Names isn't a model with fields"),
        (Unfinished, "Unfinished has no JSON Schema: `Unfinished` is not fully defined"),
    ],
)
def test_a_model_that_cannot_be_asked_for_is_refused_in_a_line(
    model: type[BaseModel], problem: str
) -> None:
    with pytest.raises(UsageError) as raised:
        Prompt.make("{{ text }}", outputs=model)
    assert str(raised.value).startswith(f"outputs: {problem}")
    assert "\n" not in str(raised.value)
