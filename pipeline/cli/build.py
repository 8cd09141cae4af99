"""From options to the objects of a run."""

from __future__ import annotations

import gc
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline import costs
from pipeline.access import Access, find_access
from pipeline.backends.base import Lane
from pipeline.backends.lanes.live import Live
from pipeline.backends.opening import Limits, is_offline, open_lane
from pipeline.cli.labelling import SHOTS, Labelling, Stronger
from pipeline.cli.options import Options, RunOptions, needs
from pipeline.engine.escalation import Escalation, Promise
from pipeline.engine.loop import Engine
from pipeline.engine.run import Run
from pipeline.engine.steps import Steps
from pipeline.errors import UsageError
from pipeline.journal.store import Store
from pipeline.places import local_path, path_here
from pipeline.prompting.fields import read as read_fields
from pipeline.prompting.prompt import Prompt, from_instruction, load
from pipeline.review.corrections import reviewed_path
from pipeline.scratch import Scratch
from pipeline.sources.base import Source
from pipeline.sources.opening import open_source
from pipeline.sources.selection import select
from pipeline.sources.spool import Spool
from pipeline.sources.tables.table import Dialect
from pipeline.sources.tables.written import find_prefix
from pipeline.types import Detail

# With --max-cost an answer must be bounded; this is the bound where the prompt gives none.
BOUND_TOKENS = 1024
VOTING_TEMPERATURE = 1.0  # the share of the answers that agree is then the model's own probability
LOGPROBS: dict[str, object] = {"logprobs": True, "top_logprobs": 20}  # the most that OpenAI gives


@dataclass(frozen=True, slots=True)
class Built:
    """The objects of a run, and what the user should know of how they were made.

    `warning` is what even a quiet run says.
    """

    run: Run
    lane: Live
    source: Source
    notices: list[str]
    warning: str | None = None

    @property
    def told(self) -> list[str]:
        """The warning and the notices, in the order in which to tell them."""
        return [*([self.warning] if self.warning else []), *self.notices]

    def close(self) -> None:
        """End what still reads the input."""
        self.source.close()

    @property
    def lanes(self) -> list[Lane]:
        stronger = self.run.escalation
        return [self.lane, *([stronger.engine.lane] if stronger else [])]


def build(
    input: str,
    prompt: Prompt,
    options: Options,
    *,
    store: Store,
    target: str,
    folder: Path,
    fetch_to: Path | None,
    stronger: Stronger | None = None,
) -> Built:
    """Make everything that a run needs, and check it, before anything is sent.

    What is read is kept in `folder`; a file from elsewhere lies in `fetch_to` while it is read. The
    caller closes what is made.
    """
    _collect_garbage()
    source = open_input(input, options, store, target, fetch_to)
    try:
        return _build(source, prompt, options, store, folder, stronger)
    except BaseException:
        source.close()
        raise


def _build(
    source: Source,
    prompt: Prompt,
    options: Options,
    store: Store,
    folder: Path,
    stronger: Stronger | None,
) -> Built:
    notices = [*prompt.notices, *source.notices]
    prompt = _with_options(prompt, options, notices)
    tier = prompt.options.additional_properties.get("service_tier")
    fixed = options.fixed_price()
    model = prompt.model or costs.DEFAULT_MODEL
    models = [model, *([stronger.model] if stronger else [])]
    offline = all(is_offline(name) for name in models)
    access = Access() if offline else find_access(base_url=options.base_url)
    notices += access.notices
    lane = _lane(model, options, access, tier, fixed)
    prompt = replace(
        prompt,
        server=lane.server.identity,
        image_column=source.image_column,
        image_detail=options.image_detail,
        sees=lane.server.sees,
    )
    _check(prompt, source, options)
    found = source.text_column if options.text_column is None and prompt.uses_text else None
    if found not in (None, "document", "text"):
        notices.append(f"the text is column {found}; --text-column names another")
    if lane.server.price is None:
        notices.append(
            f"no published price for {prompt.model} at {lane.server.name}: "
            "cost_usd stays empty; --price INPUT,OUTPUT sets it"
        )
    spool = Spool(source, folder)
    steps = _steps(_varied(prompt, options), lane, options)
    escalation = None
    if stronger is not None:
        escalation = _escalation(stronger, prompt, options, access, lane, store, notices)
    run = Run(
        spool=spool,
        steps=steps,
        engine=Engine(lane, store),
        escalation=escalation,
        prefix=options.prefix,
        expected=options.expected if isinstance(options, RunOptions) else None,
        safe_csv=isinstance(options, RunOptions) and options.safe_csv,
    )
    return Built(run, lane, source, notices + lane.server.notices, access.warning)


@contextmanager
def fetching(input: str) -> Iterator[Path | None]:
    """Give a folder for what is fetched of an input that lies elsewhere; remove it after."""
    if local_path(input):
        yield None
        return
    with Scratch() as folder:
        yield folder


def _escalation(
    stronger: Stronger,
    prompt: Prompt,
    options: Options,
    access: Access,
    lane: Live,
    store: Store,
    notices: list[str],
) -> Escalation:
    """Make what asks the stronger model; it spends of the same budget."""
    if stronger.model == prompt.model:
        raise UsageError(f"--escalate {stronger.model}: that is the model that is asked already")
    tier = prompt.options.additional_properties.get("service_tier")
    strong = _lane(
        stronger.model, options, access, tier, stronger.price, price_option="--escalate-price"
    )
    strong.gate.budget.beside.append(lane.gate.budget)
    lane.gate.budget.beside.append(strong.gate.budget)
    asked = replace(
        prompt,
        model=stronger.model,
        server=strong.server.identity,
        sees=strong.server.sees,
        votes=1,
    )
    if strong.server.price is None:
        notices.append(
            f"no published price for {stronger.model} at {strong.server.name}: what it costs "
            "is not counted; --escalate-price INPUT,OUTPUT sets it"
        )
    known = stronger.accuracy is None and stronger.below <= 1
    sure = f"less than {100 * stronger.below:g}% sure" if known else "not sure enough"
    notices.append(f"what {prompt.model} is {sure} of is asked of {stronger.model}")
    promise = None
    if stronger.accuracy is not None:
        if not isinstance(options, RunOptions) or options.expected is None:
            raise UsageError(
                "--accuracy needs rows whose label is known: --expected names their column"
            )
        promise = Promise(stronger.accuracy, stronger.level)
    steps = _steps(asked, strong, options)
    return Escalation(Engine(strong, store), steps, stronger.below, promise)


def _steps(prompt: Prompt, lane: Live, options: Options) -> Steps:
    return Steps(
        prompt,
        lane.server.counter,
        long=options.long,
        chunk_tokens=options.chunk_tokens,
        window_tokens=lane.server.window_tokens,
    )


def choose(name: str | None, instruction: str | None, fields: str | None = None) -> Prompt:
    """Take the one prompt that was given: a file, a shipped prompt's name, or an instruction; and
    the fields that its answers have.
    """
    if (name is None) == (instruction is None):
        raise UsageError('give one prompt: -p PROMPT, or --instruction "..."')
    prompt = from_instruction(instruction or "") if name is None else load(name)
    return prompt if fields is None else replace(prompt, outputs=read_fields(fields))


def label(prompt: Prompt, options: Options, labelling: Labelling) -> Prompt:
    """Let a prompt choose from labels, with examples of how, and say how sure it is."""
    from pipeline.prompting.label_files import read_examples, read_labels

    multi = labelling.multi
    known = read_labels(labelling.labels or "", other=labelling.other)
    prompt = prompt.limit("label", known, multi=multi)
    if labelling.votes is not None:
        if options.temperature == 0:
            raise UsageError(
                "--votes counts how many answers agree: with --temperature 0 all would be the same"
            )
        prompt = replace(prompt, votes=labelling.votes, confidence=True)
    elif labelling.confidence is not None and multi:
        raise UsageError("how sure several labels are takes several answers: add --votes 5")
    elif labelling.confidence is not None:
        more = {**prompt.options.additional_properties, **LOGPROBS}
        graded = prompt.options.model_copy(update={"additional_properties": more})
        prompt = replace(prompt, options=graded, confidence=True)
    if labelling.examples is None:
        return prompt
    shots = labelling.shots or SHOTS
    shown, notices = read_examples(
        labelling.examples,
        known,
        name="labels" if multi else "label",
        text_column=options.text_column,
        multi=multi,
        shots=shots,
    )
    return replace(prompt, examples=shown, shots=shots, notices=tuple(notices))


def open_input(
    input: str, options: Options, store: Store, target: str, fetch_to: Path | None
) -> Source:
    """Open the input, without the run's own files in it."""
    if options.image_column is None:
        hosts = options.image_host or None
        needs("--image-column", image_root=options.image_root, image_host=hosts)
    own = [store.output, *store.paths, reviewed_path(store.output)]
    path = local_path(input)
    if path and any(path.resolve() == mine.resolve() for mine in own):
        raise UsageError(f"the output {store.output} is the input: choose another name for it")
    source = open_source(
        input,
        text_column=options.text_column,
        image_column=options.image_column,
        image_root=_folder(options.image_root),
        image_hosts=options.image_host or (),
        glob=options.glob or (),
        exclude=options.exclude or (),
        exclude_paths=own,
        exclude_address=target,
        fetch_to=fetch_to,
        dialect=Dialect(
            encoding=options.encoding,
            delimiter=options.delimiter,
            sheet=options.sheet,
            header_row=options.header_row,
            doubts_header=True,
        ),
        never_text=_gold_columns(options),
    )
    if options.answers is not None:
        from pipeline.review.answered import Answered

        try:
            source = Answered(source, options.answers)
        except BaseException:
            source.close()
            raise
    return select(source, limit=options.limit, sample=options.sample)


def _folder(image_root: str | None) -> Path | None:
    if image_root is None:
        return None
    folder = path_here(image_root).expanduser()
    if not folder.is_dir():
        raise UsageError(f"--image-root {image_root}: there is no such folder")
    return folder


def _gold_columns(options: Options) -> list[str]:
    expected = options.expected if isinstance(options, RunOptions) else None
    named = [] if expected is None else [expected, *expected.split(",")]
    return [name.rpartition("=")[2] for name in named]


def _with_options(prompt: Prompt, options: Options, notices: list[str]) -> Prompt:
    chosen = prompt.options
    if options.max_tokens is not None:
        chosen = chosen.model_copy(update={"max_output_tokens": options.max_tokens})
    if options.temperature is not None:
        chosen = chosen.model_copy(update={"temperature": options.temperature})
    bound = None
    if options.max_cost is not None and chosen.max_output_tokens is None:
        bound = BOUND_TOKENS
        notices.append(
            f"answers are bounded at {BOUND_TOKENS} tokens, for --max-cost to hold "
            "(--max-tokens sets another bound)"
        )
    model = options.model or prompt.model or costs.DEFAULT_MODEL
    if "{{" in str(prompt.settings.get("instruction", "")):
        notices.append(
            "an instruction is sent as it is, its {{ }} too: a prompt file has variables"
        )
    if not prompt.variables - prompt.settings.keys():
        notices.append("the prompt uses nothing of the input: all rows get the same answer")
    return replace(prompt, model=model, options=chosen, bound=bound)


def _varied(prompt: Prompt, options: Options) -> Prompt:
    """Let the answers that are counted differ; who is asked once is asked as ever."""
    if prompt.votes == 1 or options.temperature is not None:
        return prompt
    varied = prompt.options.model_copy(update={"temperature": VOTING_TEMPERATURE})
    return replace(prompt, options=varied)


def _lane(
    model: str,
    options: Options,
    access: Access,
    service_tier: str | None,
    price: costs.Price | None,
    *,
    price_option: str = "--price",
) -> Live:
    limits = Limits(
        rpm=options.rpm,
        tpm=options.tpm,
        max_concurrency=options.max_concurrency,
        max_cost_usd=options.max_cost_usd(),
        patience_seconds=options.patience * 60,
        hedge=options.hedge,
    )
    return open_lane(
        model,
        base_url=access.base_url,
        api_key=access.api_key,
        limits=limits,
        price=price,
        service_tier=service_tier,
        price_option=price_option,
    )


def _check(prompt: Prompt, source: Source, options: Options) -> None:
    names = [column.name for column in source.columns]
    prompt.check([*names, *source.variables])
    if options.image_column and not prompt.uses_images:
        raise UsageError(
            f"prompt {prompt.name} shows no image: put {{{{ image }}}} where it is to be"
        )
    if options.image_detail is not Detail.AUTO and not prompt.uses_images:
        raise UsageError("--image-detail does nothing without images: leave it out")
    if prompt.uses_text and source.text_column is None and source.image_column is None:
        raise UsageError(
            f"which column of {source.name} is the text? name it with --text-column; "
            f"its columns are: {', '.join(names)}"
        )
    text = source.text_column
    if prompt.uses_text and text in prompt.variables - {"text"} and find_prefix(names) is not None:
        raise UsageError(
            f"prompt {prompt.name} uses {{{{ text }}}} and {{{{ {text} }}}}, and the text of "
            f'{source.name} is its column "{text}": name another with --text-column, or give the '
            "texts as INPUT and this table with --answers"
        )


def _collect_garbage() -> None:
    """Start the collector, now that the imports are done: it need never look at them again, and at
    the rest seldom (a third of the CPU of a row with 1,000 requests in flight).
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    gc.enable()


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
