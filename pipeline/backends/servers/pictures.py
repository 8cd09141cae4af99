"""The images of requests, decoded and encoded in processes: several at once, or a large one alone.

All of them together never take more memory than a large one may.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack

from pipeline.errors import DocumentError, UnsentError
from pipeline.processes.child import CrashError
from pipeline.processes.pool import Pool
from pipeline.sources.files.images import encode, is_address
from pipeline.sources.files.pixels import MOST_BYTES, TooLargeError
from pipeline.types import Image
from pipeline.vision import Rule

_MOST_PROCESSES = 4
_MEMORY_BYTES = 1_000_000_000  # of the large one, or of all the others
_SHARE = MOST_BYTES / _MEMORY_BYTES  # of it is for pixels, the rest for the decoder's own needs
_MOST_SENT_BYTES = 100_000_000  # of the images of a request, twice what OpenAI asked for at first


class Pictures:
    """Makes images ready to be sent, for models that see by `rule`.

    Processes start when there is a file to decode, and end with `close`.
    """

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._processes = min(os.cpu_count() or 1, _MOST_PROCESSES)
        self._few_bytes = _MEMORY_BYTES // _MOST_PROCESSES
        # What dies beside others is tried once more, alone.
        self._small = Pool(encode, processes=self._processes, memory_bytes=self._few_bytes, tries=1)
        self._large = Pool(encode, processes=1, memory_bytes=_MEMORY_BYTES, tries=1)
        self._places = asyncio.Semaphore(self._processes)
        self._alone = asyncio.Lock()

    def close(self) -> None:
        """End the processes, whatever they are doing."""
        self._small.close()
        self._large.close()

    async def urls(self, images: Sequence[Image]) -> list[str]:
        """Return images as servers take them: an address as it is, a file as a data URL.

        Raises UnsentError if one can't be read, or all are too much for a request.
        """
        urls: list[str] = []
        size = 0
        for image in images:
            try:
                url = image.source if is_address(image.source) else await self._encode(image)
            except DocumentError as error:
                raise UnsentError(str(error)) from error
            urls.append(url)
            size += len(url)
            if size > _MOST_SENT_BYTES:
                raise UnsentError(
                    f"its images come to over {_MOST_SENT_BYTES // 1_000_000} MB: split it, "
                    "or use --image-detail low"
                )
        return urls

    async def _encode(self, image: Image) -> str:
        try:
            return await self._ask(self._small, image, self._few_bytes, places=1)
        except TooLargeError:
            pass
        except CrashError as error:
            if error.late:
                raise
        async with self._alone:
            return await self._ask(self._large, image, _MEMORY_BYTES, places=self._processes)

    async def _ask(
        self, pool: Pool[[Image, Rule, int], str], image: Image, most_bytes: int, *, places: int
    ) -> str:
        async with AsyncExitStack() as taken:
            for _ in range(places):
                await taken.enter_async_context(self._places)
            future = pool.submit(image, self._rule, int(most_bytes * _SHARE))
            return await asyncio.wrap_future(future)
