"""From what the user chose to the objects of a run; and what is open is closed after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from pipeline import costs, scratch
from pipeline.access import Access, Auth, find_access
from pipeline.backends.base import Lane
from pipeline.backends.opening import Limits, is_offline, open_lane
from pipeline.engine.ending import INTERRUPTED
from pipeline.engine.escalation import Escalation, Promise
from pipeline.engine.loop import Engine
from pipeline.engine.run import Run
from pipeline.engine.settings import BELOW, Note, Settings, Stronger
from pipeline.engine.stages import Stage
from pipeline.engine.steps import Steps
from pipeline.errors import PipelineError, UsageError, without_partner
from pipeline.evaluation.pairs import Expected
from pipeline.journal.store import Store
from pipeline.outputs.tables import check_columns, clear_drafts, is_csv
from pipeline.outputs.targets import Target, open_target
from pipeline.places import is_address, local_path, path_here
from pipeline.prompting.choosing import label
from pipeline.prompting.prompt import Prompt
from pipeline.review.corrections import reviewed_path
from pipeline.sources.base import Source
from pipeline.sources.opening import fetching, open_source
from pipeline.sources.selection import select
from pipeline.sources.spool import Spool
from pipeline.sources.tables.table import Dialect
from pipeline.sources.tables.written import find_prefix
from pipeline.types import Detail
from pipeline.vendors import Vendor, vendor_of

# With --max-cost an answer must be bounded; this is the bound where the prompt gives none.
BOUND_TOKENS = 1024
VOTING_TEMPERATURE = 1.0  # the share of the answers that agree is then the model's own probability
JOURNAL = "pipeline.journal"  # in the working folder, of runs without an output


@contextmanager
def open_run(
    settings: Settings, *, command: str = "", dry: bool = False, note: Note = lambda _: None
) -> Iterator[Run]:
    """Make everything that a run needs, checked before anything is sent; close it afterwards.

    The journal keeps `command`, which began the run, and the run's `exit_code`. With `dry` it is
    only looked at. `note` tells the user what becomes of the journal. Raises UsageError where
    something can't be done as it was chosen.
    """
    target = None if settings.output is None else open_target(settings.output)
    store = _open_store(settings, target, command, dry, note)
    code = PipelineError.exit_code
    try:
        with ExitStack() as stack:
            run = _build(settings, store, target, stack)
            if target is not None:
                check_columns(target.path, run.rows.columns)
            yield run
            code = run.exit_code
    except PipelineError as error:
        code = error.exit_code
        raise
    except KeyboardInterrupt:
        code = INTERRUPTED
        raise
    finally:
        store.close(code)
        if store.aside and not store.aside.exists():
            note("nothing was asked: the old journal is where it was")


def _open_store(
    settings: Settings, target: Target | None, command: str, dry: bool, note: Note
) -> Store:
    """Open the journal, made anew if it is to be."""
    path = None if settings.journal is None else path_here(settings.journal)
    if target is None:
        store = Store(None, path=path or Path(JOURNAL))
    else:
        target.check()
        if settings.safe_csv and not is_csv(target.path):
            raise UsageError(
                f"--safe-csv is for .csv and .tsv, and {target.name} is none: leave it out"
            )
        store = Store(target.path, path=path, exists=target.exists)
    if dry:
        store.open_readonly(fresh=settings.fresh)
        return store
    if target is not None:
        _check_ours(target, store)
    store.open(command, fresh=settings.fresh)
    if store.aside and not store.outdated:
        note(f"the old journal is kept as {store.aside}")
    _clear(target, settings)
    if target is not None and is_address(target.name):
        note(f"the journal of {target.name} is {store.path}")
    return store


def _outdated(store: Store) -> Iterator[str]:
    """Say of a journal that an older program has written what becomes of it."""
    if store.outdated:
        kept = f"; the old journal is kept as {store.aside}" if store.aside else ""
        yield (
            f"{store.path} is of an older version of this program: none of its answers can be "
            f"reused, and every row is sent again{kept}"
        )


def _check_ours(target: Target, store: Store) -> None:
    if target.exists() and not store.path.exists():
        where = f" at {store.path}" if is_address(target.name) else ""
        raise UsageError(
            f"{target.name} exists and wasn't written by this program (it has no journal{where}): "
            "move it away, or choose another name for the output"
        )


def _clear(target: Target | None, settings: Settings) -> None:
    """Remove what killed processes have left where this run writes."""
    scratch.clear()
    if target is not None:
        clear_drafts(target.path)
    if settings.review is not None and (review := local_path(settings.review)):
        clear_drafts(review)


def _build(settings: Settings, store: Store, target: Target | None, stack: ExitStack) -> Run:
    """Make a run of its parts, each closed with `stack`."""
    expected = None if settings.expected is None else Expected.parse(settings.expected)
    source = _open_input(settings, expected, store, target, stack)
    stack.callback(source.close)
    prompt, stronger = settings.prompt, settings.stronger
    if settings.labelling is not None:
        prompt = label(
            prompt,
            settings.labelling,
            text_column=settings.text_column,
            temperature=settings.temperature,
        )
    notices = [*prompt.notices, *source.notices]
    prompt = _with_settings(prompt, settings, notices)
    model = prompt.model or costs.DEFAULT_MODEL
    models = [model, *([stronger.model] if stronger else [])]
    offline = all(is_offline(name) for name in models)
    if offline and settings.auth is not Auth.KEY:
        raise UsageError(f"--auth {settings.auth} does nothing with --model {model}: leave it out")
    access = Access() if offline else find_access(base_url=settings.base_url, auth=settings.auth)
    notices += access.notices
    tier = prompt.options.additional_properties.get("service_tier")
    lane = _lane(model, settings, access, tier, settings.price)
    prompt = replace(
        _answered_by(lane, prompt),
        image_column=source.image_column,
        image_detail=settings.image_detail,
    )
    _check(prompt, source, settings)
    found = source.text_column if settings.text_column is None and prompt.uses_text else None
    if found not in (None, "document", "text"):
        notices.append(f'using column "{found}" as the text (use --text-column to change it)')
    if lane.server.price is None:
        notices.append(
            f"no published price for {prompt.model} at {lane.server.name}: "
            f"{_costs_of(lane)}; set a price with --price INPUT,OUTPUT"
        )
    folder = target.path.absolute().parent if target and store.writes else None
    spool = stack.enter_context(Spool(source, folder))
    steps = _steps(_varied(prompt, settings), lane, settings)
    later = []
    if stronger is not None:
        later = [_escalation(stronger, prompt, settings, access, lane, store, notices)]
    return Run(
        settings,
        spool=spool,
        first=Stage(Engine(lane, store), steps),
        later=later,
        expected=expected,
        target=target,
        notices=[*notices, *lane.server.notices],
        warnings=[*_outdated(store), *([access.warning] if access.warning else [])],
    )


def _escalation(
    stronger: Stronger,
    prompt: Prompt,
    settings: Settings,
    access: Access,
    lane: Lane,
    store: Store,
    notices: list[str],
) -> Escalation:
    """Make what asks the stronger model; it spends of the same budget."""
    if stronger.model == prompt.model:
        raise UsageError(f"--escalate {stronger.model}: that is the model that is asked already")
    tier = prompt.options.additional_properties.get("service_tier")
    strong = _lane(
        stronger.model, settings, access, tier, stronger.price, price_option="--escalate-price"
    )
    strong.budget.beside.append(lane.budget)
    lane.budget.beside.append(strong.budget)
    asked = _answered_by(strong, replace(prompt, model=stronger.model, votes=1))
    if strong.server.price is None:
        notices.append(
            f"no published price for {stronger.model} at {strong.server.name}: what it costs "
            "is not counted; --escalate-price INPUT,OUTPUT sets it"
        )
    below = BELOW if stronger.below is None else stronger.below
    known = stronger.accuracy is None and below <= 1
    sure = f"less than {100 * below:g}% sure" if known else "not sure enough"
    notices.append(f"what {prompt.model} is {sure} of is asked of {stronger.model}")
    promise = None
    if stronger.accuracy is not None:
        if settings.expected is None:
            raise UsageError(
                "--accuracy needs rows whose label is known: --expected names their column"
            )
        promise = Promise(stronger.accuracy, stronger.level)
    steps = _steps(asked, strong, settings)
    return Escalation(Engine(strong, store), steps, below, promise)


def _costs_of(lane: Lane) -> str:
    """Say what becomes of the costs if the model that is asked for has no price."""
    deployed = vendor_of(lane.server.name) is Vendor.AZURE
    return "costs go by the model that replies name" if deployed else "costs are not shown"


def _answered_by(lane: Lane, prompt: Prompt) -> Prompt:
    """Fit a prompt to who answers it. Raises UsageError if it can't be asked there."""
    server, parameters = lane.server, prompt.options.parameters()
    server.check(parameters, prompt.outputs)
    thinking = server.thinking_tokens(parameters)
    return replace(prompt, server=server.identity, sees=server.sees, thinking=thinking)


def _steps(prompt: Prompt, lane: Lane, settings: Settings) -> Steps:
    return Steps(
        prompt,
        lane.server.counter,
        long=settings.long,
        chunk_tokens=settings.chunk_tokens,
        window_tokens=lane.server.window_tokens,
    )


def _open_input(
    settings: Settings,
    expected: Expected | None,
    store: Store,
    target: Target | None,
    stack: ExitStack,
) -> Source:
    """Open the input, without the run's own files in it."""
    if settings.image_column is None:
        hosts = settings.image_host or None
        without_partner("--image-column", image_root=settings.image_root, image_host=hosts)
    input = settings.input
    own = list(store.paths)
    if store.output is not None:
        own += [store.output, reviewed_path(store.output)]
    path = local_path(input) if isinstance(input, str) else None
    if path and any(path.resolve() == mine.resolve() for mine in own):
        raise UsageError(f"the output {store.output} is the input: choose another name for it")
    source = open_source(
        input,
        text_column=settings.text_column,
        image_column=settings.image_column,
        image_root=_folder(settings.image_root),
        image_hosts=settings.image_host,
        glob=settings.glob,
        exclude=settings.exclude,
        exclude_paths=own,
        exclude_address=None if target is None else target.name,
        fetch_to=stack.enter_context(fetching(input)),
        dialect=Dialect(
            encoding=settings.encoding,
            encoding_errors=settings.encoding_errors,
            delimiter=settings.delimiter,
            sheet=settings.sheet,
            hidden=settings.hidden,
            header_row=settings.header_row,
            doubts_header=True,
        ),
        never_text=expected.columns if expected else (),
    )
    if settings.answers is not None:
        from pipeline.review.answered import Judging

        try:
            source = Judging(source, settings.answers)
        except BaseException:
            source.close()
            raise
    return select(source, limit=settings.limit, sample=settings.sample)


def _folder(image_root: str | None) -> Path | None:
    if image_root is None:
        return None
    folder = path_here(image_root).expanduser()
    if not folder.is_dir():
        raise UsageError(f"--image-root {image_root}: there is no such folder")
    return folder


def _with_settings(prompt: Prompt, settings: Settings, notices: list[str]) -> Prompt:
    chosen = prompt.options
    if settings.max_tokens is not None:
        chosen = chosen.model_copy(update={"max_output_tokens": settings.max_tokens})
    if settings.temperature is not None:
        chosen = chosen.model_copy(update={"temperature": settings.temperature})
    bound = None
    if settings.max_cost is not None and chosen.max_output_tokens is None:
        bound = BOUND_TOKENS
        notices.append(
            f"answers are bounded at {BOUND_TOKENS} tokens, for --max-cost to hold "
            "(--max-tokens sets another bound)"
        )
    model = settings.model or prompt.model or costs.DEFAULT_MODEL
    if "{{" in str(prompt.settings.get("instruction", "")):
        notices.append(
            "an instruction is sent as it is, its {{ }} too: a prompt file has variables"
        )
    if not prompt.variables - prompt.settings.keys():
        notices.append("the prompt uses nothing of the input: all rows get the same answer")
    return replace(prompt, model=model, options=chosen, bound=bound)


def _varied(prompt: Prompt, settings: Settings) -> Prompt:
    """Let the answers that are counted differ; who is asked once is asked as ever."""
    if prompt.votes == 1 or settings.temperature is not None:
        return prompt
    varied = prompt.options.model_copy(update={"temperature": VOTING_TEMPERATURE})
    return replace(prompt, options=varied)


def _lane(
    model: str,
    settings: Settings,
    access: Access,
    service_tier: str | None,
    price: costs.Price | None,
    *,
    price_option: str = "--price",
) -> Lane:
    limits = Limits(
        rpm=settings.rpm,
        tpm=settings.tpm,
        max_concurrency=settings.max_concurrency,
        max_cost_usd=settings.max_cost,
        patience_seconds=settings.patience * 60,
        hedge=settings.hedge,
    )
    return open_lane(
        model,
        base_url=access.base_url,
        api_key=access.api_key,
        api=settings.api,
        limits=limits,
        price=price,
        service_tier=service_tier,
        price_option=price_option,
        account=access.account,
        auth=access.auth,
    )


def _check(prompt: Prompt, source: Source, settings: Settings) -> None:
    names = [column.name for column in source.columns]
    prompt.check([*names, *source.variables])
    if settings.image_column and not prompt.uses_images:
        raise UsageError(
            f"prompt {prompt.name} shows no image: put {{{{ image }}}} where it is to be"
        )
    if settings.image_detail is not Detail.AUTO and not prompt.uses_images:
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
