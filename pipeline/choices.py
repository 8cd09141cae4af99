"""What a prompt chooses from, and what shows it how: labels and examples."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.types import Document


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
