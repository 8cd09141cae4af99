"""Reads the bodies of replies, packed or not, and no more of them than they may have.

A reply is unpacked piece by piece as it comes: what is held is what has been counted.
"""

from __future__ import annotations

import zlib

import aiohttp

from pipeline.errors import PackedError

ENCODINGS = "gzip, deflate"  # that we ask for
TOGETHER_BYTES = 256 * 2**20  # of all the replies that are being read
_DEFLATE = 8  # in the first byte of what has zlib's own header


class Bodies:
    """Reads bodies; all that are being read at once share `TOGETHER_BYTES`."""

    def __init__(self) -> None:
        self._held_bytes = 0

    async def read(
        self, response: aiohttp.ClientResponse, most_bytes: int
    ) -> tuple[bytes, str | None]:
        """Read a body; return as much of it as it may have, and why that isn't all, if it isn't.

        Raises PackedError if it can't be unpacked.
        """
        encoding = response.headers.get("content-encoding")
        unpacker = Unpacker(encoding) if encoding else None
        parts: list[bytes] = []
        came = size = 0
        try:
            async for packed in response.content.iter_any():
                came += len(packed)
                part = unpacker.unpack(packed, most_bytes - size + 1) if unpacker else packed
                parts.append(part)
                size += len(part)
                self._held_bytes += len(part)
                if max(came, size) > most_bytes or self._held_bytes > TOGETHER_BYTES:
                    response.close()  # the rest stays with the server
                    return b"".join(parts)[:most_bytes], _problem(max(came, size), most_bytes)
            if unpacker:
                unpacker.end()
            return b"".join(parts), None
        finally:
            self._held_bytes -= size


def _problem(size: int, most_bytes: int) -> str:
    if size > most_bytes:
        return f"longer than the {most_bytes:,} bytes that an answer to this can have"
    return f"among those that are longer than {TOGETHER_BYTES:,} bytes together"


class Unpacker:
    """Unpacks a body by its content-encoding. Raises PackedError where that isn't one of ours."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding.strip().lower().removeprefix("x-")
        self._stream: zlib._Decompress | None = None
        if self._encoding not in ("", "identity", "gzip", "deflate"):
            raise PackedError(
                f"the reply comes packed as {encoding[:40]!r}, which wasn't asked for and can't "
                "be read: the server, or what stands before it, must not pack its replies so",
                unasked=True,
            )

    def unpack(self, data: bytes, most_bytes: int) -> bytes:
        """Unpack a piece, to no more than this many bytes."""
        if self._encoding in ("", "identity") or not data:
            return data
        if self._stream is None:
            self._stream = zlib.decompressobj(self._window(data))
        if self._stream.eof:
            return b""
        try:
            return self._stream.decompress(data, most_bytes)
        except zlib.error as error:
            raise PackedError(f"the reply can't be unpacked ({error})") from error

    def end(self) -> None:
        """Raise PackedError if more should have come."""
        if self._stream is not None and not self._stream.eof:
            raise PackedError("the reply can't be unpacked (its end is missing)")

    def _window(self, data: bytes) -> int:
        if self._encoding == "gzip":
            return zlib.MAX_WBITS + 16
        plain = data[0] & 0x0F == _DEFLATE  # some servers leave zlib's header out
        return zlib.MAX_WBITS if plain else -zlib.MAX_WBITS
