"""Words that the extractor of PDFs takes for broken ligatures and mends: `C#dev` becomes `Cfidev`.

Some old fonts do have `fi` in the place of `#`; but then no `#` stands anywhere else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product

# What each mark becomes between letters, the first two before a letter at a word's start, too.
_MENDED = {"!": ("!", "fi", "ff"), "#": ("#", "fi"), '"': ('"', "ffi"), "*": ("*", "tt")}
_MARKED = re.compile(r"""(?<=[^\W\d_])[!#"*](?=[^\W\d_])|(?<!\S)[!#](?=[^\W\d_])""")
_FEW = 3  # words prove a font broken
_MOST = 4  # marks in a word
_DECORATION = "*_`|"


def restored(text: str, raw: str) -> str:
    """Return the text with its words as they are in `raw`, the text before they were mended."""
    if not _MARKED.search(raw):
        return text
    words = raw.split()
    marks = {mark for mark in _MENDED if mark in raw and not _is_broken(mark, raw)}
    originals: dict[str, list[str]] = {
        mended: [] for word in words if marks.intersection(word) for mended in _mended(word, marks)
    }
    if not originals:
        return text
    for word in words:
        for mended in {word, *_mended(word, marks)} if marks.intersection(word) else (word,):
            if mended in originals:
                originals[mended].append(word)

    def original(match: re.Match[str]) -> str:
        word = match[0].strip(_DECORATION)
        found = originals.get(word)
        if not found:
            return match[0]
        # Words that were that before stand among them, in the same order.
        return match[0].replace(word, found.pop(0) if len(found) > 1 else found[0])

    return re.sub(r"\S+", original, text)


def _is_broken(mark: str, raw: str) -> bool:
    """Return whether a mark stands within words only: it is a ligature then."""
    inside = re.findall(rf"\S*[a-z]{re.escape(mark)}[a-z]\S*", raw)
    starts = len(re.findall(rf"(?<!\S){re.escape(mark)}[a-z]", raw))
    return len(set(inside)) >= _FEW and len(inside) + starts == raw.count(mark)


def _mended(word: str, marks: set[str]) -> Iterator[str]:
    """Yield what a word may have become."""
    places = [match.start() for match in _MARKED.finditer(word) if match[0] in marks][:_MOST]
    for choice in product(*(_MENDED[word[place]] for place in places)):
        parts, end = [], 0
        for place, mended in zip(places, choice, strict=True):
            parts += [word[end:place], mended]
            end = place + 1
        if (became := "".join([*parts, word[end:]])) != word:
            yield became
