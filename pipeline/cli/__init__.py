"""The command line: builds the objects, prints, exits. Nothing heavy is imported before its use."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import sys
import traceback
from collections.abc import Iterator
from typing import Annotated, Any, NoReturn, TextIO

import typer

from pipeline.errors import PipelineError
from pipeline.showing import keep, say, shown

app = typer.Typer(
    name="pipeline",
    help=(
        "Run a prompt over every document of a folder or every row of a table, and get the answers "
        "with the tokens and the cost of each row.\n\n"
        "Try it free, with no key: pipeline classify tickets.csv --labels billing,bug,praise "
        "-o labels.csv --model local\n\n"
        "Whatever stops a run, the same command goes on where it stopped."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich would take half of the time that --help takes
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        say(f"pipeline {version('document-pipeline')}")
        raise typer.Exit


@app.callback()
def _callback(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Say which version."),
    ] = False,
) -> None:
    pass


# They add their commands, in the order in which --help lists them.
from pipeline.cli import run  # noqa: E402, F401, I001
from pipeline.cli import estimate, models  # noqa: E402, F401
from pipeline.cli import evaluate, review  # noqa: E402, F401


def main() -> NoReturn:
    """Run the command line; every error of ours is one line and an exit code."""
    _prepare()
    code = run_command()
    # Taking the imported modules down would take longer than many a run (0.3 s, measured).
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, PipelineError):
            stream.flush()
    os._exit(code)


def _prepare() -> None:
    """Leave no core dump, here and in children: it would hold the key. Have characters that the
    terminal lacks written as what they are called.
    """
    with contextlib.suppress(ImportError, ValueError, OSError):  # Windows has no such dumps
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _open_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _open_standard_streams() -> None:
    """Open what the shell has closed (`2>&-`): or else a file of ours takes its number, and errors
    are written into it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if name == "stdin" else "w", closefd=False))  # noqa: SIM115


def run_command() -> int:
    """Run the command that was typed; return its exit code."""
    gc.disable()  # what is imported is kept; `build` starts the collector for what is not
    keep(os.environ.get("OPENAI_API_KEY", ""))
    sys.stdout, sys.stderr = _Checked(sys.stdout), _Shown(sys.stderr)
    try:
        app()
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else bool(done.code)
    except PipelineError as error:
        complain(str(error), cause=error)
        return error.exit_code
    except BrokenPipeError:
        return 1  # who read our output has enough
    except Exception as error:  # a fault of ours: the user gets a line, too
        complain(f"unexpected {type(error).__name__}: {error} (see --debug)", cause=error)
        return 1
    return 0


def complain(*lines: str, cause: BaseException | None = None) -> None:
    """Print an error: in lines, or as an object where the log is made of them."""
    told = traceback.format_exception(cause) if cause and "--debug" in sys.argv else []
    trace = "".join(told).rstrip("\n").split("\n") if told else []
    if "--json-log" in sys.argv:
        from pipeline.watching import event

        more = {"traceback": "\n".join(map(shown, trace))} if trace else {}
        event("error", text="\n".join(map(shown, lines)), **more)
    else:
        say(f"error: {lines[0]}", *lines[1:], *trace, err=True)


class _Checked:
    """Standard output: if it can't be written, that is an error of ours, with its line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with _refused():
            return self._stream.write(text)

    def flush(self) -> None:
        with _refused():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def _refused() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise  # who read our output has enough, which is no error
    except OSError as error:
        raise PipelineError(f"standard output can't be written: {error.strerror}") from error


class _Shown:
    """Standard error for those who write to it by themselves: the parser of the command line,
    warnings, loggers of libraries.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write("\n".join(map(shown, text.split("\n"))))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
