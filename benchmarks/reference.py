"""What one would write in an hour: read a table, ask with so many at once, write a table.

`python -m benchmarks.reference sdk|aiohttp ROWS OUTPUT BASE_URL AT_ONCE`. No limits, no retries.
`sdk` is AsyncOpenAI as it comes; `aiohttp` is the floor: a bare POST, and a line of SQLite for each
answer as it comes.
"""

from __future__ import annotations

import asyncio
import csv
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import orjson

Ask = Callable[[str], Awaitable[str]]


async def main(kind: str, rows: str, output: str, base_url: str, at_once: int) -> None:
    """Answer every row and write them."""
    with open(rows, newline="", encoding="utf-8") as file:
        table = list(csv.DictReader(file))
    ask, close = await (_sdk if kind == "sdk" else _aiohttp)(base_url)
    slots = asyncio.Semaphore(at_once)
    journal = _journal(f"{output}.journal") if kind == "aiohttp" else None

    async def answer(row: dict[str, str]) -> None:
        async with slots:
            row["output"] = await ask(row["text"])
            if journal is not None:
                journal.execute("INSERT INTO answers VALUES (?, ?)", (row["text"], row["output"]))

    await asyncio.gather(*(answer(row) for row in table))
    await close()
    with open(output, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)


def _journal(path: str) -> sqlite3.Connection:
    Path(path).unlink(missing_ok=True)
    journal = sqlite3.connect(path, isolation_level=None)
    journal.execute("PRAGMA journal_mode = WAL")
    journal.execute("PRAGMA synchronous = NORMAL")
    journal.execute("CREATE TABLE answers (text TEXT, output TEXT)")
    return journal


async def _sdk(base_url: str) -> tuple[Ask, Callable[[], Awaitable[None]]]:
    from openai import AsyncOpenAI

    client = AsyncOpenAI(api_key="benchmark", base_url=base_url)

    async def ask(text: str) -> str:
        reply = await client.chat.completions.create(
            model="test",
            messages=[
                {"role": "system", "content": "Answer briefly."},
                {"role": "user", "content": text},
            ],
        )
        return reply.choices[0].message.content or ""

    return ask, client.close


async def _aiohttp(base_url: str) -> tuple[Ask, Callable[[], Awaitable[None]]]:
    import aiohttp

    url, headers = f"{base_url}/chat/completions", {"Content-Type": "application/json"}
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    async def ask(text: str) -> str:
        body = {
            "model": "test",
            "messages": [
                {"role": "system", "content": "Answer briefly."},
                {"role": "user", "content": text},
            ],
        }
        async with session.post(url, data=orjson.dumps(body), headers=headers) as response:
            data = orjson.loads(await response.read())
        return str(data["choices"][0]["message"]["content"])

    return ask, session.close


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:5], int(sys.argv[5])))
