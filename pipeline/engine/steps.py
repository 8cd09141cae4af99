"""What is asked about a document, and in what order: one request, or several steps.

Several are the turns of a conversation, or the parts of a long document, which is cut at its
natural boundaries, and the merges of their answers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from pipeline.costs import Counter
from pipeline.engine.lookups import Lookup
from pipeline.errors import DocumentError
from pipeline.prompting.prompt import Prompt
from pipeline.sources.spool import Slot
from pipeline.types import Document, Long, Record, Request

ANSWER_TOKENS = 1024  # room for an answer that has no bound
OVERLAP = 0.05  # of a part is said again in the next, so that no sentence loses its beginning
WINDOW_SHARE = 0.9  # of the window is used: our count of tokens is an estimate
BLANK = re.compile(r"[ \t]{80,}|\n{4,}")  # runs that say nothing and cost the splitter minutes


@dataclass(frozen=True, slots=True)
class Step:
    """A request, and the earlier answers that it contains."""

    request: Request
    answers: tuple[str, ...] = ()


@dataclass(slots=True)
class Outline:
    """What is asked about a document, as far as it is known: it stays with the document, so that
    no request is made again to look its answer up.

    `levels` are the keys of the requests of each level: one in each turn, or those to the parts of
    a long text, then those that merge the answers. `cuts` are where its parts begin and end, in
    turn, in characters, `chunks` how many are asked about. `problem` is why there are no more
    levels, `remark` what was left out. `done`: all is answered, which stays so; `answers` are all
    of those, if they are kept here.
    """

    levels: list[tuple[bytes, ...]] = field(default_factory=list)
    cuts: tuple[int, ...] = ()
    chunks: int = 1
    problem: str | None = None
    remark: str | None = None
    done: bool = False
    answers: list[Record] = field(default_factory=list)


@dataclass(slots=True)
class Trail:
    """How far the questions about a document have come.

    Each level of steps needs the answers of the one before; `said` are the answers of the levels
    that are passed, `known` those of the next, and `missing` its keys without a good answer.
    `results` are all answers on the way. `problem` says why nothing can be asked, `failure` what
    was wrong with an answer. `begun` says that another answer was to follow on one. `rendered` are
    the steps of the next level, if they had to be made.
    """

    outline: Outline = field(default_factory=Outline)
    results: list[Record] = field(default_factory=list)
    said: list[list[str]] = field(default_factory=list)
    known: list[Record | None] = field(default_factory=list)
    missing: list[bytes] = field(default_factory=list)
    rendered: list[Step] | None = None
    problem: str | None = None
    failure: str | None = None
    begun: bool = False

    @property
    def finished(self) -> bool:
        return not (self.missing or self.problem)

    @property
    def answers(self) -> list[str]:
        """Return the final answers, by turn. Those to parts are one, once they are merged."""
        if self.outline.chunks > 1:
            return self.said[-1] if self.finished else []
        return [contents[0] for contents in self.said]

    @classmethod
    def whole(cls, outline: Outline) -> Trail:
        """Return the trail of a document that is done, of the answers in its outline."""
        contents = iter([record.content or "" for record in outline.answers])
        said = [list(islice(contents, len(keys))) for keys in outline.levels]
        return cls(outline, outline.answers, said)

    def take(self, keys: Sequence[bytes], known: Sequence[Record | None]) -> None:
        """Take the answers to a level's requests; if they are all good, it is passed."""
        self.known = list(known)
        for number, (key, record) in enumerate(zip(keys, known, strict=True), 1):
            if record is None:
                self.missing.append(key)
                continue
            self.results.append(record)
            if record.status != "ok":
                self.missing.append(key)
                self._fail(record, f"part {number} of {len(keys)}: " if len(keys) > 1 else "")
        if not self.missing:
            self.said.append([record.content or "" for record in known if record])
            self.rendered = None

    def _fail(self, record: Record, part: str) -> None:
        self.begun = self.begun or record.status in ("again", "vote")
        if self.failure is None:
            self.failure = f"{part}{record.error}"


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

    @property
    def splits(self) -> bool:
        """Return whether a row can come of several chunks."""
        bounded = self._chunk_tokens is not None or self._window_tokens is not None
        able = self.prompt.uses_text and self.prompt.merging and len(self.prompt.turns) == 1
        return bool(bounded and able and self._long is Long.SPLIT)

    @property
    def _answer_tokens(self) -> int:
        """Return the longest answer that is allowed, or what is taken for it."""
        return self.prompt.max_tokens or ANSWER_TOKENS + self.prompt.thinking

    def votes(self, number: int) -> int:
        """Return how often the request is asked whose answer has this number on a trail."""
        return self.prompt.votes if number >= len(self.prompt.turns) - 1 else 1

    def follow(
        self, slot: Slot, outline: Outline | None = None, most: int | None = None
    ) -> Lookup[Trail]:
        """Go as far as the saved answers lead, through at most so many levels.

        What is found out about the document on the way is added to the `outline`.
        """
        outline = self.begin(slot.document) if outline is None else outline
        if outline.answers:
            return Trail.whole(outline)
        trail = Trail(outline)
        while not trail.missing and (keys := self._keys(slot, trail)):
            ahead = most is not None and len(trail.said) >= most
            trail.take(keys, [None] * len(keys) if ahead else (yield keys))
        outline.done = outline.done or trail.finished
        return trail

    def begin(self, document: Document) -> Outline:
        """Look at a document: whether it can be asked about, and where it is cut."""
        outline = Outline(remark=document.remark, problem=document.error)
        if outline.problem is None:
            try:
                room = self._room(document)
                if room is not None:
                    self._divide(document, outline, room)
            except DocumentError as error:
                outline.problem = str(error)
        return outline

    def missing(self, slot: Slot, trail: Trail) -> list[Step]:
        """Return the steps that a trail is missing."""
        steps = trail.rendered or self._level(slot.document, trail.outline, trail.said)
        missing = set(trail.missing)
        return [step for step in steps if step.request.key in missing]

    def first(self, document: Document, outline: Outline) -> Request:
        """Return the first request of all about a document."""
        return self._level(document, outline, [])[0].request

    def goes_on(self, trail: Trail) -> bool:
        """Return whether more will have to be asked once what is missing has been answered."""
        return len(trail.known) > 1 or len(trail.said) + 1 < len(self.prompt.turns)

    def forecast(self, slot: Slot, trail: Trail) -> list[Step]:
        """Return the steps after the missing ones; answers not there yet are empty in them."""
        good = [record if record and record.status == "ok" else None for record in trail.known]
        said = [*trail.said, [(record and record.content) or "" for record in good]]
        later: list[Step] = []
        while not self._is_over(trail.outline, said):
            steps = self._level(slot.document, trail.outline, said)
            later += steps
            said.append([""] * len(steps))
        return later

    def _keys(self, slot: Slot, trail: Trail) -> tuple[bytes, ...]:
        """Return the keys of the next level's requests; none if there is no such level."""
        outline, level = trail.outline, len(trail.said)
        if level < len(outline.levels):
            return outline.levels[level]
        if self._is_over(outline, trail.said):
            return ()
        if outline.problem is None:
            try:
                trail.rendered = self._level(slot.document, outline, trail.said)
            except DocumentError as error:
                outline.problem = str(error)
        if outline.problem is not None:
            trail.problem = outline.problem
            return ()
        outline.levels.append(tuple(step.request.key for step in trail.rendered or ()))
        return outline.levels[-1]

    def _is_over(self, outline: Outline, said: Sequence[Sequence[str]]) -> bool:
        """Return whether no level follows on these answers."""
        if outline.chunks == 1:
            return len(said) == len(self.prompt.turns)
        return bool(said) and len(said[-1]) == 1

    def _level(
        self, document: Document, outline: Outline, said: Sequence[Sequence[str]]
    ) -> list[Step]:
        """Make the requests that follow on the answers of the levels before.

        Raises DocumentError if a message can't be filled in.
        """
        if outline.chunks == 1 or not said:
            answers = tuple([contents[0] for contents in said])
            pieces = _pieces(document, outline) if outline.cuts else [document]
            return [Step(self.prompt.render(piece, answers), answers) for piece in pieces]
        return [
            Step(self.prompt.merge(document, group), group)
            for group in self._groups(document, said[-1])
        ]

    def _divide(self, document: Document, outline: Outline, room: int) -> None:
        """Find out where a long text is cut. Raises DocumentError if it can't be."""
        text = _squeeze(document.text)
        cuts = self._cut(text, room)
        if len(cuts) <= 2:
            return
        if self._long is Long.HEAD:
            head = f"only the first {cuts[1] / len(text):.0%} of the text was asked about"
            outline.remark = f"{document.remark}; {head}" if document.remark else head
            outline.cuts = cuts[:2]
            return
        self._refuse(document, room)
        outline.cuts, outline.chunks = cuts, len(cuts) // 2

    def _refuse(self, document: Document, room: int) -> None:
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
        tokens = self._counter.count(document.text)
        raise DocumentError(f"the text is too long: {tokens:,} tokens, and {room:,} fit{why}")

    def _room(self, document: Document) -> int | None:
        """Return the most tokens of a text that fit into one request, or None if the text fits.

        A text has at most as many tokens as bytes.
        """
        most = self._chunk_tokens or self._window_tokens
        if most is None or not self.prompt.uses_text or len(document.text) * 4 <= most // 2:
            return None
        room = self._left(self.prompt.render(replace(document, text="")))
        long = len(document.text.encode("utf-8", "replace")) > room
        return room if long and self._counter.count(document.text) > room else None

    def _left(self, empty: Request) -> int:
        """Return how many tokens may be put into a request that has no text yet."""
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

    def _cut(self, text: str, room: int) -> tuple[int, ...]:
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
        return tuple(place for part in parts for place in part)

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


def _pieces(document: Document, outline: Outline) -> list[Document]:
    """Return the parts of a long document that are asked about."""
    text, cuts = _squeeze(document.text), outline.cuts
    if outline.chunks == 1:
        return [replace(document, text=text[cuts[0] : cuts[1]])]
    return [
        replace(
            document,
            name=f"{document.name} [{number}/{outline.chunks}]",
            text=text[start:end],
            images=document.images if number == 1 else (),
            chunk=number,
            chunks=outline.chunks,
        )
        for number, (start, end) in enumerate(zip(cuts[::2], cuts[1::2], strict=True), 1)
    ]


def _squeeze(text: str) -> str:
    return BLANK.sub(lambda run: run[0][:3], text)
