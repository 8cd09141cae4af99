"""A prompt: its messages, and what it asks about a document. Its file format is in `prompty.py`."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from pipeline.errors import DocumentError, UsageError
from pipeline.prompting import schema
from pipeline.prompting.content import IMAGE, identity, show
from pipeline.prompting.labels import Example, Label, alike, limit
from pipeline.prompting.prompty import Options, Property, Templates
from pipeline.prompting.templates import GLOBALS, Template, alias, used
from pipeline.types import Column, Detail, Document, Image, Message, Request, Role

if TYPE_CHECKING:
    from pipeline.prompting.making import Messages, Outputs

# What a key is made of. The answer's bound is no part of it: a whole answer stands, however long it
# might have been. Nor is how the answer came.
RECIPE = 2
PART_CHARACTERS = 200
OURS = {"text", "chunk", "chunks"}  # what a message can use of any document


@dataclass(frozen=True)
class Prompt:
    """A prompt, ready to be asked about documents. `make` makes one, `load` reads one, `save`
    writes it as a prompt file.

        >>> prompt = Prompt.make(
        ...     [("system", "You sort tickets."), ("user", "{{ text }}")],
        ...     outputs="urgent: boolean, topic: billing|bug|praise",
        ...     temperature=0,
        ... )

    `merging` are the messages that make one answer of those to the `parts` of a long document.
    `settings` are values of the command line that every document shares, such as the labels.
    `shots` of the `examples` are shown before the first question, never one that is itself asked.
    The last question is asked `votes` times, and the answer is what comes most often; `confidence`
    is then its share, or comes of the answer's log-probabilities; both are of the output `choice`,
    where there are labels. `server` is the name of who answers;
    it is part of a request's key. `bound`, which isn't, is the longest answer in tokens where the
    options leave it open. `image_column` is where the input's images come from, if it can have any,
    and `sees` says whether who answers can look at them. `notices` are what the user should know of
    how it was made.
    """

    name: str
    templates: Templates
    merging: Templates = ()
    model: str | None = None
    options: Options = field(default_factory=Options)
    inputs: tuple[Property, ...] = ()
    outputs: Mapping[str, Any] | None = None
    settings: Mapping[str, object] = field(default_factory=dict)
    examples: tuple[Example, ...] = ()
    shots: int = 0
    votes: int = 1
    confidence: bool = False
    choice: str | None = None
    server: str = ""
    bound: int | None = None
    image_column: str | None = None
    image_detail: Detail = Detail.AUTO
    sees: bool = True
    notices: tuple[str, ...] = ()

    @staticmethod
    def make(
        messages: Messages,
        *,
        reduce: Messages = (),
        outputs: Outputs | None = None,
        name: str = "prompt",
        model: str | None = None,
        **options: Any,
    ) -> Prompt:
        """Make a prompt.

        `messages` are a text, or pairs of a role and a text, or dicts as the API takes them; they
        are templates, with {{ text }} and the input's columns. `reduce` are those that merge the
        answers to the parts of a long document. `outputs` is what answers are made of: a pydantic
        model, a JSON Schema, or fields as of the command line. `options` are the API's own:
        temperature, max_tokens, seed, ... Raises UsageError.
        """
        from pipeline.prompting.making import make

        return make(messages, reduce=reduce, outputs=outputs, name=name, model=model, **options)

    @staticmethod
    def load(name: str | os.PathLike[str]) -> Prompt:
        """Read a prompt file, or a shipped prompt by its name. Raises UsageError."""
        from pipeline.prompting.loading import load

        return load(name if isinstance(name, str) else Path(name))

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write it as a prompt file, which loads into the same. Raises UsageError."""
        from pipeline.prompting.saving import save

        save(self, Path(path), overwrite=overwrite)

    @cached_property
    def turns(self) -> tuple[int, ...]:
        """Give the places of the messages after which the server is asked, one for each turn.

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
        """Give the variables that the messages use."""
        return frozenset().union(*(used(text) for _, text in self.templates))

    @property
    def uses_text(self) -> bool:
        return "text" in self.variables

    @property
    def uses_images(self) -> bool:
        """Say whether images are sent: where `{{ image }}` is, or else after `{{ text }}`."""
        return self.image_column is not None and bool({"image", "text"} & self.variables)

    @cached_property
    def columns(self) -> list[Column]:
        """Give the columns of the answers: `output`, `output_1`, ... or the schema's properties.

        A schema holds for the last turn; the turns before it answer in words.
        """
        words = len(self.turns) - (1 if self.outputs else 0)
        plain = [
            Column("output" if turn == 0 else f"output_{turn}", "text") for turn in range(words)
        ]
        columns = plain + (schema.columns(self.outputs) if self.outputs else [])
        return [*columns, Column("confidence", "number")] if self.confidence else columns

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
        known = {"row", *map(alias, columns), *columns, *self.settings, *self._defaults, *OURS}
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
                    self._compile(role, text).fill_in(self.settings)
                except DocumentError as error:
                    raise UsageError(str(error)) from error

    @cached_property
    def _defaults(self) -> dict[str, object]:
        return {
            item.name: item.default
            for item in self.inputs
            if item.default is not None or not item.required
        }

    @cached_property
    def _compiled(self) -> tuple[tuple[Role, Template], ...]:
        return tuple((role, self._compile(role, text)) for role, text in self.templates)

    @cached_property
    def _compiled_merging(self) -> tuple[tuple[Role, Template], ...]:
        return tuple((role, self._compile(role, text)) for role, text in self.merging)

    def _compile(self, role: Role, text: str) -> Template:
        return Template(text, self.settings, title=f"{role} message of prompt {self.name}")

    @cached_property
    def _parameters(self) -> dict[str, object]:
        return self.options.parameters()

    def render(self, document: Document, answers: Sequence[str] = ()) -> Request:
        """Make the request of the turn that comes after these answers.

        Raises DocumentError where a message can't be filled in for this document.
        """
        turn = len(answers)
        self._check_images(document)
        images = self._images_of(document)
        variables = self._variables_of(document)
        messages: list[Message] = []
        for place, (role, template) in enumerate(self._compiled[: self.turns[turn] + 1]):
            if place == self.turns[0]:
                messages += self._shown(document)
            after = IMAGE if place == self._after_text and document.images else ""
            messages.append(self._message(role, template, variables, images, after))
            if place in self.turns[:turn]:
                messages.append(Message("assistant", answers[self.turns.index(place)]))
        last = turn == len(self.turns) - 1
        return self._request(document, turn, tuple(messages), last)

    def merge(self, document: Document, parts: Sequence[str]) -> Request:
        """Make the request that makes one answer of those to parts of a long document.

        Raises DocumentError as `render` does.
        """
        variables = {**self._variables_of(replace(document, text="")), "parts": list(parts)}
        images = self._images_of(document)
        messages = [self._message(*item, variables, images) for item in self._compiled_merging]
        return self._request(document, 0, tuple(messages), last=True)

    def _message(
        self,
        role: Role,
        template: Template,
        variables: Mapping[str, object],
        images: Sequence[Image],
        after: str = "",
    ) -> Message:
        return Message(role, show(f"{template.fill_in(variables)}{after}", images))

    def _shown(self, document: Document) -> list[Message]:
        """Give the examples for a document, as questions and answers."""
        if not self.examples:
            return []
        asked = alike(document.text)
        part = len(asked) >= PART_CHARACTERS  # a part of a long document may be one of an example
        others = [
            shown
            for text, shown in self._examples
            if text != asked and not (part and asked in text)
        ]
        return [message for shown in others[: self.shots] for message in shown]

    @cached_property
    def _examples(self) -> list[tuple[str, tuple[Message, Message]]]:
        role, template = self._compiled[self.turns[0]]
        examples = []
        for example in self.examples:
            question = self._message(role, template, self._variables_of(example.document), ())
            shown = question, Message("assistant", example.answer)
            examples.append((alike(example.document.text), shown))
        return examples

    @cached_property
    def _after_text(self) -> int | None:
        """Give the place of the message that images come after, where none has `{{ image }}`."""
        if not self.uses_images or "image" in self.variables:
            return None
        users = [place for place, (role, _) in enumerate(self.templates) if role == "user"]
        with_text = [place for place in users if "text" in used(self.templates[place][1])]
        return (with_text or users)[0]

    def _check_images(self, document: Document) -> None:
        """Raise DocumentError where images can't be looked at, or are missing."""
        if not self.uses_images:
            return
        if document.images and not self.sees:
            page = document.images[0].page
            what = "an image has no text" if page is None else "no text layer: looks like a scan"
            raise DocumentError(
                f"{what}, and {self.model} can't see: choose a model that does with --model"
            )
        if not document.images and not self.uses_text and document.text:
            raise DocumentError(
                f"prompt {self.name} shows {{{{ image }}}}, and there is none here: "
                "{{ text }} stands for a document's text"
            )

    def _images_of(self, document: Document) -> list[Image]:
        return [replace(image, detail=self.image_detail) for image in document.images]

    def _variables_of(self, document: Document) -> dict[str, object]:
        fields, metadata = document.fields, document.metadata
        aliases = {alias(name): value for name, value in fields.items()}
        known = {name: value for name, value in metadata.items() if value not in ("", None)}
        images = {"image": IMAGE if document.images else ""} if self.image_column else {}
        part = {"chunk": document.chunk, "chunks": document.chunks}
        return {
            **part,
            **metadata,
            **self._defaults,
            **known,
            **aliases,
            **fields,
            **self.settings,
            **images,
            **(part if self.merging else {}),  # it means these, whatever columns there are
            "row": fields,
            "text": document.text,
        }

    def _request(
        self, document: Document, turn: int, messages: tuple[Message, ...], last: bool
    ) -> Request:
        schema, votes = (self.outputs, self.votes) if last else (None, 1)
        name = _identifier(self.name) if schema else ""
        model = self.model or ""
        said = [(message.role, identity(message.content)) for message in messages]
        asked = (RECIPE, self.server, model, said, self._parameters, name, schema, votes)
        return Request(
            document=document,
            turn=turn,
            key=hashlib.sha256(_canonical(asked)).digest(),
            model=model,
            messages=messages,
            parameters=self._parameters,
            max_tokens=self.options.max_output_tokens or self.bound,
            schema=schema,
            schema_name=name,
            votes=votes,
            choice=self.choice if last else None,
        )

    @cached_property
    def _about(self) -> frozenset[str]:
        """Give the variables that are the document's own."""
        ours = {*self.settings, *GLOBALS, "chunk", "chunks"}
        return self.variables - ours

    def idle(self, document: Document) -> bool:
        """Say whether there is nothing to ask: text or image is all that is used, and missing."""
        about = self._about
        given = {"text": document.text}
        if self.image_column:
            cell = document.fields.get(self.image_column)
            given["image"] = "" if cell is None else str(cell)
        if not about or not about <= given.keys() or (document.images and self.uses_images):
            return False
        return not any(given[name].strip() for name in about)

    def limit(self, name: str, values: Sequence[str], *, multi: bool = False) -> Prompt:
        """Allow one output only these values, and give them to the messages as `labels`.

        With `multi` it is a list of them, and called `labels` if it is called `label`.
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


def _canonical(value: object) -> bytes:
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # a lone surrogate, which orjson refuses
        return repr(value).encode("utf-8", "surrogatepass")


def _identifier(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_")[:64] or "answer"
