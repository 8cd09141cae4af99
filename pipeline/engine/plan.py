"""What a run would send, found out before anything is."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from pipeline.backends.base import Server
from pipeline.costs import Price
from pipeline.engine.escalation import Escalation, follow_all
from pipeline.engine.lookups import Lookup, look_up
from pipeline.engine.stages import Stage
from pipeline.engine.steps import Step, Trail
from pipeline.errors import UsageError
from pipeline.evaluation.gold import is_known, is_right
from pipeline.evaluation.pairs import Pair, all_empty
from pipeline.sources.spool import Slot, Spool
from pipeline.types import Request, Usage


@dataclass(slots=True)
class Plan:
    """What a run would send. If not `complete`, it was estimated from the first rows.

    `known` rows have an answer in the journal, good or not. `problem` is why the first of the
    `unreadable` rows can't be asked about. Besides the `requests` the stronger model is asked
    `escalations` at the most, for `escalated_usd` at the most (None: unknown). `expects` says that
    the right answer to some row is known, `fits` that one of those is an answer that can be given;
    `strange` is the first that can't. `sharing` counts the requests of a prefix, by its key.
    """

    rows: int = 0
    done: int = 0
    known: int = 0
    unreadable: int = 0
    problem: str | None = None
    empty: int = 0
    requests: int = 0
    prompt_tokens: int = 0
    low_usd: Decimal | None = Decimal(0)
    high_usd: Decimal | None = Decimal(0)
    escalations: int = 0
    escalated_usd: Decimal | None = Decimal(0)
    complete: bool = True
    expects: bool = False
    fits: bool = False
    strange: str | None = None
    first: Request | None = None
    sharing: Counter[str] = field(default_factory=Counter)

    @property
    def shared(self) -> set[str]:
        """Return the keys of the prefixes of several requests."""
        return {key for key, count in self.sharing.items() if count > 1}

    def scale(self, factor: float) -> None:
        """Take what was read for a part of the whole."""
        self.complete = False
        self.rows, self.done = round(self.rows * factor), round(self.done * factor)
        self.empty = round(self.empty * factor)
        self.unreadable = round(self.unreadable * factor)
        self.requests = round(self.requests * factor)
        self.prompt_tokens = round(self.prompt_tokens * factor)
        self.escalations = round(self.escalations * factor)
        if self.low_usd is not None:
            self.low_usd *= Decimal(factor)
        if self.high_usd is not None:
            self.high_usd *= Decimal(factor)
        if self.escalated_usd is not None:
            self.escalated_usd *= Decimal(factor)


class Planner:
    """Plans what the stages of a run are to be asked about a spool's documents.

    Of each row of `pairs` the right answer is to be known.
    """

    def __init__(
        self, spool: Spool, first: Stage, later: Sequence[Escalation], pairs: Sequence[Pair]
    ) -> None:
        self._spool = spool
        self._first = first
        self._later = later
        self._pairs = pairs
        self._server = first.engine.lane.server

    def plan(self, seconds: float) -> Plan:
        """Find out what there is to do, from as much of the input as can be read in this time.

        Raises UsageError if right answers are to be known and none is.
        """
        plan = Plan()
        until = time.monotonic() + seconds
        seen: set[bytes] = set()
        find = self._first.engine.store.get_all
        for slot, trails in look_up(self._spool, self._follow, find):
            self._add(plan, slot, trails, seen)
            # What has been read besides waits in a batch: it is a part of the source's fraction.
            if time.monotonic() > until and plan.rows == self._spool.count:
                break
        else:
            self._check(plan)
            return plan
        self._server.counter.count("")  # loads it before there is an event loop to block
        plan.scale(1 / max(self._spool.source.fraction(), 1e-6))
        return plan

    def _check(self, plan: Plan) -> None:
        """Raise UsageError if nothing can be compared with the answers."""
        name = self._spool.source.name
        if self._pairs and plan.rows and not plan.expects:
            raise UsageError(f"{name}: {all_empty(self._pairs)}")
        if plan.strange is not None and not plan.fits:
            labels = ", ".join(self._pairs[0].labels or ())
            raise UsageError(
                f'{name}: nothing in "{self._pairs[0].expected}" is one of the labels {labels}: '
                f"it begins with `{plan.strange}`"
            )

    def _follow(self, slot: Slot) -> Lookup[tuple[Trail, Trail] | None]:
        """Look up what is known of a document; None if there is nothing in it to ask about."""
        document = slot.document
        if document.error is None and self._first.steps.prompt.idle(document):
            return None
        return (yield from follow_all(self._first, self._later, slot))

    def _add(
        self, plan: Plan, slot: Slot, trails: tuple[Trail, Trail] | None, seen: set[bytes]
    ) -> None:
        plan.rows += 1
        if self._pairs and not plan.fits:
            self._add_expected(plan, slot.document.fields)
        if trails is None:
            plan.empty += 1
            return
        first, trail = trails
        plan.unreadable += trail.problem is not None
        plan.problem = plan.problem or trail.problem
        plan.done += trail.finished
        plan.known += bool(trail.results)
        if plan.first is None and first.outline.levels:
            plan.first = self._first.steps.first(slot.document, first.outline)
        if trail.finished or trail.problem:
            return
        self._add_steps(plan, _ahead(self._first, slot, first, seen))
        for stage in self._later:
            _add_escalations(plan, _ahead(stage, slot, stage.look(slot), seen), stage)

    def _add_expected(self, plan: Plan, fields: Mapping[str, object]) -> None:
        if is_right(fields, self._pairs) is None:
            return
        plan.expects = True
        plan.fits = len(self._pairs) > 1 or is_known(fields, self._pairs[0])
        if not plan.fits and plan.strange is None:
            plan.strange = str(fields.get(self._pairs[0].expected))

    def _add_steps(self, plan: Plan, steps: Iterable[Step]) -> None:
        """Add requests; an answer in them that isn't there yet is as long as it may be."""
        server = self._server
        for step in steps:
            request, unknown = step.request, step.answers.count("")
            tokens = server.count_tokens(request)
            plan.requests += request.votes
            plan.prompt_tokens += tokens * request.votes
            begins = _share(plan, request)
            if server.price is None or plan.low_usd is None:
                plan.low_usd = plan.high_usd = None
                continue
            plan.low_usd += _low_usd(server, server.price, request, tokens, begins)
            if request.max_tokens is None or plan.high_usd is None:
                plan.high_usd = None
            else:
                most = server.most_tokens(request, tokens) + unknown * request.max_tokens
                plan.high_usd += _high_usd(server, server.price, request, most, begins)


def _share(plan: Plan, request: Request) -> bool:
    """Count a request among those that share its prefix; return whether it is the first."""
    if request.prefix is None:
        return True
    plan.sharing[request.prefix.key] += request.votes
    return plan.sharing[request.prefix.key] == request.votes


def _low_usd(server: Server, price: Price, request: Request, tokens: int, begins: bool) -> Decimal:
    """Return the least that a request costs: what others shared is read from the server's cache."""
    later = request.votes - begins
    low = price.cost_usd(Usage(tokens, 1)) if begins else Decimal(0)
    if later:
        low += price.cost_usd(Usage(tokens, 1, server.shared_tokens(request))) * later
    return low


def _high_usd(server: Server, price: Price, request: Request, most: int, begins: bool) -> Decimal:
    """Return the most that a request costs: nothing is read from the server's cache."""

    def cost(begins: bool) -> Decimal:
        written = server.written_tokens(request, most, begins=begins)
        return price.cost_usd(Usage(most, request.max_tokens or 0, 0, written))

    later = request.votes - begins
    return (cost(True) if begins else Decimal(0)) + (cost(False) * later if later else Decimal(0))


def _add_escalations(plan: Plan, steps: Iterable[Step], stage: Escalation) -> None:
    for step in steps:
        plan.escalations += 1
        _share(plan, step.request)
        ceiling_usd = stage.ceiling_usd(step.request)
        if ceiling_usd is None or plan.escalated_usd is None:
            plan.escalated_usd = None
        else:
            plan.escalated_usd += ceiling_usd


def _ahead(stage: Stage, slot: Slot, trail: Trail, seen: set[bytes]) -> Iterator[Step]:
    """Yield the steps that are still to be asked, but for those `seen` of another document."""
    if seen.issuperset(trail.missing):
        return
    new = [step for step in stage.steps.missing(slot, trail) if step.request.key not in seen]
    seen.update(trail.missing)
    yield from new
    if stage.steps.goes_on(trail):
        yield from stage.steps.forecast(slot, trail)
