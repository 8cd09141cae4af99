"""From what the user gave to the one prompt to ask: a file, a shipped prompt's name or a sentence,
with fields, with labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.errors import UsageError, without_partner
from pipeline.prompting.fields import read as read_fields
from pipeline.prompting.label_files import read_examples, read_labels
from pipeline.prompting.labels import SHOTS
from pipeline.prompting.loading import from_instruction, load
from pipeline.prompting.prompt import Prompt

LOGPROBS: dict[str, object] = {"logprobs": True, "top_logprobs": 20}  # the most that OpenAI gives


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelling:
    """What to choose from, and how.

    `labels` are the labels, or a text that names them or their file. `examples` is a table of
    labelled rows, of which `shots` are shown. `confidence` is how sure a label is, by its
    log-probabilities, or with `votes` by how many answers of so many agree.
    """

    labels: str | Sequence[str] | Mapping[str, str]
    multi: bool = False
    other: bool = False
    examples: str | None = None
    shots: int | None = None
    confidence: bool = False
    votes: int | None = None

    def __post_init__(self) -> None:
        if self.examples is None:
            without_partner("--examples TABLE", shots=self.shots)


def choose(
    given: str | Path | Prompt | None, instruction: str | None, fields: str | None = None
) -> Prompt:
    """Take the one prompt that was given: a file, a shipped prompt's name, one made before, or an
    instruction; and the fields that its answers have.
    """
    if (given is None) == (instruction is None):
        raise UsageError('give one prompt: -p PROMPT, or --instruction "..."')
    if given is None:
        prompt = from_instruction(instruction or "")
    else:
        prompt = given if isinstance(given, Prompt) else load(given)
    return prompt if fields is None else replace(prompt, outputs=read_fields(fields))


def choose_facts(given: str | Path | Prompt, fields: str | None) -> Prompt:
    """Take the prompt for facts. Raises UsageError unless it or the fields name them."""
    prompt = choose(given, None, fields)
    if prompt.outputs is None:
        raise UsageError(
            "give the fields: --fields 'vendor, date: date, total: number, kind: invoice|receipt'"
        )
    return prompt


def label(
    prompt: Prompt, labelling: Labelling, *, text_column: str | None, temperature: float | None
) -> Prompt:
    """Let a prompt choose from labels, with examples of how, and say how sure it is."""
    multi = labelling.multi
    known = read_labels(labelling.labels, other=labelling.other)
    prompt = prompt.limit("label", known, multi=multi)
    if labelling.votes is not None:
        if temperature == 0:
            raise UsageError(
                "--votes counts how many answers agree: with --temperature 0 all would be the same"
            )
        prompt = replace(prompt, votes=labelling.votes, confidence=True)
    elif labelling.confidence and multi:
        raise UsageError("how sure several labels are takes several answers: add --votes 5")
    elif labelling.confidence:
        more = {**prompt.options.additional_properties, **LOGPROBS}
        graded = prompt.options.model_copy(update={"additional_properties": more})
        prompt = replace(prompt, options=graded, confidence=True)
    if labelling.examples is None:
        return prompt
    shots = labelling.shots or SHOTS
    shown, notices = read_examples(
        labelling.examples,
        known,
        name="labels" if multi else "label",
        text_column=text_column,
        multi=multi,
        shots=shots,
    )
    return replace(prompt, examples=shown, shots=shots, notices=tuple(notices))
