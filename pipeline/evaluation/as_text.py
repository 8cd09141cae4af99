"""An evaluation in words and columns, for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal

from pipeline.costs import usd
from pipeline.evaluation.calibration import METHODS
from pipeline.evaluation.comparison import Comparison
from pipeline.evaluation.gold import Graded
from pipeline.evaluation.judged import Duel, Judged
from pipeline.evaluation.scores import RESAMPLES, Evaluation, Interval
from pipeline.evaluation.threshold import Choice
from pipeline.prompting.labels import bare
from pipeline.sources.tables.written import REVIEWED

_MOST_CHARACTERS = 110  # of the labels of a confusion matrix: more don't fit on a screen
_MOST_LINES = 30
_MOST_MISTAKES = 10
_NO_ANSWER = "(none)"


def describe(found: Evaluation) -> list[str]:
    """Say how right a table is, in lines."""
    parts = (_summary, _labels, _matrix, _fields, _confidence, _worst)
    return [line for part in parts if (lines := [*part(found)]) for line in ("", *lines)][1:]


def describe_comparison(found: Comparison, first: Evaluation, second: Evaluation) -> list[str]:
    """Say which of two tables to take, and why."""
    names = [first.answers.name, second.answers.name]
    pair = [first, second]
    lines = [
        ["", *names],
        ["accuracy", *(_percent(item.accuracy) for item in pair)],
        ["  95% interval", *(_range(item.accuracy_interval) for item in pair)],
        ["macro-F1", *(_share(item.macro_f1) for item in pair)],
        ["no answer", *(f"{item.no_answer.total():,}" for item in pair)],
        ["cost per row", *(_rate(item.cost.per_row_usd) for item in pair)],
        ["cost per correct row", *(_rate(item.cost.per_right_row_usd) for item in pair)],
        ["only this one correct", f"{found.only_first:,}", f"{found.only_second:,}"],
    ]
    return [
        f"{found.rows:,} rows: {found.both_right:,} correct in both, "
        f"{found.both_wrong:,} wrong in both",
        "",
        *_columns(lines),
        "",
        found.verdict,
    ]


def describe_scores(found: Judged) -> list[str]:
    """Say how a judge scored a table."""
    low, high = found.mean_interval.low, found.mean_interval.high
    unscored = f"; {_many(found.unscored)} without a score left out" if found.unscored else ""
    lines = [
        f"{found.name}: `{found.column}` of {_many(found.rows)}{unscored}",
        f"mean        {found.mean:.2f}  (95% interval {low:.2f} to {high:.2f}, "
        f"bootstrap of {RESAMPLES:,} samples)",
    ]
    for score, count in sorted(found.scores.items(), reverse=True)[:_MOST_LINES]:
        lines.append(f"  {score!s:>9} {count:>7,}  {_percent(count / found.rows)}")
    cost = "unknown" if found.cost_usd is None else usd(found.cost_usd)
    lines.append(f"judging     {cost}")
    lines += ["", "worst rows"] if found.worst else []
    for row in found.worst:
        said = f": {_cut(row.said, 80)}" if row.said else ""
        lines.append(f"  {row.name}: {row.score}{said}")
    return lines


def describe_duel(found: Duel, first: Judged, second: Judged) -> list[str]:
    """Say which of two scored tables to take."""
    lines = [
        ["", first.name, second.name],
        ["mean", f"{first.mean:.2f}", f"{second.mean:.2f}"],
        ["scores higher", f"{found.first_wins:,}", f"{found.second_wins:,}"],
    ]
    return [f"{_many(found.rows)} scored in both", "", *_columns(lines), "", found.verdict]


def describe_choice(found: Choice, *, accuracy: float, level: float, both: bool) -> str:
    """Say which threshold keeps a promise, or what is missing to. With `both`, the stronger model's
    answers are known, too.
    """
    promise = f"at least {100 * accuracy:g}% of answers are correct ({100 * level:g}% confidence)"
    rows = f"{found.rows:,} rows"
    if not found.enough:
        return (
            f"{_many(found.rows)} with a correct answer to compare can't promise that {promise}: "
            f"it takes at least {found.rows_needed:,}, more if any kept answer is wrong"
        )
    if found.wrong > found.allowed:
        return (
            f"No threshold promises that {promise}: the stronger model itself is wrong in "
            f"{found.wrong:,} of {rows}; {found.allowed:,} {_is(found.allowed)} allowed."
        )
    if found.threshold is None:
        return (
            f"No threshold promises that {promise}: of {rows} {found.allowed:,} may be wrong, and "
            "the most confident answers are wrong more often. Ask the stronger model about all."
        )
    asked = found.rows - found.kept
    kind = "answer" if both else "kept answer"
    return (
        f"With --below {found.threshold!r}, {promise}: {found.kept:,} of {rows} "
        f"({_percent(found.kept / found.rows)}) keep the first answer, {asked:,} "
        f"{'goes' if asked == 1 else 'go'} to the stronger model. "
        f"{found.wrong:,} {kind}{'' if found.wrong == 1 else 's'} {_is(found.wrong)} wrong; "
        f"{found.allowed:,} {_is(found.allowed)} allowed.\n"
        "This holds if the rows with a known answer are a random sample"
        f"{'' if both else ', and counts what the stronger model says as correct'}."
    )


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


def _summary(found: Evaluation) -> Iterator[str]:
    answers = found.answers
    pairs = ", ".join(f"`{pair.predicted}` against `{pair.expected}`" for pair in answers.pairs)
    yield f"{answers.name}: {pairs}"
    left = [
        f"{count:,} {why}"
        for count, why in ((answers.blank, "without"), (answers.unreadable, "unreadable"))
        if count
    ]
    rest = f"; {', '.join(left)}, left out" if left else ""
    yield f"rows        {found.rows:,} with a correct answer to compare{rest}"
    yield (
        f"accuracy    {_percent(found.accuracy)}  (95% interval {_range(found.accuracy_interval)}"
        f", Wilson; {found.right:,} of {found.rows:,} correct)"
    )
    if found.macro_f1 is not None and found.macro_f1_interval is not None:
        low, high = found.macro_f1_interval.low, found.macro_f1_interval.high
        yield (
            f"macro-F1    {found.macro_f1:.3f}   (95% interval {low:.3f} to {high:.3f}, "
            f"bootstrap of {RESAMPLES:,} samples)"
        )
    if found.no_answer:
        reasons = ", ".join(f"{count:,} {why}" for why, count in found.no_answer.most_common())
        answered = found.answered_accuracy
        but = (
            f"; {_percent(answered)} of the answered rows are correct"
            if answered is not None
            else ""
        )
        yield f"no answer   {_many(found.no_answer.total())}, counted as wrong ({reasons}){but}"
    if found.baseline_label is not None and found.baseline_accuracy is not None:
        low = found.accuracy_interval.low
        worse = "; these answers are not significantly better"
        yield (
            f"baseline    always answering `{found.baseline_label}` scores "
            f"{_percent(found.baseline_accuracy)}{'' if low > found.baseline_accuracy else worse}"
        )
    if found.spelled:
        yield f"spelling    {_many(found.spelled)} correct but for case, spaces or encoding"
    yield from _cost(found)
    if found.reliability and any(pair.expected.startswith(REVIEWED) for pair in answers.pairs):
        yield "note        the reviewed rows were picked for being unsure: the others do better"


def _cost(found: Evaluation) -> Iterator[str]:
    cost = found.cost
    if cost.cost_usd is None:
        yield "cost        unknown: no row has a `cost_usd`"
        return
    if cost.per_row_usd is None:
        yield (
            f"cost        {usd(cost.cost_usd)} at least: {_many(cost.unpriced)} without a price, "
            "so the cost per row is unknown"
        )
        return
    per_right = cost.per_right_row_usd
    right = f"{usd(per_right)} per correct row" if per_right is not None else "no row is correct"
    yield f"cost        {usd(cost.cost_usd)}: {usd(cost.per_row_usd)} per row, {right}"


def _labels(found: Evaluation) -> Iterator[str]:
    if not found.labels:
        return
    lines = [["label", "precision", "recall", "F1", "expected", "given"]]
    many = len(found.labels) > _MOST_LINES
    ordered = sorted(found.labels, key=lambda item: item.f1 if many else -item.expected)
    lines += [
        [
            item.label,
            f"{item.precision:.3f}",
            f"{item.recall:.3f}",
            f"{item.f1:.3f}",
            f"{item.expected:,}",
            f"{item.predicted:,}",
        ]
        for item in ordered[:_MOST_LINES]
    ]
    yield from _columns(lines)
    if many:
        yield f"... and {len(ordered) - _MOST_LINES:,} labels that do better: --json has all"
    close: dict[str, list[str]] = {}
    for item in found.labels:
        close.setdefault(bare(item.label), []).append(item.label)
    for names in close.values():
        if len(names) > 1:
            yield f"note: {' and '.join(f'`{name}`' for name in names)} count as different labels"
    wanted = [item.label for item in found.labels if item.expected]
    if wanted and not any(item.expected and item.predicted for item in found.labels):
        yield f"note: no answer is one of the expected labels, such as `{wanted[0]}`"


def _matrix(found: Evaluation) -> Iterator[str]:
    if not found.confusion_matrix:
        return
    names = [item.label for item in found.labels]
    if sum(len(name) + 2 for name in names) > _MOST_CHARACTERS:
        yield from _mistakes(found, names)
        return
    none = any(item.unanswered for item in found.labels)
    lines = [["expected \\ given", *names, *([_NO_ANSWER] if none else [])]]
    for item, counts in zip(found.labels, found.confusion_matrix, strict=True):
        rest = [f"{item.unanswered:,}"] if none else []
        lines.append([item.label, *(f"{count:,}" if count else "." for count in counts), *rest])
    yield from _columns(lines)


def _mistakes(found: Evaluation, names: Sequence[str]) -> Iterator[str]:
    mistakes = Counter(
        {
            (expected, given): count
            for expected, counts in zip(names, found.confusion_matrix, strict=True)
            for given, count in zip(names, counts, strict=True)
            if count and expected != given
        }
    )
    if mistakes:
        yield "most frequent mistakes (--json has the whole confusion matrix)"
    for (expected, given), count in mistakes.most_common(_MOST_MISTAKES):
        yield f"  {count:,} x `{expected}` taken for `{given}`"


def _fields(found: Evaluation) -> Iterator[str]:
    if not found.fields:
        return
    lines = [
        [
            "field",
            "correct",
            "95% interval",
            "precision",
            "recall",
            "F1",
            "missed",
            "made up",
            "wrong",
        ]
    ]
    lines += [
        [
            item.field,
            _percent(item.accuracy),
            _range(item.accuracy_interval),
            f"{item.precision:.3f}",
            f"{item.recall:.3f}",
            f"{item.f1:.3f}",
            f"{item.missed:,}",
            f"{item.invented:,}",
            f"{item.wrong:,}",
        ]
        for item in found.fields
    ]
    yield from _columns(lines)
    if len(found.fields) > 1:
        yield "a row is correct when all of its fields are"


def _confidence(found: Evaluation) -> Iterator[str]:
    name = found.answers.confidence
    column = f" (column {name})" if name.endswith("raw_confidence") else ""
    for model, item in found.reliability.items():
        whose = f" of {_many(item.rows)} by {model}" if len(found.reliability) > 1 else ""
        yield (
            f"confidence  {item.confidence:.3f} on average{whose}{column}, "
            f"{_percent(item.accuracy)} correct; expected calibration error (ECE) {item.ece:.3f}"
        )
        if item.method is not None:
            yield (
                f"            {item.ece_calibrated:.3f} once calibrated on these labels "
                f"({METHODS[item.method]}, cross-validated)"
            )
        else:
            yield "            too few correct, or too few wrong, answers to calibrate it"


def _worst(found: Evaluation) -> Iterator[str]:
    if not found.worst:
        return
    yield "worst rows" + (" (confident and wrong)" if found.reliability else "")
    for row in found.worst:
        sure = f", confidence {row.confidence:.2f}" if row.confidence is not None else ""
        text = f": {_cut(row.text, 60)}" if row.text else ""
        yield f"  {row.name}: {_difference(row, found)}{sure}{text}"


def _difference(row: Graded, found: Evaluation) -> str:
    wrong = [
        (pair.predicted, expected, given)
        for pair, expected, given in zip(
            found.answers.pairs, row.expected, row.predicted, strict=True
        )
        if expected != given
    ]
    several = len(row.expected) > 1
    return "; ".join(
        f"{f'{name} ' if several else ''}{_cut(expected, 40) or _NO_ANSWER} expected, "
        f"{_cut(given, 40) or _NO_ANSWER} given"
        for name, expected, given in wrong
    )


def _many(rows: int) -> str:
    return f"{rows:,} row" if rows == 1 else f"{rows:,} rows"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _columns(lines: Sequence[Sequence[str]]) -> Iterator[str]:
    """Align columns: the first to the left, the others to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    for line in lines:
        first, *rest = (
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        yield "  ".join([first, *rest]).rstrip()


def _percent(share: float) -> str:
    return f"{share * 100:.1f}%"


def _range(interval: Interval) -> str:
    return f"{interval.low * 100:.1f}% to {interval.high * 100:.1f}%"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _rate(amount: Decimal | None) -> str:
    return "unknown" if amount is None else usd(amount)
