"""A prompt: its messages, and what it asks about a document. Its file format is in `prompty.py`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pipeline.errors import DocumentError, UsageError
from pipeline.prompting import schema
from pipeline.prompting.content import IMAGE, show
from pipeline.prompting.keys import key
from pipeline.prompting.labels import Example, Label, alike, limit
from pipeline.prompting.prompty import Options, Property, Templates
from pipeline.prompting.templates import GLOBALS, Template, alias, used
from pipeline.types import Column, Detail, Document, Image, Message, Request, Role

if TYPE_CHECKING:
    from pipeline.prompting.making import Inputs, Messages, Outputs

PART_CHARACTERS = 200
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
        outputs, votes = (self.outputs, self.votes) if last else (None, 1)
        name = schema.identifier(self.name) if outputs else ""
        model = self.model or ""
        return Request(
            document=document,
            turn=turn,
            key=key(self.server, model, messages, self._parameters, name, outputs, votes),
            model=model,
            messages=messages,
            parameters=self._parameters,
            max_tokens=self.options.max_output_tokens or self.bound,
            schema=outputs,
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
