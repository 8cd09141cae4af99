"""Run a prompt over every row of a table or every document of a folder, from Python.

    import pipeline

    labels = pipeline.classify(df, ["billing", "bug", "praise"], text_column="text", max_cost=5)
    facts = pipeline.extract("invoices/", "vendor, date: date, total: number")
    pipeline.run("tickets.csv", "triage.prompty", output="triage.xlsx")

`help(pipeline.run)` says what all of them take, return and raise.
"""

# NOTE: nothing is imported here. With `python -m pipeline` the working folder, which a stranger may
# have filled, is searched first until `__main__` has taken it out.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pipeline.api.calls import Row, Summary
    from pipeline.api.functions import (
        classify,
        estimate,
        evaluate,
        extract,
        run,
        stream,
        summarize,
    )
    from pipeline.engine.plan import Plan
    from pipeline.engine.settings import Settings
    from pipeline.errors import FatalError, PipelineError, UsageError
    from pipeline.prompting.prompt import Prompt

__all__ = [
    "FatalError",
    "PipelineError",
    "Plan",
    "Prompt",
    "Row",
    "Settings",
    "Summary",
    "UsageError",
    "classify",
    "estimate",
    "evaluate",
    "extract",
    "run",
    "stream",
    "summarize",
]

# Imported when they are first used: the command line says --help in a blink.
_HOMES = {
    "pipeline.api.calls": ("Row", "Summary"),
    "pipeline.api.functions": (
        *("classify", "estimate", "evaluate", "extract", "run", "stream", "summarize"),
    ),
    "pipeline.engine.plan": ("Plan",),
    "pipeline.engine.settings": ("Settings",),
    "pipeline.errors": ("FatalError", "PipelineError", "UsageError"),
    "pipeline.prompting.prompt": ("Prompt",),
}


def __getattr__(name: str) -> "Any":
    from importlib import import_module

    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module 'pipeline' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
