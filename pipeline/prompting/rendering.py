"""From a document to the requests about it: a prompt's messages, filled in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

from pipeline.errors import DocumentError
from pipeline.prompting.content import IMAGE, show
from pipeline.prompting.keys import key
from pipeline.prompting.labels import alike
from pipeline.prompting.prefixes import find_prefix
from pipeline.prompting.schema import identifier
from pipeline.prompting.templates import Template, alias, used
from pipeline.types import Document, Image, Message, Prefix, Request, Role

if TYPE_CHECKING:
    from pipeline.prompting.prompt import Prompt
    from pipeline.prompting.prompty import Templates

PART_CHARACTERS = 200


class Renderer:
    """Makes the requests of a prompt; its templates are compiled once."""

    def __init__(self, prompt: Prompt) -> None:
        self._prompt = prompt
        self._turns = prompt.turns
        self._uses_images = prompt.uses_images
        self._parameters = prompt.options.parameters()
        self._max_tokens = prompt.max_tokens
        self._name = identifier(prompt.name)

    def render(self, document: Document, answers: Sequence[str] = ()) -> Request:
        """Make the request of the turn that comes after these answers.

        Raises DocumentError where a message can't be filled in for this document.
        """
        turns, turn = self._turns, len(answers)
        if self._uses_images:
            self._check_images(document)
        images = self._images_of(document) if document.images else ()
        variables = self._variables_of(document)
        messages: list[Message] = []
        shown = self._shown(document) if self._examples else []
        for place, (role, template) in enumerate(self._templates[: turns[turn] + 1]):
            if place == turns[0]:
                messages += shown
            after = IMAGE if images and place == self._after_text else ""
            fixed = None if after else self._fixed[place]
            messages.append(fixed or _message(role, template, variables, images, after))
            if place in turns[:turn]:
                messages.append(Message("assistant", answers[turns.index(place)]))
        last = turn == len(turns) - 1
        prefix = self._prefixes[last] if shown == self._usual else None
        return self._request(document, turn, tuple(messages), last=last, prefix=prefix)

    def merge(self, document: Document, parts: Sequence[str]) -> Request:
        """Make the request that makes one answer of those to parts of a long document.

        Raises DocumentError as `render` does.
        """
        variables = {**self._variables_of(replace(document, text="")), "parts": list(parts)}
        images = self._images_of(document)
        messages = [_message(*item, variables, images) for item in self._merging]
        prefix = self._merging_prefix
        return self._request(document, 0, tuple(messages), last=True, prefix=prefix)

    @cached_property
    def _templates(self) -> list[tuple[Role, Template]]:
        return compiled(self._prompt, self._prompt.templates)

    @cached_property
    def _fixed(self) -> list[Message | None]:
        """Return the messages that are the same for any document, each at its place."""
        return [
            Message(role, template.start) if template.fixed else None
            for role, template in self._templates
        ]

    @cached_property
    def _merging(self) -> list[tuple[Role, Template]]:
        return compiled(self._prompt, self._prompt.merging)

    @cached_property
    def _prefixes(self) -> tuple[Prefix | None, Prefix | None]:
        """Return what requests begin with: those of the first turns, and of the last."""
        first, outputs = self._prompt.turns[0], self._prompt.outputs
        model, templates = self._prompt.model or "", self._templates[: first + 1]
        find = partial(find_prefix, model, templates, shown=self._usual, before=first)
        return find(None), find(outputs)

    @cached_property
    def _merging_prefix(self) -> Prefix | None:
        return find_prefix(self._prompt.model or "", self._merging, self._prompt.outputs)

    @cached_property
    def _usual(self) -> list[Message]:
        """Return the examples that are shown unless the document is one of them."""
        shown = self._examples[: self._prompt.shots]
        return [message for _, messages in shown for message in messages]

    def _shown(self, document: Document) -> list[Message]:
        """Return the examples for a document, as questions and answers."""
        asked = alike(document.text)
        part = len(asked) >= PART_CHARACTERS  # a part of a long document may be one of an example
        others = [
            shown
            for text, shown in self._examples
            if text != asked and not (part and asked in text)
        ]
        return [message for shown in others[: self._prompt.shots] for message in shown]

    @cached_property
    def _examples(self) -> list[tuple[str, tuple[Message, Message]]]:
        prompt = self._prompt
        examples = []
        for example in prompt.examples:
            role, template = self._templates[prompt.turns[0]]
            question = _message(role, template, self._variables_of(example.document), ())
            shown = question, Message("assistant", example.answer)
            examples.append((alike(example.document.text), shown))
        return examples

    @cached_property
    def _after_text(self) -> int | None:
        """Return the place of the message that images come after, where none has `{{ image }}`."""
        prompt = self._prompt
        if not prompt.uses_images or "image" in prompt.variables:
            return None
        users = [place for place, (role, _) in enumerate(prompt.templates) if role == "user"]
        with_text = [place for place in users if "text" in used(prompt.templates[place][1])]
        return (with_text or users)[0]

    def _check_images(self, document: Document) -> None:
        """Raise DocumentError where images can't be looked at, or are missing."""
        prompt = self._prompt
        if document.images and not prompt.sees:
            page = document.images[0].page
            what = "an image has no text" if page is None else "no text layer: looks like a scan"
            raise DocumentError(
                f"{what}, and {prompt.model} can't see: choose a model that does with --model"
            )
        if not document.images and not prompt.uses_text and document.text:
            raise DocumentError(
                f"prompt {prompt.name} shows {{{{ image }}}}, and there is none here: "
                "{{ text }} stands for a document's text"
            )

    def _images_of(self, document: Document) -> list[Image]:
        return [replace(image, detail=self._prompt.image_detail) for image in document.images]

    def _variables_of(self, document: Document) -> dict[str, object]:
        prompt, fields, metadata = self._prompt, document.fields, document.metadata
        aliases = {alias(name): value for name, value in fields.items()}
        known = {name: value for name, value in metadata.items() if value not in ("", None)}
        images = {"image": IMAGE if document.images else ""} if prompt.image_column else {}
        part = {"chunk": document.chunk, "chunks": document.chunks}
        return {
            **part,
            **metadata,
            **prompt.defaults,
            **known,
            **aliases,
            **fields,
            **prompt.settings,
            **images,
            **(part if prompt.merging else {}),  # it means these, whatever columns there are
            "row": fields,
            "text": document.text,
        }

    def _request(
        self,
        document: Document,
        turn: int,
        messages: tuple[Message, ...],
        *,
        last: bool,
        prefix: Prefix | None,
    ) -> Request:
        prompt, model = self._prompt, self._prompt.model or ""
        outputs, votes = (prompt.outputs, prompt.votes) if last else (None, 1)
        name = self._name if outputs else ""
        return Request(
            document=document,
            turn=turn,
            key=key(prompt.server, model, messages, self._parameters, name, outputs, votes),
            model=model,
            messages=messages,
            parameters=self._parameters,
            max_tokens=self._max_tokens,
            schema=outputs,
            schema_name=name,
            votes=votes,
            choice=prompt.choice if last else None,
            prefix=prefix,
        )


def compiled(prompt: Prompt, templates: Templates) -> list[tuple[Role, Template]]:
    """Compile messages of a prompt."""
    return [
        (role, Template(text, prompt.settings, title=f"{role} message of prompt {prompt.name}"))
        for role, text in templates
    ]


def _message(
    role: Role,
    template: Template,
    variables: Mapping[str, object],
    images: Iterable[Image],
    after: str = "",
) -> Message:
    text = template.fill_in(variables) + after
    return Message(role, show(text, images) if IMAGE in text else text)
