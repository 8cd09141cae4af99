"""The options that all commands share: the same names, the same help, everywhere."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import partial, wraps
from typing import Annotated, Any, ClassVar, Self

import typer

from pipeline.costs import DEFAULT_MODEL, read_amount, read_price
from pipeline.engine.settings import BOUNDS, Settings

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


class Chosen(dict[str, Any]):
    """What the user chose of `Settings`, by name. A command that takes one has all its options;
    types and defaults are those of the settings.
    """

    options: ClassVar[Mapping[str, Any]]
    required: ClassVar[Collection[str]] = ()

    @classmethod
    def parameters(cls) -> list[inspect.Parameter]:
        """Give the options as typer takes them."""
        hints = typing.get_type_hints(Settings, localns=_NEVER_OPTIONS)
        defaults = {field.name: field.default for field in fields(Settings)}
        return [
            _parameter(name, hints[name], option, name not in cls.required, defaults[name])
            for name, option in cls.options.items()
        ]

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Take the values that were given; the rest stays as it is."""
        return cls(
            {
                name: tuple(value) if isinstance(value, list) else value
                for name, value in values.items()
                if value is not None
            }
        )


# Types of settings that no option gives: their modules take a while to import.
_NEVER_OPTIONS = dict.fromkeys(("Api", "Frame", "Labelling", "Prompt"), object)


def _parameter(
    name: str, kind: Any, option: Any, optional: bool, default: object
) -> inspect.Parameter:
    if kind == tuple[str, ...]:
        kind, default = list[str] | None, None
    option.min, option.max = BOUNDS.get(name, (None, None))
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default if optional else inspect.Parameter.empty,
        annotation=Annotated[kind, option],
    )


class AskOptions(Chosen):
    """What is read and asked, of whom, and what it may take."""

    options: ClassVar[Mapping[str, Any]] = {
        "model": typer.Option(
            "--model",
            "-m",
            help=f"Its name, local, or echo. [default: the prompt's, or {DEFAULT_MODEL}]",
        ),
        "base_url": typer.Option(
            envvar="OPENAI_BASE_URL", help="Server that speaks the OpenAI API.", show_envvar=True
        ),
        "auth": typer.Option(help="Whether a key or Entra ID (Azure's) lets you in."),
        "text_column": typer.Option(help="Column that holds the text. [default: detected]"),
        "image_column": typer.Option(help="Column that holds images: paths, or http(s) addresses."),
        "image_root": typer.Option(
            metavar="DIR", help="Folder that the images' paths may lead to. [default: the table's]"
        ),
        "image_host": typer.Option(
            metavar="HOST",
            help="Host of this machine or its network that the images' addresses may name. May be "
            "repeated.",
        ),
        "image_detail": typer.Option(help="How closely to look at images: low is the cheapest."),
        "encoding": typer.Option(
            metavar="NAME", help="Encoding of a text table: utf-8, cp1252... [default: detected]"
        ),
        "encoding_errors": typer.Option(
            help="Bytes of a text table that aren't of its encoding. [default: strict]"
        ),
        "delimiter": typer.Option(
            metavar="CHARS", help="Delimiter of a .csv: ';', tab, '||'... [default: detected]"
        ),
        "sheet": typer.Option(
            metavar="NAME", help="Sheet of a workbook, by name or number. [default: the first]"
        ),
        "hidden": typer.Option(help="Hidden rows and columns of a workbook. [default: keep]"),
        "header_row": typer.Option(
            metavar="N",
            help="Row of a table that names its columns, as Excel counts; those above are no part "
            "of it. [default: the first]",
        ),
        "glob": typer.Option(
            metavar="PATTERN",
            help="Only the files of a folder that match, such as '*.pdf'. May be repeated.",
        ),
        "exclude": typer.Option(
            metavar="PATTERN",
            help="Not the files of a folder that match, as a line of .gitignore. May be repeated.",
        ),
        "answers": typer.Option(
            metavar="OUTPUT", help="Output of an earlier run, for a prompt that judges it."
        ),
        "limit": typer.Option(metavar="N", help="Take only the first N rows or files."),
        "sample": typer.Option(metavar="N", help="Take only N rows or files, chosen at random."),
        "max_tokens": typer.Option(
            metavar="N",
            help="Longest answer, in tokens; one cut off is asked again with 4 x N.",
        ),
        "temperature": typer.Option(metavar="T", help="Randomness of the answers."),
        "long": typer.Option(
            metavar="split|head|fail",
            help="A text too long for the model: ask part by part and merge, cut it, or fail.",
        ),
        "chunk_tokens": typer.Option(
            metavar="N", help="Longest text asked about at once. [default: fits]"
        ),
        "rpm": typer.Option(metavar="N", help="Most requests a minute."),
        "tpm": typer.Option(metavar="N", help="Most tokens a minute."),
        "max_concurrency": typer.Option(metavar="N", help="Most requests in flight at once."),
        "max_cost": typer.Option(
            metavar="USD",
            parser=partial(read_amount, option="--max-cost"),
            help="Stop before this run's bill passes this amount.",
        ),
        "price": typer.Option(
            metavar="IN,OUT",
            parser=partial(read_price, option="--price"),
            help="USD per million tokens, for a model without a known price.",
        ),
        "patience": typer.Option(metavar="MINUTES", help="How long to wait for a server."),
        "hedge": typer.Option("--hedge/--no-hedge", help="Ask a second time for what hangs."),
        "prefix": typer.Option(help="Put this before the name of each new column."),
    }


class RunOptions(AskOptions):
    """What the commands that send have besides."""

    options: ClassVar[Mapping[str, Any]] = {
        **AskOptions.options,
        "output": typer.Option(
            "--output",
            "-o",
            help="Where the rows go, a path or an address: .csv .tsv .xlsx .parquet or .jsonl.",
        ),
        "expected": typer.Option(
            metavar="COL", help="Column of the right answers: say how right the run's are."
        ),
        "review": typer.Option(
            help="An .xlsx file for the rows most worth a look, to be corrected."
        ),
        "rows": typer.Option(metavar="N", help="How many rows --review takes. [default: 200]"),
        "safe_csv": typer.Option(
            "--safe-csv",
            help="In a .csv or .tsv output put a ' before formulas in the input's cells, too.",
        ),
        "fresh": typer.Option(
            "--fresh", help="Ask everything again; the old journal is kept aside."
        ),
    }
    required = ("output",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """What is shown at the terminal, and asked there."""

    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the first request and the cost; send nothing.")
    ] = False
    confirm_over: Annotated[
        float,
        typer.Option(metavar="USD", help="At a terminal, ask before spending more than this."),
    ] = 1.0
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask, go on.")] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show only errors.")] = False
    json_log: Annotated[
        bool, typer.Option("--json-log", help="Show progress as JSON, an object a line.")
    ] = False
    debug: Annotated[bool, typer.Option("--debug", help="Add the traceback to an error.")] = False


def takes_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each field of what it takes, dataclasses and `Chosen`."""
    signature = inspect.signature(command, eval_str=True)
    kinds: dict[str, Any] = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if is_dataclass(parameter.annotation) or _is_chosen(parameter.annotation)
    }
    options = {name: _options(kind) for name, kind in kinds.items()}
    added = [option for some in options.values() for option in some]

    @wraps(command)
    def run(**values: object) -> None:
        made = {}
        for name, kind in kinds.items():
            given = {option.name: values.pop(option.name) for option in options[name]}
            made[name] = kind.of(given) if _is_chosen(kind) else kind(**given)
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


def _is_chosen(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Chosen)


def _options(kind: Any) -> list[inspect.Parameter]:
    if _is_chosen(kind):
        return list(kind.parameters())
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
