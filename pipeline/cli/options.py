"""The options that all commands share: the same names, the same help, everywhere."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import typer

from pipeline.costs import DEFAULT_MODEL, Price, fixed_price
from pipeline.errors import UsageError
from pipeline.types import Detail, Long

Input = Annotated[
    str,
    typer.Argument(
        help=(
            "A folder, a glob, a file, a .csv .tsv .xlsx .parquet .jsonl table (or such in a .gz "
            "or .zip), the address of one (s3://...), or - for stdin."
        )
    ),
]
PromptName = Annotated[
    str | None,
    typer.Option("--prompt", "-p", help="A prompt file (./FILE), or a shipped prompt's name."),
]
Instruction = Annotated[
    str | None, typer.Option("--instruction", help="A prompt in a sentence, in place of a file.")
]
Fields = Annotated[
    str | None,
    typer.Option(
        "--fields",
        help="What to take out, a column each: 'vendor, date: date, total: number, "
        "kind: invoice|receipt, tags: text[]'.",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user chose. A command that takes one has all of these options."""

    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help=f"Its name, local, or echo. [default: the prompt's, or {DEFAULT_MODEL}]",
        ),
    ] = None
    base_url: Annotated[
        str | None,
        typer.Option(
            envvar="OPENAI_BASE_URL", help="Server that speaks the OpenAI API.", show_envvar=True
        ),
    ] = None
    text_column: Annotated[
        str | None, typer.Option(help="Column that holds the text. [default: found out]")
    ] = None
    image_column: Annotated[
        str | None, typer.Option(help="Column that holds images: paths, or http(s) addresses.")
    ] = None
    image_root: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", help="Folder that the images' paths may lead to. [default: the table's]"
        ),
    ] = None
    image_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOST",
            help="Host of this machine or its network that the images' addresses may name. May be "
            "repeated.",
        ),
    ] = None
    image_detail: Annotated[
        Detail, typer.Option(help="How closely to look at images: low is the cheapest.")
    ] = Detail.AUTO
    encoding: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Encoding of a text table: utf-8, cp1252... [default: found out]"
        ),
    ] = None
    delimiter: Annotated[
        str | None,
        typer.Option(
            metavar="CHAR", help="What parts the cells of a .csv: ';', tab... [default: found out]"
        ),
    ] = None
    sheet: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Sheet of a workbook, by name or number. [default: the first]"
        ),
    ] = None
    header_row: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Row of a table that names its columns, as Excel counts; those above are no part "
            "of it. [default: the first]",
        ),
    ] = None
    glob: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="Only the files of a folder that match, such as '*.pdf'. May be repeated.",
        ),
    ] = None
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATTERN",
            help="Not the files of a folder that match, as a line of .gitignore. May be repeated.",
        ),
    ] = None
    answers: Annotated[
        str | None,
        typer.Option(
            metavar="OUTPUT", help="Output of an earlier run, for a prompt that judges it."
        ),
    ] = None
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Take only the first N rows or files.")
    ] = None
    sample: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Take only N rows or files, chosen at random."),
    ] = None
    max_tokens: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Longest answer, in tokens; one cut off is asked again with 4 x N.",
        ),
    ] = None
    temperature: Annotated[
        float | None, typer.Option(min=0, max=2, metavar="T", help="Randomness of the answers.")
    ] = None
    long: Annotated[
        Long,
        typer.Option(
            metavar="split|head|fail",
            help="A text too long for the model: ask part by part and merge, cut it, or fail.",
        ),
    ] = Long.SPLIT
    chunk_tokens: Annotated[
        int | None,
        typer.Option(min=16, metavar="N", help="Longest text asked about at once. [default: fits]"),
    ] = None
    rpm: Annotated[
        float | None, typer.Option(min=0.001, metavar="N", help="Most requests a minute.")
    ] = None
    tpm: Annotated[
        float | None, typer.Option(min=0.001, metavar="N", help="Most tokens a minute.")
    ] = None
    max_concurrency: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Most requests in flight at once.")
    ] = None
    max_cost: Annotated[
        str | None,
        typer.Option(metavar="USD", help="Stop before this run's bill passes this amount."),
    ] = None
    price: Annotated[
        str | None,
        typer.Option(
            metavar="IN,OUT", help="USD per million tokens, for a model without a known price."
        ),
    ] = None
    patience: Annotated[
        float,
        typer.Option(min=0, metavar="MINUTES", help="How long to wait for a server."),
    ] = 30.0
    hedge: Annotated[
        bool, typer.Option("--hedge/--no-hedge", help="Ask a second time for what hangs.")
    ] = True
    prefix: Annotated[str, typer.Option(help="Put this before the name of each new column.")] = ""
    debug: Annotated[bool, typer.Option("--debug", help="Add the traceback to an error.")] = False

    def max_cost_usd(self) -> Decimal | None:
        """Read --max-cost."""
        return None if self.max_cost is None else _amount(self.max_cost, "--max-cost")

    def fixed_price(self) -> Price | None:
        """Read --price."""
        return read_price(self.price, "--price")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions(Options):
    """What the commands that send have besides."""

    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            help="Where the rows go, a path or an address: .csv .tsv .xlsx .parquet or .jsonl.",
        ),
    ]
    expected: Annotated[
        str | None,
        typer.Option(
            metavar="COL", help="Column of the right answers: say how right the run's are."
        ),
    ] = None
    review: Annotated[
        str | None,
        typer.Option(help="An .xlsx file for the rows most worth a look, to be corrected."),
    ] = None
    rows: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="How many rows --review takes. [default: 200]"),
    ] = None
    safe_csv: Annotated[
        bool,
        typer.Option(
            "--safe-csv",
            help="In a .csv or .tsv output put a ' before formulas in the input's cells, too.",
        ),
    ] = False
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the first request and the cost; send nothing.")
    ] = False
    confirm_over: Annotated[
        float,
        typer.Option(metavar="USD", help="At a terminal, ask before spending more than this."),
    ] = 1.0
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask, go on.")] = False
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Ask everything again; the old journal is kept aside.")
    ] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show only errors.")] = False
    json_log: Annotated[
        bool, typer.Option("--json-log", help="Show progress as JSON, an object a line.")
    ] = False

    def __post_init__(self) -> None:
        if self.review is None:
            needs("--review", rows=self.rows)


def takes_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each field of the dataclasses that it takes."""
    signature = inspect.signature(command, eval_str=True)
    kinds: dict[str, Any] = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if is_dataclass(parameter.annotation)
    }
    added = [option for kind in kinds.values() for option in _options(kind)]

    @functools.wraps(command)
    def run(**values: object) -> None:
        made = {
            name: kind(**{field.name: values.pop(field.name) for field in fields(kind)})
            for name, kind in kinds.items()
        }
        command(**values, **made)

    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in signature.parameters.items()
        if name not in kinds
    ]
    required = [item for item in added if item.default is inspect.Parameter.empty]
    others = [item for item in added if item.default is not inspect.Parameter.empty]
    run.__signature__ = inspect.Signature([*own, *required, *others])  # type: ignore[attr-defined]
    run.__annotations__ = {item.name: item.annotation for item in [*own, *required, *others]}
    return run


def _options(kind: Any) -> list[inspect.Parameter]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(kind)
    ]


def needs(partner: str, **options: object) -> None:
    """Raise UsageError where one of these is given, which do nothing without a partner."""
    for name, value in options.items():
        if value is not None and value is not False:
            option = f"--{name.replace('_', '-')}"
            raise UsageError(
                f"{option} does nothing without {partner}: add that, or leave {option} out"
            )


def read_price(text: str | None, option: str) -> Price | None:
    """Read a price of two amounts."""
    if text is None:
        return None
    parts = text.split(",")
    if len(parts) != 2:
        raise UsageError(f"{option} {text}: give two amounts, such as {option} 0.15,0.60")
    return fixed_price(_amount(parts[0], option), _amount(parts[1], option))


def _amount(text: str, option: str) -> Decimal:
    try:
        amount = Decimal(text.strip().removeprefix("$"))
    except InvalidOperation as error:
        raise UsageError(f"{option} {text}: not an amount in USD") from error
    if not amount.is_finite() or amount < 0:
        raise UsageError(f"{option} {text}: must be an amount of 0 USD or more")
    return amount
