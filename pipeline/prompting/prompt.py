"""A prompt: its messages, and what it asks about a document. Its file format is in `prompty.py`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pipeline.errors import DocumentError, UsageError
from pipeline.prompting import schema
from pipeline.prompting.labels import Example, Label, limit
from pipeline.prompting.prompty import Options, Property, Templates
from pipeline.prompting.rendering import Renderer, compiled
from pipeline.prompting.templates import GLOBALS, alias, used
from pipeline.types import Column, Detail, Document, Request

if TYPE_CHECKING:
    from pipeline.prompting.making import Inputs, Messages, Outputs

OURS = {"text", "chunk", "chunks"}  # what a message can use of any document


@dataclass(frozen=True)
class Prompt:
    """What is asked about each row or document: messages, and what answers are made of.

    `make` makes one, `load` reads one, `save` writes one as a prompt file; `pipeline.run` asks it.
    Two are equal if they ask the same.

        >>> prompt = Prompt.make(
        ...     [("system", "You sort tickets."), ("user", "{{ subject }}: {{ text }}")],
        ...     outputs="topic: billing|bug|praise, urgent: boolean",
        ...     temperature=0,
        ...     max_tokens=200,
        ... )
        >>> prompt.save("triage.prompty")  # pipeline run tickets.csv -p triage.prompty ...

    Attributes:
        name: What the program calls it; the server is told it together with `outputs`.
        templates: The messages, as pairs of a role and a text with variables.
        merging: The messages that make one answer of those to the `parts` of a long document.
        model: Who is asked, unless a call says.
        options: The temperature, the longest answer in tokens, and what else the API takes.
        inputs: Variables that are explained, or have defaults.
        outputs: A JSON Schema of the answers; None for answers in words.
        about: What else its file says of it: a description, authors, a sample, ...

    The others are what a call adds to its copy.
    """

    name: str
    templates: Templates
    merging: Templates = ()
    model: str | None = None
    options: Options = field(default_factory=Options)
    inputs: tuple[Property, ...] = ()
    outputs: Mapping[str, Any] | None = None
    settings: Mapping[str, object] = field(default_factory=dict)  # all documents share these
    examples: tuple[Example, ...] = ()
    shots: int = 0  # of them are shown before the first question, never one that is itself asked
    votes: int = 1  # of the last question: the answer is what comes most often
    confidence: bool = False  # the share of the votes, or the answer's probability
    choice: str | None = None  # the output that these are of, where there are labels
    server: str = ""  # the name of who answers, a part of a request's key
    bound: int | None = None  # of the answer in tokens, where the options have none; in no key
    thinking: int = (
        0  # tokens that the model may think with besides, if there is a bound; in no key
    )
    image_column: str | None = None  # where the input's images come from, if it can have any
    image_detail: Detail = Detail.AUTO
    sees: bool = True  # whether who answers can look at images
    notices: tuple[str, ...] = ()  # what the user should know of how it was made
    about: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @staticmethod
    def make(
        messages: Messages,
        *,
        reduce: Messages = (),
        inputs: Inputs = (),
        outputs: Outputs | None = None,
        name: str = "prompt",
        model: str | None = None,
        **words: Any,
    ) -> Prompt:
        """Make a prompt.

        Args:
            messages: A text, which is one message of the user; or pairs of a role and a text, or
                dicts of `role` and `content`. Texts are templates: {{ text }} is the document's,
                {{ image }} its pictures, and each column of the table is a variable. White space
                around a text is left out. Each user message that no assistant message follows is a
                question of its own.
            reduce: Messages that make one answer of the answers to the {{ parts }} of a document
                that is too long to be asked about at once.
            inputs: Defaults of variables, by their names.
            outputs: What answers are made of, a column each: the class of a pydantic model, a JSON
                Schema, or fields as of the command line ("vendor, total: number"). All fields of a
                model are asked for; `X | None` may be null.
            name: What the prompt is called.
            model: Who is asked, unless the call says.
            **words: The API's own options, such as `temperature`, `max_tokens` (of the answer),
                `stop`, `seed` and `reasoning_effort`; `additional_properties` for those that only
                your server knows; and the keys of a prompt file, such as `description`.

        Raises:
            UsageError: Something of it can't be asked, or isn't known; the message is one line.
        """
        from pipeline.prompting.making import make

        return make(
            messages, reduce=reduce, inputs=inputs, outputs=outputs, name=name, model=model, **words
        )

    @staticmethod
    def load(name: str | os.PathLike[str]) -> Prompt:
        """Read a prompt file by its path, or a prompt that ships with the program by its name.

        A text is a path if it has a slash or a suffix. Raises UsageError saying what is wrong.
        """
        from pipeline.prompting.loading import load

        return load(name)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write a prompt file, which loads into an equal prompt and which the command takes. Raises
        UsageError if that can't be done, as where there is a file and no `overwrite`.
        """
        from pipeline.prompting.saving import save

        save(self, path, overwrite=overwrite)

    @cached_property
    def turns(self) -> tuple[int, ...]:
        """Return the places of the messages after which the server is asked, one for each turn.

        A `user:` message that an `assistant:` message follows is an example, not a question.
        """
        roles = [role for role, _ in self.templates] + ["user"]
        return tuple(
            place
            for place, role in enumerate(roles[:-1])
            if role == "user" and roles[place + 1] != "assistant"
        )

    @cached_property
    def variables(self) -> frozenset[str]:
        """Return the variables that the messages use."""
        return frozenset().union(*(used(text) for _, text in self.templates))

    @property
    def answer_tokens(self) -> int | None:
        """Return how long an answer may be, without thoughts; None if it has no bound."""
        return self.options.max_output_tokens or self.bound

    @property
    def max_tokens(self) -> int | None:
        """Return how much the model may write in all; None if that has no bound."""
        return None if self.answer_tokens is None else self.answer_tokens + self.thinking

    @property
    def uses_text(self) -> bool:
        return "text" in self.variables

    @property
    def uses_images(self) -> bool:
        """Return whether images are sent: where `{{ image }}` is, or else after `{{ text }}`."""
        return self.image_column is not None and bool({"image", "text"} & self.variables)

    @cached_property
    def columns(self) -> list[Column]:
        """Return the columns of the answers: `output`, `output_1`, ... or the schema's properties.

        A schema holds for the last turn; the turns before it answer in words.
        """
        words = len(self.turns) - (1 if self.outputs else 0)
        plain = [
            Column("output" if turn == 0 else f"output_{turn}", "text") for turn in range(words)
        ]
        columns = plain + (schema.columns(self.outputs) if self.outputs else [])
        return [*columns, Column("confidence", "number")] if self.confidence else columns

    @property
    def answer(self) -> str | None:
        """Name the output of the one answer: the only one, or `label`."""
        own = self.columns[:-1] if self.confidence else self.columns
        names = [column.name for column in own]
        return "label" if "label" in names else names[0] if len(names) == 1 else None

    def answers(self, contents: Sequence[str | None]) -> dict[str, object]:
        """Lay the answers of the turns out by column; those not given yet are left out.

        Raises RejectedError where an answer does not fit the schema.
        """
        cells: dict[str, object] = {}
        for turn, content in enumerate(contents):
            if content is None:
                continue
            if self.outputs and turn == len(self.turns) - 1:
                cells.update(schema.cells(schema.parse(content), self.outputs))
            else:
                cells[self.columns[turn].name] = content
        return cells

    def check(self, columns: Iterable[str]) -> None:
        """Raise UsageError naming each variable that neither the input nor a default gives."""
        columns = list(columns)
        known = {"row", *map(alias, columns), *columns, *self.settings, *self.defaults, *OURS}
        known |= GLOBALS | ({"image"} if self.image_column else set())
        merging = frozenset().union(*(used(text) for _, text in self.merging)) - {"parts"}
        missing = sorted((self.variables | merging) - known)
        if missing:
            names = ", ".join(f"{{{{ {name} }}}}" for name in missing)
            hint = "; which holds images? --image-column says so" if "image" in missing else ""
            raise UsageError(
                f"prompt {self.name} uses {names}, which the input doesn't have; "
                f"its columns are: {', '.join(columns)}{hint}"
            )
        for role, text in (*self.templates, *self.merging):
            if role != "user" and self.image_column and "image" in used(text):
                raise UsageError(
                    f"prompt {self.name} has {{{{ image }}}} in its {role} message: "
                    "servers take images in `user:` messages only"
                )
            if used(text) <= self.settings.keys():  # if it fails, it fails for all documents
                try:
                    ((_, template),) = compiled(self, ((role, text),))
                    template.fill_in(self.settings)
                except DocumentError as error:
                    raise UsageError(str(error)) from error

    @cached_property
    def defaults(self) -> dict[str, object]:
        """Return what variables are where the input doesn't say."""
        return {
            item.name: item.default
            for item in self.inputs
            if item.default is not None or not item.required
        }

    @cached_property
    def _renderer(self) -> Renderer:
        return Renderer(self)

    def render(self, document: Document, answers: Sequence[str] = ()) -> Request:
        """Make the request of the turn that comes after these answers.

        Raises DocumentError where a message can't be filled in for this document.
        """
        return self._renderer.render(document, answers)

    def merge(self, document: Document, parts: Sequence[str]) -> Request:
        """Make the request that makes one answer of those to parts of a long document.

        Raises DocumentError as `render` does.
        """
        return self._renderer.merge(document, parts)

    @cached_property
    def _about(self) -> frozenset[str]:
        """Return the variables that are the document's own, if they are its text or its image."""
        own = self.variables - {*self.settings, *GLOBALS, "chunk", "chunks"}
        return own if own <= ({"text", "image"} if self.image_column else {"text"}) else frozenset()

    def idle(self, document: Document) -> bool:
        """Return True if there is nothing to ask: only text or image is used, and missing."""
        about = self._about
        if not about or ("text" in about and document.text.strip()):
            return False
        if document.images and self.uses_images:
            return False
        cell = document.fields.get(self.image_column or "") if "image" in about else None
        return cell is None or not str(cell).strip()

    def limit(self, name: str, values: Sequence[str], *, multi: bool = False) -> Prompt:
        """Allow one output only these values, which the messages know as `labels`. With `multi` it
        is a list of them, and called `labels` if it is called `label`.
        """
        if name not in (self.outputs or {}).get("properties", {}):
            raise UsageError(f"prompt {self.name} has no output {name!r} to choose from labels")
        labels = [value if isinstance(value, Label) else Label(value) for value in values]
        outputs, choice = limit(self.outputs or {}, name, labels, multi=multi)
        return replace(
            self,
            outputs=outputs,
            choice=choice,
            settings={**self.settings, "labels": labels, "multi": multi},
        )
