"""The plan before a run and the summary after it, in words."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from pipeline.costs import usd
from pipeline.engine.ending import Outcome, Review
from pipeline.engine.escalation import Escalation
from pipeline.engine.plan import Plan
from pipeline.engine.run import Run
from pipeline.limits.moments import duration
from pipeline.watching import Watch

REASONS = 5


def describe_plan(plan: Plan, run: Run) -> str:
    """Say in a line what there is to do and what it may cost."""
    about = "" if plan.complete else "about "
    parts = [f"{about}{many(plan.rows, 'row')}"]
    if plan.done:
        parts.append(f"{plan.done:,} done already")
    if plan.unreadable:
        parts.append(f"{plan.unreadable:,} can't be sent (the first: {plan.problem})")
    if plan.empty:
        parts.append(f"{plan.empty:,} are empty")
    if not plan.requests and not plan.escalations:
        so_far = " about the rows read so far; the run reads the rest"
        return f"{', '.join(parts)}: nothing to ask{'' if plan.complete else so_far}"
    costs = []
    if plan.requests:
        sure = "" if run.engine.lane.server.counter.exact else " (estimated)"
        parts.append(
            f"{many(plan.requests, 'request')} to {run.steps.prompt.model}, "
            f"about {plan.prompt_tokens:,} prompt tokens{sure}"
        )
        costs.append(_cost(plan, run))
    if plan.escalations and run.escalation:
        costs.append(_escalated(plan, run.escalation))
    return f"{', '.join(parts)}: {'; and '.join(costs)}"


def describe_damage(journal: Path, count: int) -> str:
    """Say what becomes of damaged entries of a journal."""
    return (
        f"{many(count, 'entry')} of {journal} {'is' if count == 1 else 'are'} damaged and not "
        "used: lost answers are requested again, and their cost is no longer counted"
    )


def _escalated(plan: Plan, escalation: Escalation) -> str:
    """Say what the stronger model may cost, if it has to be asked about all."""
    price, most = escalation.engine.lane.server.price, plan.escalated_usd
    asked = f"up to {many(plan.escalations, 'request')} to {escalation.model}"
    if price is None or most is None:
        return f"{asked}, whose price is not known"
    return f"at most {usd(most)} for {asked}, without retries ({price})"


def many(count: int, what: str) -> str:
    """Count things, in words that fit one of them, too."""
    several = f"{what[:-1]}ies" if what.endswith("ry") else f"{what}s"
    return f"{count:,} {what if count == 1 else several}"


def _cost(plan: Plan, run: Run) -> str:
    prompt, price = run.steps.prompt, run.engine.lane.server.price
    bound, thinking = prompt.answer_tokens, prompt.thinking
    if price is None or plan.low_usd is None:
        return "cost unknown"
    if price.source == "free":
        return "free"
    where = f"{price}, {price.source}"
    if plan.high_usd is None:
        return f"at least {usd(plan.low_usd)}, answers have no bound ({where})"
    thoughts = f" and up to {thinking:,} of thoughts" if thinking else ""
    span = _range(plan.low_usd, plan.high_usd)
    asked = f"estimated {span} with answers of up to {bound:,} tokens{thoughts}"
    return f"{asked}, without retries ({where})"


def _range(low: Decimal, high: Decimal) -> str:
    return f"{usd(low).removesuffix(' USD')} to {usd(high)}"


def describe_outcome(outcome: Outcome, run: Run, progress: Watch) -> None:
    """Print what the output holds, what it took, and how to go on."""
    name = run.target.name if run.target else ""
    code = outcome.exit_code
    counts = outcome.statuses
    parts = [f"{counts[status]:,} {status}" for status in ("ok", "failed", "skipped")]
    shown = [
        part
        for part, status in zip(parts, ("ok", "failed", "skipped"), strict=True)
        if counts[status] or status == "ok"
    ]
    lines = [f"{many(outcome.rows, 'row')}: {', '.join(shown)} -> {name}"]
    for reasons in (outcome.errors, outcome.skips):
        lines += [f"  {count:,} x {reason}" for reason, count in _reasons(reasons)]
    lines += [f"  {note}" for note in outcome.notes]
    if progress.spent.answered:
        lines += [_spent(progress, run), *_cached(progress, run)]
    if (escalation := run.escalation) is not None:
        spared = escalation.savings.answers and not escalation.off
        lines += [_saved(escalation)] if spared else []
        lines += [escalation.note] if escalation.note else []
    if code in (1, 3, 4, 130):
        lines += [f"{_how_to_go_on(outcome, code)} run the same command:", f"  {command_line()}"]
    for line in lines:
        progress.note(line)
    spent = progress.spent
    progress.total(
        exit_code=code,
        rows=outcome.rows,
        **{status: counts[status] for status in ("ok", "failed", "skipped")},
        requests=spent.answered,
        refused=_refused(run),
        prompt_tokens=spent.prompt_tokens,
        completion_tokens=spent.completion_tokens,
        cached_tokens=spent.cached_tokens,
        cache_saved_usd=float(_saved_usd(run)),
        cost_usd=float(spent.cost_usd)
        if run.engine.lane.server.price and not spent.unpriced
        else None,
        seconds=round(spent.seconds, 1),
        output=name,
    )


def _how_to_go_on(outcome: Outcome, code: int) -> str:
    if code != 1:
        return "for the rest,"
    if outcome.unasked == outcome.statuses["failed"]:
        return "the failed rows can't be sent as they are: fix the input, then"
    return "to retry the failed rows,"


def _refused(run: Run) -> int:
    """Count the requests that were refused for a limit, whichever model they went to."""
    return sum(lane.refused for lane in run.lanes)


def _spent(progress: Watch, run: Run) -> str:
    spent = progress.spent
    unsure = sum((lane.budget.unsure_usd for lane in run.lanes), Decimal(0))
    parts = [
        f"{spent.tokens:,} tokens ({spent.prompt_tokens:,} in, {spent.completion_tokens:,} out)",
        spent.cost() if run.engine.lane.server.price else "cost unknown",
        duration(spent.seconds),
        f"{spent.answered / max(spent.seconds, 1e-9):.1f} requests a second",
    ]
    if refused := _refused(run):
        parts.append(f"{many(refused, 'request')} refused for a limit and sent again")
    if spent.again:
        one = spent.again == 1
        what = "unusable answer was" if one else "unusable answers were"
        parts.append(f"{spent.again:,} {what} requested again")
    if run.engine.lane.server.price and spent.unpriced:
        parts.append(f"{many(spent.unpriced, 'answer')} without a known cost")
    if unsure:
        parts.append(f"up to {usd(unsure)} more for requests whose answer was lost")
    return f"this run: {', '.join(part for part in parts if part)}"


def _cached(progress: Watch, run: Run) -> Iterator[str]:
    """Say what the server's cache has saved, if anything was read from it."""
    cached, saved = progress.spent.cached_tokens, _saved_usd(run)
    if cached:
        worth = f", which saved {usd(saved)}" if saved > 0 else ""
        yield f"the server had {many(cached, 'token')} of the prompts in its cache{worth}"


def _saved_usd(run: Run) -> Decimal:
    return sum((lane.server.saved_usd for lane in run.lanes), Decimal(0))


def _saved(escalation: Escalation) -> str:
    """Say what the cheap model has saved, against the strong one alone."""
    savings = escalation.savings
    unsure = f"{savings.escalated:,} of {savings.answers:,} answers"
    said, alone = f"{escalation.model} was asked about {unsure}", escalation.alone_usd()
    if not alone or savings.cost_usd is None:
        return said
    saved = alone - savings.cost_usd
    less = f"{abs(saved) / alone:.0%} {'less' if saved >= 0 else 'more'}"
    return f"{said}; alone it would have cost about {usd(alone)}: this was {less}"


def _reasons(errors: Counter[str]) -> list[tuple[str, int]]:
    """Group the errors that differ in their numbers and names only; the most frequent first."""
    groups: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for error, count in errors.items():
        group = re.sub(r"\d+|'[^']*'|\"[^\"]*\"", "#", error)
        groups[group] += count
        examples.setdefault(group, error)
    most = [(examples[group], count) for group, count in groups.most_common(REASONS)]
    rest = sum(groups.values()) - sum(count for _, count in most)
    return [*most, ("for other reasons: see the error column", rest)] if rest else most


def describe_review(review: Review, output: Path) -> str:
    """Say what to do with the workbook."""
    if not review.rows:
        return f"no row is left to review: {review.path} was not written"
    named = "" if review.names_output else f" -o {shlex.quote(str(output))}"
    return (
        f"{many(review.rows, 'row')} to review -> {review.path}: enter the correct answers in the "
        f"first column, save, then run: pipeline review {shlex.quote(str(review.path))}{named}"
    )


def command_line() -> str:
    """Give the command that was typed, as a shell takes it again."""
    return " ".join(["pipeline", *map(_quoted, sys.argv[1:])])


def _quoted(argument: str) -> str:
    r"""Quote an argument; one with control characters as $'\x1b', which can be shown."""
    if argument.isprintable():
        return shlex.quote(argument)
    raw = os.fsencode(argument.replace("\\", "\\\\").replace("'", "\\'"))
    letters = raw.decode("utf-8", "backslashreplace")
    return f"$'{''.join(each if each.isprintable() else _code(each) for each in letters)}'"


def _code(letter: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in letter.encode())
