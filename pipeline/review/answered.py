"""An input together with the answers of a former run over it: what a judge is asked about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

from pipeline.errors import UsageError
from pipeline.evaluation.gold import seen
from pipeline.review.corrections import key_of
from pipeline.sources.base import Source, Wrapper
from pipeline.sources.opening import open_source
from pipeline.sources.tables.written import find_prefix
from pipeline.types import Document


class Judging(Wrapper):
    """A source whose documents have the answers of an output as further fields.

    Rows are found by the input's own columns. A document without an answer can't be used.
    """

    def __init__(self, source: Source, output: str) -> None:
        super().__init__(source)
        self._output = output
        self._inputs = [column.name for column in source.columns]
        with closing(open_source(output)) as table:
            self._take(table)

    def _take(self, table: Source) -> None:
        names = [column.name for column in table.columns]
        missing = [name for name in self._inputs if name not in names]
        prefix = find_prefix(names)
        if missing or prefix is None:
            lacks = ", ".join(missing) if missing else "status"
            raise UsageError(
                f"{self._output} is no output of {self.name}: it has no column {lacks}"
            )
        answers = names[: names.index(f"{prefix}status")]
        added = [item for item in table.columns if item.name in answers]
        added = [item for item in added if item.name not in self._inputs]
        self.columns = [*self.columns, *added]
        self._answers = {
            key_of(document.fields, self._inputs): {
                column.name: document.fields.get(column.name) for column in added
            }
            for document in table
            if not document.error
        }

    def __iter__(self) -> Iterator[Document]:
        for document in self._source:
            found = self._answers.get(key_of(document.fields, self._inputs), {})
            answered = any(seen(cell) for cell in found.values())
            error = None if answered else f"{self._output} has no answer for it"
            yield replace(
                document, fields={**document.fields, **found}, error=document.error or error
            )
