"""What the server has seen and what it would bill: counts, the same in a snapshot or as JSON."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter, deque
from decimal import Decimal

import orjson


def digest(raw: bytes) -> str:
    """Name a body: the same bytes have the same name."""
    return hashlib.blake2b(raw, digest_size=16).hexdigest()


@dataclasses.dataclass(slots=True)
class Bill:
    """What is charged. Cached tokens are part of the prompt's, reasoning of the completion's.
    `cache_writes` are the requests that wrote to the cache.
    """

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_tokens: int = 0
    cache_writes: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def add(self, other: Bill) -> None:
        self.requests += other.requests
        self.prompt_tokens += other.prompt_tokens
        self.completion_tokens += other.completion_tokens
        self.cached_tokens += other.cached_tokens
        self.reasoning_tokens += other.reasoning_tokens
        self.cache_write_tokens += other.cache_write_tokens
        self.cache_writes += other.cache_writes

    def cost_usd(self, *, prompt: str, completion: str, cached: str | None = None) -> Decimal:
        """Price it, in USD per million tokens; cached ones cost as the others unless priced, those
        that are written to the cache a quarter more.
        """
        fresh = self.prompt_tokens - self.cached_tokens + self.cache_write_tokens * Decimal("0.25")
        rest = self.cached_tokens * Decimal(prompt if cached is None else cached)
        total = fresh * Decimal(prompt) + rest + self.completion_tokens * Decimal(completion)
        return total / 1_000_000


@dataclasses.dataclass(slots=True)
class Record:
    """One request as it came, and the status decided on (0: no reply at all)."""

    arrived: float
    status: int
    head: str
    body: str

    @property
    def json(self) -> dict[str, object]:
        body: dict[str, object] = orjson.loads(self.body)
        return body

    def header(self, name: str) -> str | None:
        for line in self.head.split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name.lower():
                return value.strip()
        return None


@dataclasses.dataclass(slots=True)
class Tally:
    """The counts. `received` is every chat request; each ends in exactly one of these:

    `statuses` (a reply was sent; `codes` are those of the errors), `resets` (the server broke the
    connection instead), `abandoned` (the client was gone before its reply), or `lost` (the server
    was, in an outage). `flooded` are the bytes of floods. `unreadable` is the part of `billed` that
    no client can know of: the reply was abandoned, cut off or without usage.
    """

    received: int = 0
    statuses: Counter[int] = dataclasses.field(default_factory=Counter)
    codes: Counter[str] = dataclasses.field(default_factory=Counter)
    resets: int = 0
    abandoned: int = 0
    lost: int = 0
    flooded: int = 0
    billed: Bill = dataclasses.field(default_factory=Bill)
    unreadable: Bill = dataclasses.field(default_factory=Bill)
    in_flight: int = 0
    max_in_flight: int = 0
    connections: int = 0
    received_by_body: Counter[str] = dataclasses.field(default_factory=Counter)
    billed_by_body: Counter[str] = dataclasses.field(default_factory=Counter)
    records: deque[Record] = dataclasses.field(default_factory=deque)

    @property
    def answered(self) -> int:
        return self.statuses[200]

    @property
    def refused(self) -> int:
        return self.statuses[429]

    @property
    def billed_twice(self) -> int:
        """How many bills were for a body that had been billed already."""
        return self.billed_by_body.total() - len(self.billed_by_body)

    def charge(self, body: str, bill: Bill, *, readable: bool) -> None:
        self.billed.add(bill)
        self.billed_by_body[body] += 1
        if not readable:
            self.unreadable.add(bill)

    def copy(self) -> Tally:
        """Take a snapshot that no later request changes."""
        return dataclasses.replace(
            self,
            statuses=self.statuses.copy(),
            codes=self.codes.copy(),
            billed=dataclasses.replace(self.billed),
            unreadable=dataclasses.replace(self.unreadable),
            received_by_body=self.received_by_body.copy(),
            billed_by_body=self.billed_by_body.copy(),
            records=self.records.copy(),
        )

    def dump(self) -> bytes:
        return orjson.dumps(self, default=list, option=orjson.OPT_NON_STR_KEYS)

    @staticmethod
    def load(data: bytes) -> Tally:
        fields = orjson.loads(data)
        statuses = {int(status): count for status, count in fields.pop("statuses").items()}
        return Tally(
            statuses=Counter(statuses),
            codes=Counter(fields.pop("codes")),
            billed=Bill(**fields.pop("billed")),
            unreadable=Bill(**fields.pop("unreadable")),
            received_by_body=Counter(fields.pop("received_by_body")),
            billed_by_body=Counter(fields.pop("billed_by_body")),
            records=deque(Record(**record) for record in fields.pop("records")),
            **fields,
        )
