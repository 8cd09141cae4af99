"""Long documents: cut at their natural boundaries, asked part by part, the answers merged.

`Steps` knows all that is asked about a document and in what order, be it one request, the turns of
a conversation, or the parts of a long document and the merges of their answers.
"""

from __future__ import annotations

import contextlib
import re
from array import array
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace

from pipeline.costs import Counter
from pipeline.errors import DocumentError
from pipeline.prompting.prompt import Prompt
from pipeline.types import Document, Long, Request, Result

ANSWER_TOKENS = 1024  # room for an answer that has no bound
OVERLAP = 0.05  # of a part is said again in the next, so that no sentence loses its beginning
WINDOW_SHARE = 0.9  # of the window is used: our count of tokens is an estimate
BLANK = re.compile(r"[ \t]{80,}|\n{4,}")  # runs that say nothing and cost the splitter minutes


@dataclass(frozen=True, slots=True)
class Step:
    """A request, and the earlier answers that it contains."""

    request: Request
    answers: tuple[str, ...] = ()


Course = Generator[list[Step], Sequence[str], None]
"""Yields the steps that can be asked side by side; is sent their answers, in their order."""


@dataclass(slots=True)
class Trail:
    """How far the questions about a document have come.

    Each level of steps needs the answers of the one before; `level` is the number of the one that
    can't be passed yet, `width` how many steps it has and `missing` those without a good answer.
    `results` are all answers on the way, `answers` the final ones, by turn. `problem` says why
    nothing can be asked, `failure` what was wrong with an answer, `remark` what was left out.
    `begun` says that another answer was to follow on one.
    """

    results: list[Result] = field(default_factory=list)
    missing: list[Step] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    level: int = 0
    width: int = 0
    chunks: int = 1
    problem: str | None = None
    failure: str | None = None
    begun: bool = False
    remark: str | None = None

    @property
    def finished(self) -> bool:
        return not (self.missing or self.problem)


class Steps:
    """What is asked about each document.

    A text of more than `chunk_tokens`, or than what the window of the model (in tokens) leaves, is
    long; `long` says what becomes of it.
    """

    def __init__(
        self,
        prompt: Prompt,
        counter: Counter,
        *,
        long: Long = Long.SPLIT,
        chunk_tokens: int | None = None,
        window_tokens: int | None = None,
    ) -> None:
        self.prompt = prompt
        self._counter = counter
        self._long = long
        self._chunk_tokens = chunk_tokens
        self._window_tokens = window_tokens
        # Of long texts, by position: where their parts begin and end, in turn, in characters.
        self._chunks: dict[int, array[int]] = {}

    @property
    def splits(self) -> bool:
        """Say whether a row can come of several chunks."""
        bounded = self._chunk_tokens is not None or self._window_tokens is not None
        able = self.prompt.uses_text and self.prompt.merging and len(self.prompt.turns) == 1
        return bool(bounded and able and self._long is Long.SPLIT)

    @property
    def _answer_tokens(self) -> int:
        """Give the longest answer that is allowed, or what is taken for it."""
        return self.prompt.options.max_output_tokens or self.prompt.bound or ANSWER_TOKENS

    def follow(
        self,
        document: Document,
        look: Callable[[Request], Result | None],
        most: int | None = None,
    ) -> Trail:
        """Go as far as the answers that are known lead, through at most so many levels."""
        trail = Trail(problem=document.error, remark=document.remark)
        if document.error:
            return trail
        course = self._course(document, trail)
        try:
            level = next(course)
            while True:
                seen = most is None or trail.level < most
                known = [look(step.request) if seen else None for step in level]
                self._note(trail, level, known)
                if trail.missing:
                    break
                contents = [result.content or "" for result in known if result]
                trail.answers.append(contents[-1])
                trail.level += 1
                level = course.send(contents)
        except StopIteration:
            pass
        except DocumentError as error:
            trail.problem = str(error)
        if trail.chunks > 1:  # they are one answer, once they are merged
            trail.answers = trail.answers[-1:] if trail.finished else []
        return trail

    def _note(self, trail: Trail, level: Sequence[Step], known: Sequence[Result | None]) -> None:
        trail.width = len(level)
        trail.results += [result for result in known if result is not None]
        trail.missing = []
        for number, (step, result) in enumerate(zip(level, known, strict=True), 1):
            if result is not None and result.status == "ok":
                continue
            trail.missing.append(step)
            trail.begun = trail.begun or (result is not None and result.status in ("again", "vote"))
            if result is not None and trail.failure is None:
                part = f"part {number} of {len(level)}: " if len(level) > 1 else ""
                trail.failure = f"{part}{result.error}"

    def goes_on(self, trail: Trail) -> bool:
        """Say whether more will have to be asked once what is missing has been answered."""
        return trail.width > 1 or trail.level + 1 < len(self.prompt.turns)

    def forecast(self, document: Document, trail: Trail) -> list[Step]:
        """Give the steps after the missing ones; answers not there yet are empty in them."""
        known = {
            result.request.key: result.content or ""
            for result in trail.results
            if result.status == "ok"
        }
        later: list[Step] = []
        course = self._course(document, Trail())
        with contextlib.suppress(StopIteration):
            level, number = next(course), 0
            while True:
                level = course.send([known.get(step.request.key, "") for step in level])
                number += 1
                if number > trail.level:
                    later += level
        return later

    def _course(self, document: Document, trail: Trail) -> Course:
        pieces = self._pieces(document, trail)
        if len(pieces) == 1:
            said: list[str] = []
            while len(said) < len(self.prompt.turns):
                said += yield [Step(self.prompt.render(pieces[0], said), tuple(said))]
            return
        trail.chunks = len(pieces)
        answers = yield [Step(self.prompt.render(piece)) for piece in pieces]
        while len(answers) > 1:
            answers = yield [
                Step(self.prompt.merge(document, group), group)
                for group in self._groups(document, answers)
            ]

    def _pieces(self, document: Document, trail: Trail) -> list[Document]:
        """Cut a document where it is long."""
        if document.position not in self._chunks:
            room = self._room(document)
            if room is None:
                return [document]
            self._chunks[document.position] = self._cut(_squeeze(document.text), room)
        text = _squeeze(document.text)
        bounds = self._chunks[document.position]
        chunks = list(zip(bounds[::2], bounds[1::2], strict=True))
        if len(chunks) < 2:
            return [document]
        if self._long is Long.HEAD:
            start, end = chunks[0]
            head = f"only the first {end / len(text):.0%} of the text was asked about"
            trail.remark = f"{document.remark}; {head}" if document.remark else head
            return [replace(document, text=text[start:end])]
        self._refuse(document)
        return [
            replace(
                document,
                name=f"{document.name} [{number}/{len(chunks)}]",
                text=text[start:end],
                images=document.images if number == 1 else (),
                chunk=number,
                chunks=len(chunks),
            )
            for number, (start, end) in enumerate(chunks, 1)
        ]

    def _refuse(self, document: Document) -> None:
        """Raise DocumentError where a long text can't be split."""
        if self._long is Long.FAIL:
            why = ""
        elif not self.prompt.merging:
            why = (
                f"; prompt {self.prompt.name} has no `reduce:` messages to merge the answers "
                "to its parts: add them, or use --long head"
            )
        elif len(self.prompt.turns) > 1:
            why = ", and a conversation of several turns can't be split: use --long head"
        else:
            return
        tokens, room = self._counter.count(document.text), self._room(document)
        raise DocumentError(f"the text is too long: {tokens:,} tokens, and {room:,} fit{why}")

    def _room(self, document: Document) -> int | None:
        """Give how many tokens of a text may be asked about at once; None if this one is no longer.

        A text has at most as many tokens as bytes.
        """
        most = self._chunk_tokens or self._window_tokens
        if most is None or not self.prompt.uses_text or len(document.text) * 4 <= most // 2:
            return None
        room = self._left(self.prompt.render(replace(document, text="")))
        long = len(document.text.encode("utf-8", "replace")) > room
        return room if long and self._counter.count(document.text) > room else None

    def _left(self, empty: Request) -> int:
        """Give how many tokens may be put into a request that has no text yet."""
        if self._window_tokens is None:
            return self._chunk_tokens or 0
        around = self._counter.count_messages(empty.messages)
        left = int(self._window_tokens * WINDOW_SHARE) - around - self._answer_tokens
        if left < 1:
            raise DocumentError(
                f"the model's window of {self._window_tokens:,} tokens has no room for a text "
                "beside the prompt and the answer: lower --max-tokens"
            )
        return min(self._chunk_tokens or left, left)

    def _cut(self, text: str, room: int) -> array[int]:
        """Cut a text into parts that fit."""
        from semantic_text_splitter import MarkdownSplitter

        splitter = MarkdownSplitter.from_callback(
            self._counter.count, room, overlap=int(room * OVERLAP)
        )
        parts: list[tuple[int, int]] = []
        for start, part in splitter.chunk_indices(text):
            end = start + len(part)
            if parts and self._counter.count(text[parts[-1][0] : end]) <= room:
                parts[-1] = parts[-1][0], end  # a short chapter goes with the one before
            else:
                parts.append((start, end))
        return array("L", [place for part in parts for place in part])

    def _groups(self, document: Document, answers: Sequence[str]) -> list[tuple[str, ...]]:
        """Lay answers together that fit one merge: at least two, or it would never end."""
        room = self._left(self.prompt.merge(document, ()))
        groups: list[list[str]] = [[]]
        used = 0
        for answer in answers:
            tokens = self._counter.count(answer) if answer else self._answer_tokens
            if len(groups[-1]) >= 2 and used + tokens > room:
                groups.append([])
                used = 0
            groups[-1].append(answer)
            used += tokens
        if len(groups) > 1 and len(groups[-1]) == 1:  # not alone: it would be merged with nothing
            groups[-1].insert(0, groups[-2].pop())
            if len(groups[-2]) == 1:
                groups[-2:] = [groups[-2] + groups[-1]]
        return [tuple(group) for group in groups]


def _squeeze(text: str) -> str:
    return BLANK.sub(lambda run: run[0][:3], text)
