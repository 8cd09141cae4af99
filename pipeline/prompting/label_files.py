"""Labels to choose from, with what they mean, and labelled rows that show how it is done."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import chain, zip_longest
from pathlib import Path

from pipeline.errors import DocumentError, UsageError
from pipeline.formats import FORMATS
from pipeline.places import path_here
from pipeline.prompting import yamls
from pipeline.prompting.labels import Example, Label, Labels, alike
from pipeline.regular import read_file
from pipeline.sources.base import Source
from pipeline.sources.decoding import decode
from pipeline.sources.opening import open_source
from pipeline.types import Document

OTHER = "other"
_YAML = (".yaml", ".yml")
_MOST_LABELS = 10_000
_MOST_ROWS = 100_000  # of a table that is held whole
_MOST_CHARACTERS = 10**8
_SOME = 3  # of the values that are no labels are told


def read_labels(
    given: str | Sequence[str] | Mapping[str, str], *, other: bool = False
) -> list[Label]:
    """Read labels: `billing,bug,praise`, or a YAML file or a table of names, descriptions and
    examples; or take a list of names, or what names mean. With `other` there is one more, for what
    none of them fits.
    """
    if not isinstance(given, str):
        meanings = given if isinstance(given, Mapping) else dict.fromkeys(given, "")
        labels = [
            name if isinstance(name, Label) else Label(name, meanings[name]) for name in given
        ]
        given = ", ".join(given)
    elif (suffix := Path(given).suffix.lower()) in _YAML:
        labels = _from_yaml(path_here(given))
    elif suffix in FORMATS:
        labels = _from_table(given)
    else:
        labels = [Label(name) for part in given.split(",") if (name := part.strip())]
    if other:
        labels.append(Label(OTHER, "None of the other labels fits."))
    if len(labels) > _MOST_LABELS:
        raise UsageError(f"--labels {given}: {len(labels):,} labels; give at most {_MOST_LABELS:,}")
    counts = Counter(map(alike, labels))
    twice = [label for label in labels if counts[alike(label)] > 1]
    if twice:
        raise UsageError(f"--labels {given}: {twice[0]!r} is there twice; give each label once")
    if len(labels) < 2:
        raise UsageError(f"--labels {given}: give at least two labels, each once")
    return labels


def _from_yaml(path: Path) -> list[Label]:
    """Read a list of names, or of mappings, or a mapping of names to what they mean."""
    try:
        text = decode(read_file(path, yamls.MOST_BYTES))
    except OSError as error:
        raise UsageError(f"can't read the labels {path}: {error.strerror}") from error
    except DocumentError as error:
        raise UsageError(f"can't read the labels {path}: {error}") from error
    # As text: a label may be called `no`, or `007`.
    data = yamls.read(text, origin=str(path), what="the labels are", words=True)
    if isinstance(data, dict) and isinstance(data.get("labels"), list | dict):
        data = data["labels"]
    if isinstance(data, dict):
        data = [
            {"name": name, **entry}
            if isinstance(entry, dict)
            else {"name": name, "description": entry}
            for name, entry in data.items()
        ]
    if not isinstance(data, list):
        raise UsageError(f"the labels {path} are no list of labels")
    return [
        _label(entry if isinstance(entry, dict) else {"name": entry}, str(path)) for entry in data
    ]


def _from_table(uri: str) -> list[Label]:
    with closing(open_source(uri)) as source:
        return _in_rows(source, uri)


def _in_rows(source: Source, uri: str) -> list[Label]:
    names = {column.name.strip().lower(): column.name for column in source.columns}
    first = next((names[name] for name in ("name", "label") if name in names), None)
    if first is None:
        heads = ", ".join(names.values())
        only = "; is that a label? Put a line `name` above it" if len(names) == 1 else ""
        raise UsageError(
            f"--labels {uri}: a table of labels needs a column `name`, and may have `description` "
            f"and `examples`; its first line says: {heads}{only}"
        )
    chosen = {"name": first}
    chosen |= {key: names[key] for key in ("description", "examples") if key in names}
    return [
        _label({key: document.fields.get(name) for key, name in chosen.items()}, document.name)
        for document in _few(source, f"--labels {uri}")
    ]


def _few(source: Source, what: str) -> Iterator[Document]:
    """Yield the rows of a table that is to be held whole. Raises UsageError if they are many."""
    characters = 0
    for count, document in enumerate(source, 1):
        characters += sum(len(str(cell)) for cell in document.fields.values())
        if count > _MOST_ROWS or characters > _MOST_CHARACTERS:
            raise UsageError(
                f"{what}: over {_MOST_ROWS:,} rows or {_MOST_CHARACTERS // 10**6} million "
                "characters; give fewer"
            )
        yield document


def _label(entry: Mapping[str, object], where: str) -> Label:
    unknown = sorted(set(entry) - {"name", "description", "examples"})
    name = str(entry.get("name") or "").strip()
    if unknown or not name:
        problem = f"`{unknown[0]}` is not known" if unknown else "a label has no name"
        raise UsageError(f"{where}: {problem}; it has a name, a description and examples")
    examples = entry.get("examples") or ()
    if isinstance(examples, str):
        examples = [text for part in re.split(r"[\n|]", examples) if (text := part.strip())]
    texts = tuple(str(text) for text in examples) if isinstance(examples, Iterable) else ()
    return Label(name, str(entry.get("description") or "").strip(), texts)


def read_examples(
    uri: str,
    labels: Sequence[Label],
    *,
    name: str,
    text_column: str | None,
    multi: bool,
    shots: int,
) -> tuple[tuple[Example, ...], list[str]]:
    """Take labelled rows of a table, each label in turn, one more than `shots`: the one that is
    itself asked is left out. `name` is the output that they answer.

    Besides, say which were left out. Raises UsageError where there are none to show.
    """
    with closing(_open(uri, text_column)) as source:
        rows = _few(source, f"--examples {uri}")
        documents = [document for document in rows if document.error is None]
    names = [column.name for column in source.columns]
    if source.text_column is None:
        raise UsageError(
            f"--examples {uri}: which column is the text? name it with --text-column; its columns "
            f"are {', '.join(names)}"
        )
    known = Labels(labels)
    column = _gold_column(names, documents, known, name, multi)
    if column is None:
        raise UsageError(
            f"--examples {uri}: no column holds the labels {', '.join(labels)}; name it `{name}`"
        )
    given = [
        (document, value)
        for document in documents
        if document.text.strip() and not _blank(value := document.fields.get(column))
    ]
    found: dict[str, Example] = {}
    others: list[str] = []
    for document, value in given:
        gold = _gold(value, known, multi)
        if gold:
            answer = json.dumps({name: gold if multi else gold[0]}, ensure_ascii=False)
            found.setdefault(alike(document.text), Example(document, answer))
        else:
            others.append(str(value))
    if not found:
        said = ", ".join(map(repr, list(dict.fromkeys(others))[:_SOME])) or "nothing"
        raise UsageError(
            f'--examples {uri}: no text has one of the labels {", ".join(labels)} in "{column}", '
            f"which says {said}"
        )
    by_answer: dict[str, list[Example]] = {}
    for example in found.values():
        by_answer.setdefault(example.answer, []).append(example)
    in_turn = chain.from_iterable(zip_longest(*by_answer.values()))
    shown = tuple(example for example in in_turn if example is not None)[: shots + 1]
    return shown, _left_out(others, len(given))


def _open(uri: str, text_column: str | None) -> Source:
    """Open a table, with the column of its text if it has it."""
    source = open_source(uri)
    if text_column is None or text_column not in [column.name for column in source.columns]:
        return source
    source.close()
    return open_source(uri, text_column=text_column)


def _left_out(others: Sequence[str], count: int) -> list[str]:
    """Say how many of the examples have a label that is none, if any."""
    if not others:
        return []
    have = "has" if len(others) == 1 else "have"
    return [
        f"{len(others):,} of {count:,} examples {have} a label that is none of the labels "
        f"(the first: {others[0]!r}): left out"
    ]


def _blank(cell: object) -> bool:
    return cell is None or not str(cell).strip()


def _gold_column(
    names: Sequence[str],
    documents: Sequence[Document],
    labels: Labels,
    output: str,
    multi: bool,
) -> str | None:
    """Find the column of the labels: the one named as the output, or the only one made of them."""
    if output in names:
        return output
    made = []
    for name in names:
        values = [document.fields.get(name) for document in documents]
        given = [value for value in values if not _blank(value)]
        if given and all(_gold(value, labels, multi) for value in given):
            made.append(name)
    return made[0] if len(made) == 1 else None


def _gold(value: object, labels: Labels, multi: bool) -> list[str]:
    """Read the labels of a row; none if they aren't labels."""
    if isinstance(value, list):
        if any(isinstance(item, list | dict) for item in value):
            return []
        value = json.dumps(value, default=str)
    elif not multi:
        label = labels.find(str(value))
        return [] if label is None else [label]
    names = labels.split(str(value))
    known = all(name in labels for name in names)
    return names if known and (multi or len(names) == 1) else []
