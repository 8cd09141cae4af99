"""The functions that Python programs and notebooks call: a table or a path in, a table or a file
out.

Each makes `Settings`, as a command does, and runs them the same way.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.api.calls import Row, arrive, go
from pipeline.api.keywords import (
    in_python_words,
    read_input,
    read_prompt,
    read_settings,
    shows_settings,
)
from pipeline.engine.build import open_run
from pipeline.engine.plan import Plan
from pipeline.engine.settings import choose_stronger
from pipeline.evaluation.threshold import LEVEL
from pipeline.prompting.choosing import Labelling, choose_facts
from pipeline.prompting.prompt import Prompt
from pipeline.sources.tables.frame import Frame
from pipeline.watching import Log, tell

if TYPE_CHECKING:
    from pipeline.evaluation.scores import Evaluation


def run(
    input: str | os.PathLike[str] | Frame,
    prompt: str | os.PathLike[str] | Prompt | None = None,
    *,
    instruction: str | None = None,
    fields: str | None = None,
    output: str | os.PathLike[str] | None = None,
    progress: bool = True,
    **settings: Any,
) -> Any:
    """Run a prompt over each row of a table, or each document of a folder.

    Args:
        input: A DataFrame of pandas, or a table of polars, DuckDB or pyarrow; or the path of a
            table, a folder, a glob or an address, as the command takes them.
        prompt: The path of a prompt file, the name of a shipped prompt, or a `Prompt`.
        instruction: A prompt in a sentence, in place of one.
        fields: What the answers are made of, a column each: "vendor, date: date, total: number".
        output: A file for the rows, its format by its suffix. None returns them.
        progress: Whether to show a bar, in a notebook or at a terminal.
        **settings: Any option of the command line with underscores: `model`, `text_column`,
            `max_cost` (USD), `max_tokens`, `rpm`, `limit`, ... (see `Settings`).

    Returns:
        With an `output` a `Summary`. Else a table of the same kind as the input, with the new
        columns beside its own (a DataFrame of pandas for a path); one of pandas has the `Summary`
        in `attrs["summary"]`. A row that failed says why in its column `error`.

    Raises:
        UsageError: Something can't be done as it was asked for; nothing was sent.
        FatalError: The run was stopped, by the budget, the key or the server. What was answered is
            in the journal, and in the error's `result`; the same call goes on.
        PipelineError: Any other error of this package; its message is one line.

    Each answer is kept in a journal as soon as it comes: beside the output, or else in
    `pipeline.journal` in the working folder (`journal=` names another). The same call again asks
    nothing and costs nothing.

    Example:
        >>> pipeline.run(df, instruction="Is this urgent? Answer yes or no.", text_column="text")
    """
    with in_python_words():
        asked = read_settings(
            input, read_prompt(prompt, instruction, fields), settings, output=output
        )
        return go(asked, progress, input)


def summarize(
    input: str | os.PathLike[str] | Frame,
    *,
    output: str | os.PathLike[str] | None = None,
    progress: bool = True,
    **settings: Any,
) -> Any:
    """Sum up each document or row in two or three sentences, in the column `output`.

    Takes, returns and raises what `run` does.

    Example:
        >>> pipeline.summarize("contracts/", output="summaries.xlsx")
    """
    return run(input, "summarize", output=output, progress=progress, **settings)


def classify(
    input: str | os.PathLike[str] | Frame,
    labels: str | Sequence[str] | Mapping[str, str],
    *,
    prompt: str | os.PathLike[str] | Prompt = "classify",
    multi: bool = False,
    other: bool = False,
    examples: str | os.PathLike[str] | None = None,
    shots: int | None = None,
    confidence: bool = False,
    votes: int | None = None,
    escalate: str | None = None,
    below: float | None = None,
    accuracy: float | None = None,
    level: float = LEVEL,
    escalate_price: str | tuple[float, float] | None = None,
    output: str | os.PathLike[str] | None = None,
    progress: bool = True,
    **settings: Any,
) -> Any:
    """Return each row or document its label, in the column `label`; with `multi` all that fit, as a
    list in `labels`.

    Args:
        input: As of `run`.
        labels: The labels; or what each of them means, by its name; or the path of a .yaml or .csv
            file of them.
        prompt: A prompt with one output, `label`, and {{ labels }}.
        multi: Whether a row may have several labels.
        other: Adds a label `other` for what none of them fits.
        examples: The path of a table of labelled rows, of which the model is shown `shots`.
        confidence: Adds a column: how sure the label is, 0 to 1.
        votes: Asks so often; the confidence is the share that agrees.
        escalate: A stronger model, for what is less sure than `below`, 0 to 1; with `accuracy` that
            is found out from the rows of `expected`, to hold with the probability `level`.
        escalate_price: Its price, where none is known: USD per million tokens, in and out.
        **settings: As of `run`.

    Returns and raises what `run` does.

    Example:
        >>> pipeline.classify(df, ["billing", "bug", "praise"], text_column="text", max_cost=5)
    """
    with in_python_words():
        stronger = choose_stronger(
            escalate, below=below, accuracy=accuracy, level=level, price=escalate_price
        )
        labelling = Labelling(
            labels=labels,
            multi=multi,
            other=other,
            examples=None if examples is None else os.fspath(examples),
            shots=shots,
            confidence=confidence or stronger is not None,
            votes=votes,
        )
        asked = read_settings(
            input,
            read_prompt(prompt, None, None),
            settings,
            output=output,
            labelling=labelling,
            stronger=stronger,
        )
        return go(asked, progress, input)


def extract(
    input: str | os.PathLike[str] | Frame,
    fields: str | None = None,
    *,
    prompt: str | os.PathLike[str] | Prompt = "extract",
    output: str | os.PathLike[str] | None = None,
    progress: bool = True,
    **settings: Any,
) -> Any:
    """Take facts out of each row or document, a column each.

    `fields` names them and their kinds: "vendor, date: date, total: number, tags: text[]". A prompt
    of your own may name them, too. Takes, returns and raises what `run` does.

    Example:
        >>> pipeline.extract("invoices/", "vendor, date: date, total: number")
    """
    with in_python_words():
        named = Path(prompt) if isinstance(prompt, os.PathLike) else prompt
        chosen = choose_facts(named, fields)
        return go(read_settings(input, chosen, settings, output=output), progress, input)


def estimate(
    input: str | os.PathLike[str] | Frame,
    prompt: str | os.PathLike[str] | Prompt | None = None,
    *,
    instruction: str | None = None,
    fields: str | None = None,
    labels: str | Sequence[str] | Mapping[str, str] | None = None,
    output: str | os.PathLike[str] | None = None,
    **settings: Any,
) -> Plan:
    """Say what a run would send and cost. Nothing is sent; the whole input is read.

    Takes what `run` does, and the `labels` of `classify`. Returns a `Plan`: `rows`, `requests`,
    `prompt_tokens`, and the cost between `low_usd` and `high_usd`, None where there is no price or
    answers have no bound. What the journal knows already is left out.

    Raises UsageError where the run couldn't be done.
    """
    with in_python_words():
        if labels is not None and prompt is None and instruction is None:
            prompt = "classify"
        asked = read_settings(
            input,
            read_prompt(prompt, instruction, fields),
            settings,
            output=output,
            labelling=None if labels is None else Labelling(labels=labels),
        )
        watch = Log()
        with open_run(asked, dry=True, note=watch.note) as opened:
            tell(opened, watch)
            return opened.plan(seconds=float("inf"))


def evaluate(
    answers: str | os.PathLike[str] | Frame,
    expected: str,
    *,
    predicted: str | None = None,
    worst: int = 10,
) -> Evaluation:
    """Say how right answers are: accuracy, macro-F1, each label, the mistakes, the cost.

    Args:
        answers: A table with answers, or its path.
        expected: The column of the right answers; for several, "ANSWER=COLUMN,ANSWER=COLUMN".
        predicted: The column of the answers; by default `label`, or `output`.
        worst: How many of the worst rows to list.

    Raises UsageError where a column isn't there, and where the extra `evaluate` isn't
    installed.
    """
    from pipeline.evaluation import gold, pairs, scores
    from pipeline.evaluation.calibration import require

    with in_python_words():
        require()
        read = gold.read(read_input(answers), pairs.Expected.parse(expected), predicted=predicted)
        return scores.evaluate(read, worst=worst)


async def stream(
    input: str | os.PathLike[str] | Frame,
    prompt: str | os.PathLike[str] | Prompt | None = None,
    *,
    instruction: str | None = None,
    fields: str | None = None,
    **settings: Any,
) -> AsyncIterator[Row]:
    """Yield the rows as their answers come, each a dict with its `position` in the input.

    Takes what `run` does, but for `output`, and keeps the same journal: what was answered before
    comes last, at once. Leaving the loop stops the run; what was answered is kept.

    Raises what `run` does, a FatalError after the rows that were answered.

    Example:
        >>> async for row in pipeline.stream(df, "triage.prompty"):
        ...     print(row.position, row["output"])
    """
    with in_python_words():
        asked = read_settings(input, read_prompt(prompt, instruction, fields), settings)
        async for row in arrive(asked):
            yield row


for _call in (run, summarize, classify, extract, estimate, stream):
    shows_settings(_call)
