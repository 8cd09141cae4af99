"""What a prompt chooses from, and what shows it how: labels and examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.types import Document

SHOTS = 8  # of the examples that are given are shown


class Label(str):
    """A label: its name, what it means, and texts that it fits."""

    description: str
    examples: tuple[str, ...]

    def __new__(cls, name: str, description: str = "", examples: tuple[str, ...] = ()) -> Label:
        label = super().__new__(cls, name)
        label.description = description
        label.examples = examples
        return label


@dataclass(frozen=True, slots=True)
class Example:
    """A document with the answer that is right for it."""

    document: Document
    answer: str


def alike(text: str) -> str:
    """Make texts equal that differ in case and space only."""
    return " ".join(text.casefold().split())


def limit(
    outputs: Mapping[str, Any], name: str, labels: Sequence[Label], *, multi: bool
) -> tuple[dict[str, Any], str]:
    """Allow one property of a schema only these values; give its name besides. With `multi` it is a
    list of them, and `label` is called `labels`.
    """
    new = "labels" if multi and name == "label" else name
    one = {**outputs["properties"][name], "enum": [str(label) for label in labels]}
    item = {"type": "string", "enum": one["enum"]}
    several = {"type": "array", "items": item, "minItems": 1, "uniqueItems": True}
    properties = {
        (new if key == name else key): ((several if multi else one) if key == name else part)
        for key, part in outputs["properties"].items()
    }
    limited = {**outputs, "properties": properties}
    if "required" in outputs:
        limited["required"] = [new if key == name else key for key in outputs["required"]]
    return limited, new
