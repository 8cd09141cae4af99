"""How text is encoded: of a whole file, or of a table too large to hold. chardet guesses."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from pipeline.errors import DocumentError, UsageError

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROLS = re.compile(r"[\0-\x08\x0e-\x1a\x1c-\x1f]")
_WORD, _FOREIGN, _ASCII_LETTER = map(re.compile, (r"\w+", "[\u0370-\u07ff]", "[A-Za-z]"))
_LATIN = "Windows-1252"
_CHUNK_BYTES = 1 << 20
_SAMPLE_BYTES = 1 << 16
_UTF8 = re.compile(rb"\xc3[\x80-\xbf]|\xe2\x80[\x80-\xbf]")
_SOME = 10
LINE_BYTES = 1 << 25  # a few megabytes of gzip can unpack to a line that no memory holds
PROOF_BYTES = 4  # this many continuation bytes don't come about by chance: the text is UTF-8


@dataclass(frozen=True, slots=True)
class _Fault:
    """The first byte that doesn't decode; `continued` counts the continuation bytes before it."""

    offset: int
    continued: int


@dataclass(slots=True)
class _Scan:
    """What reading a file through has found."""

    fault: _Fault | None = None
    marks: bool = False
    escapes: bool = False


def decode(data: bytes) -> str:
    """Decode a whole file; a stray byte becomes U+FFFD; raise DocumentError if it isn't text."""
    if wide := _marked(data) or _unmarked_utf16(data[:_SAMPLE_BYTES]):
        return data.decode(wide, "replace")
    if looks_binary(data[:_SAMPLE_BYTES]):
        _refuse()
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        start = error.start
    if start - len(data[:start].decode()) >= PROOF_BYTES:
        return data.decode("utf-8", "replace")
    sample = data[max(0, start - _SAMPLE_BYTES // 2) :][:_SAMPLE_BYTES]
    return data.decode(_guess(sample) or _refuse(), "replace")


def looks_binary(head: bytes) -> bool:
    """Return whether a file that begins like this holds something else than text."""
    if b"\0" not in head or _marked(head) or _unmarked_utf16(head):
        return False
    # A NUL or two in a log is damage; padding and numbers are many, compressed data isn't UTF-8.
    return head.count(0) > len(head) / 20 or not is_utf8(head)


@dataclass(frozen=True, slots=True)
class Script:
    """How the text of a table is encoded, and what of it needs a closer look.

    `exact` is the encoding of what is behind a byte-order `mark`. `damaged` are the lines with
    bytes that don't decode and are read as U+FFFD. `marks`: there is another mark further down.
    `escapes`: there is a backslash before a quote.
    """

    encoding: str
    exact: str
    mark: bool = False
    damaged: Sequence[int] = ()
    marks: bool = False
    escapes: bool = False

    @property
    def errors(self) -> str:
        """What a decoder does with bytes that don't decode."""
        return "replace" if self.damaged else "strict"

    def notices(self, wanted: str | None) -> list[str]:
        """Say what of it may be wrong; the user has named the `wanted` encoding."""
        said = []
        if not wanted and is_guess(self.encoding):
            said.append(f"detected encoding {self.encoding} (use --encoding to change it)")
        if self.damaged:
            said.append(
                f"bytes that are not {_said(self.encoding)} text are read as \ufffd, on line "
                f"{some(self.damaged)}"
            )
        return said


def examine(
    file: BinaryIO, name: str, wanted: str | None = None, errors: str | None = None
) -> Script:
    """Find out the encoding of a table, and read it through to make sure (0.1 s for 100 MB).

    `wanted` is what the user says it is. Raise UsageError, before anything has been paid for, where
    a byte doesn't decode, unless `errors` is "replace", or a line is too long to be one of a table.
    """
    head = file.read(_SAMPLE_BYTES)
    encoding = _wanted(wanted, head) or _marked(head) or _unmarked_utf16(head) or "utf-8"
    scan = _scan(file, encoding, name)
    if scan.fault and not wanted and encoding == "utf-8" and scan.fault.continued < PROOF_BYTES:
        guess = _guess_around(file, scan.fault.offset, name)
        if guess != _LATIN or not _has_utf8(file):
            encoding, scan = guess, _scan(file, guess, name)
    if scan.fault is None or errors == "replace":
        damaged = tuple(dict.fromkeys(_damaged(file, encoding))) if scan.fault else ()
        mark = _marked(head) == encoding
        exact = _exact(head) if mark else encoding
        return Script(encoding, exact, mark, damaged, scan.marks, scan.escapes)
    line = _line(file, scan.fault.offset, encoding)
    hint = "leave --encoding out" if wanted else "name its encoding with --encoding"
    raise UsageError(
        f"{name}, line {line}: byte {scan.fault.offset} of the file is not {_said(encoding)} text; "
        f"{hint}, or save the file as UTF-8 (--encoding-errors replace reads such bytes as \ufffd)"
    )


def clean(text: str) -> str:
    """Replace by U+FFFD each lone surrogate, which no file in UTF-8 can hold.

    They come from file names that aren't UTF-8 and from broken JSON escapes.
    """
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def some(numbers: Sequence[int]) -> str:
    """List the first few numbers, and count the rest."""
    more = len(numbers) - _SOME
    return ", ".join(map(str, numbers[:_SOME])) + (f" and {more:,} more" if more > 0 else "")


def is_guess(encoding: str) -> bool:
    """Return whether an encoding may be wrong: those of Unicode prove themselves."""
    return not codecs.lookup(encoding).name.startswith("utf")


def _said(encoding: str) -> str:
    return encoding.removesuffix("-sig").upper()


def _wanted(encoding: str | None, head: bytes) -> str | None:
    """Check the name of an encoding; with the mark that the text has, if it is of that family."""
    if encoding is None:
        return None
    try:
        b" ".decode(encoding, "ignore")
    except (LookupError, ValueError) as error:
        raise UsageError(
            f"--encoding {encoding}: no encoding has this name; "
            "they are called utf-8, utf-16, cp1252, shift_jis and so on"
        ) from error
    marked = _marked(head)
    return marked if marked and _family(marked) == _family(encoding) else encoding


def _family(encoding: str) -> str:
    return "".join(codecs.lookup(encoding).name.split("-")[:2])


def is_marked(data: bytes) -> bool:
    """Return whether text begins with a byte-order mark."""
    return _marked(data) is not None


def is_wide(data: bytes) -> bool:
    """Return whether text is UTF-16 or UTF-32."""
    encoding = _marked(data) or _unmarked_utf16(data[:_SAMPLE_BYTES])
    return encoding is not None and encoding != "utf-8-sig"


def _marked(data: bytes) -> str | None:
    return next((encoding for mark, encoding in _MARKS if data.startswith(mark)), None)


def _exact(head: bytes) -> str:
    """Name the encoding of what follows a mark."""
    order = "le" if head[:2] == codecs.BOM_UTF16_LE else "be"
    marked = _marked(head)
    return "utf-8" if marked == "utf-8-sig" else f"{marked}-{order}"


def _unmarked_utf16(head: bytes) -> str | None:
    """Recognize UTF-16 without its mark: its ASCII characters have a NUL, all on one side."""
    halves = head[0::2].count(0), head[1::2].count(0)
    # What could be UTF-8 with a few NULs is that; it could hardly be if it had other characters.
    few = len(head) / (4 if is_utf8(head) else 50)
    if min(halves) or max(halves) <= few:
        return None
    encoding = "utf-16-be" if halves[0] else "utf-16-le"
    return None if _CONTROLS.search(head.decode(encoding, "ignore")) else encoding


def is_utf8(head: bytes) -> bool:
    """Return whether text that begins like this is UTF-8; its last character may be cut."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _guess(data: bytes) -> str | None:
    import chardet

    # All eras together take short French for MacCyrillic: 21 of 25 samples either way, but the
    # Windows encodings, the likely ones, come out right.
    era = chardet.EncodingEra.MODERN_WEB
    guess = chardet.detect(data, encoding_era=era, prefer_superset=True)["encoding"]
    return _LATIN if guess and _mixes_scripts(data.decode(guess, "ignore")) else guess


def _mixes_scripts(text: str) -> bool:
    """Say whether Greek, Cyrillic, Hebrew or Arabic letters stand mostly in words with Latin ones.

    Nobody writes so: it is French or Italian, of which chardet makes Cyrillic now and then.
    """
    foreign = [word for word in _WORD.findall(text) if _FOREIGN.search(word)]
    return 2 * sum(1 for word in foreign if _ASCII_LETTER.search(word)) > len(foreign)


def _refuse() -> str:
    raise DocumentError("not text, and not a document format that can be read")


def _guess_around(file: BinaryIO, offset: int, name: str) -> str:
    """Guess from the neighbourhood of the first byte that says anything."""
    file.seek(max(0, offset - _SAMPLE_BYTES // 2))
    if encoding := _guess(file.read(_SAMPLE_BYTES)):
        return encoding
    raise UsageError(
        f"{name} is not text; give a file with the suffix of its format, such as .xlsx or .pdf"
    )


def _has_utf8(file: BinaryIO) -> bool:
    """Return whether characters of UTF-8 stand in a file: in Windows-1252, `Ã¼` or `â€œ`."""
    return any(map(_UTF8.search, _chunks(file)))


def _damaged(file: BinaryIO, encoding: str) -> Iterator[int]:
    """Number the lines that have bytes which don't decode; a very long one more than once."""
    line = 1
    for text in codecs.iterdecode(_chunks(file), encoding, "replace"):
        parts = text.split("\n")
        yield from (line + place for place, part in enumerate(parts) if "\ufffd" in part)
        line += len(parts) - 1


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    """Read a file from its start, piece by piece."""
    file.seek(0)
    return iter(lambda: file.read(_CHUNK_BYTES), b"")


def _scan(file: BinaryIO, encoding: str, name: str) -> _Scan:
    scan = _Scan()
    decoder = codecs.getincrementaldecoder(encoding)()
    read = characters = line = 0
    file.seek(0)
    while True:
        chunk = file.read(_CHUNK_BYTES)
        try:
            text = decoder.decode(chunk, not chunk)
        except UnicodeDecodeError as error:
            # The decoder puts the bytes that it kept from the last chunk before this one.
            offset = read - (len(error.object) - len(chunk)) + error.start
            characters += len(error.object[: error.start].decode(encoding, "ignore"))
            scan.fault = _Fault(offset, offset - characters)
            return scan
        if not chunk:
            return scan
        scan.marks = scan.marks or (not text.isascii() and "\ufeff" in text[not read :])
        # The backslash alone is found at once, the two of them only between all quotes.
        scan.escapes = scan.escapes or ("\\" in text and '\\"' in text)
        read += len(chunk)
        characters += len(text)
        # Not in the bytes: in UTF-16 a line end is a part of many a character.
        line_end = max(text.rfind("\n"), text.rfind("\r"))
        line = len(text) + (line if line_end < 0 else -1 - line_end)
        if line > LINE_BYTES:
            where = f"{name}, line {_line(file, read, encoding)}"
            raise UsageError(
                f"{where}: over {LINE_BYTES // 10**6} MB without a line end, which is no row of a "
                "table"
            )


def _line(file: BinaryIO, offset: int, encoding: str) -> int:
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    file.seek(0)
    lines = 1
    while offset > 0 and (chunk := file.read(min(offset, _CHUNK_BYTES))):
        lines += decoder.decode(chunk).count("\n")
        offset -= len(chunk)
    return lines
