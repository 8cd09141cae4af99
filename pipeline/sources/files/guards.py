"""What is refused before anything reads it: what is encrypted, or unpacks to more than fits."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable

from pipeline.errors import DocumentError
from pipeline.sources.files.kinds import OFFICE_BEFORE_2007

MOST_UNPACKED_BYTES = 500_000_000
MOST_PARTS = 10_000
MOST_RATIO = 100  # of what it unpacks to, to its size
PROTECTED = "protected by a password"
TOO_LARGE = f"it unpacks to more than {MOST_UNPACKED_BYTES // 1_000_000} MB"
TOO_MANY = f"it holds more than {MOST_PARTS:,} files: unpack it"
TOO_DENSE = f"it unpacks to more than {MOST_RATIO} times its size: unpack it"
DAMAGED = "damaged, or not what its name says"
# How a compound file lists the stream of that name: the name, and its length in bytes.
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le").ljust(64, b"\0") + b"\x22\0"


def check(data: bytes) -> None:
    """Raise DocumentError, saying why, if a document can't or mustn't be read."""
    if data.startswith(b"PK"):
        _check_archive(data)
    if data.startswith(OFFICE_BEFORE_2007):
        _check_compound(data)


def is_dense(files: Iterable[zipfile.ZipInfo], data: bytes) -> bool:
    """Return whether files in a .zip unpack to far more than its size."""
    return sum(file.file_size for file in files) > MOST_RATIO * len(data)


def _check_archive(data: bytes) -> None:
    """Refuse what would unpack to more than can be held; damage is for xberg to judge."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = archive.infolist()
            manifest = archive.read("META-INF/manifest.xml") if _has_manifest(parts) else b""
    except Exception:  # a damaged archive can raise anything
        return
    if len(parts) > MOST_PARTS:
        raise DocumentError(TOO_MANY)
    if sum(part.file_size for part in parts) > MOST_UNPACKED_BYTES:
        raise DocumentError(TOO_LARGE)
    # OpenDocument encrypts the parts and says so in its list of them.
    if b"encryption-data" in manifest or any(part.flag_bits & 1 for part in parts):
        raise DocumentError(PROTECTED)


def _has_manifest(parts: list[zipfile.ZipInfo]) -> bool:
    return any(p.filename == "META-INF/manifest.xml" and p.file_size < 1 << 20 for p in parts)


def _check_compound(data: bytes) -> None:
    """Refuse what Office has encrypted: xberg would take the bytes of an old document for text."""
    sectors = range(512, min(len(data), 1 << 20), 512)
    word = next((at for at in sectors if data.startswith(b"\xec\xa5", at)), None)
    flags = b"" if word is None else data[word + 11 : word + 12]
    if any(flag & 1 for flag in flags) or _ENCRYPTED in data:
        raise DocumentError(PROTECTED)
