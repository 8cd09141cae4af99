"""Who answers: the loop asks a lane, a lane asks a server, and a server speaks an API.

None of them knows the others' kinds: a new one is a new file. What an API is stands in
`apis/base.py`.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from pipeline.costs import Counter, Price
from pipeline.errors import BackendError
from pipeline.limits.budget import Budget
from pipeline.types import Request, Response, Usage


@dataclass(frozen=True, slots=True)
class Answered:
    """A request with its answer, or with why there is none, and what all its attempts took."""

    request: Request
    answer: Response | BackendError
    attempts: int = 0
    latency_seconds: float = 0.0
    usage: Usage | None = None
    cost_usd: Decimal | None = None


class Server(ABC):
    """Who answers, one request at a time. Its `identity` is part of each request's key.

    `window_tokens` is how long prompt and answer may be together, where that is known, and
    `longest_tokens` how long an answer is worth waiting for where a cut-off one is asked for again.
    `sees` says whether it takes images. `notices` are what the user should know of how it is asked.
    `shared` are the keys of prefixes that several requests to come have, and `saved_usd` is what
    its cache has saved.
    """

    name: str
    sees = True
    longest_tokens: int | None = None

    def __init__(
        self, *, counter: Counter, price: Price | None, window_tokens: int | None = None
    ) -> None:
        self.counter = counter
        self.price = price
        self.window_tokens = window_tokens
        self.notices: list[str] = []
        self.shared: Collection[str] = ()
        self.saved_usd = Decimal(0)
        self._schema: tuple[Mapping[str, object] | None, int] = (None, 0)

    @property
    def identity(self) -> str:
        """Who it is, and by which API it is asked."""
        return self.name

    @abstractmethod
    async def complete(self, request: Request, timeout_seconds: float) -> Response:
        """Send one request once. Raises BackendError."""

    @abstractmethod
    def body(self, request: Request) -> Mapping[str, object]:
        """Return the request's body as it is sent."""

    async def open(self) -> None:  # noqa: B027  # most need nothing
        """Get ready to answer."""

    async def close(self) -> None:  # noqa: B027
        """Let go of connections and processes."""

    def check(  # noqa: B027
        self, parameters: Mapping[str, object], schema: Mapping[str, object] | None
    ) -> None:
        """Add to `notices` which parameters it is asked without; raise UsageError if it takes no
        such schema.
        """

    def thinking_tokens(self, parameters: Mapping[str, object]) -> int:
        """Return how many tokens the model may think with, besides its answer."""
        return 0

    def count_tokens(self, request: Request) -> int:
        """Return an estimate of the prompt tokens of a request, made offline."""
        return self.counter.count_messages(request.messages)

    def most_tokens(self, request: Request, counted: int | None = None) -> int:
        """Return an upper bound of the prompt tokens: servers write the schema into the prompt and
        round images up.
        """
        tokens = self.count_tokens(request) if counted is None else counted
        return tokens + len(request.images) + self._schema_tokens(request.schema)

    def shared_tokens(self, request: Request) -> int:
        """Return how many tokens of a request the server reads from its cache if another with the
        same prefix was there before.
        """
        return 0

    def written_tokens(self, request: Request, most_tokens: int, *, begins: bool) -> int:
        """Return how many of the `most_tokens` of a prompt the server writes to its cache at a
        price; `begins` says that no other with the same prefix was there before.
        """
        return 0

    def size(self, request: Request) -> int:
        """Return how much there is to read, in characters; a token of an image is four of them."""
        tokens = sum(map(self.counter.image_rule.tokens, request.images))
        return sum([len(message.text) for message in request.messages]) + 4 * tokens

    def _schema_tokens(self, schema: Mapping[str, object] | None) -> int:
        if schema is not self._schema[0]:  # one object for all requests of a prompt
            self._schema = (schema, self.counter.count(json.dumps(schema)))
        return self._schema[1]

    def cost_usd(
        self, usage: Usage, service_tier: str | None = None, model: str = ""
    ) -> Decimal | None:
        """Return the price of a usage by a model, as replies name it; None if it isn't known."""
        return None if self.price is None else self.price.cost_usd(usage)


class Lane(Protocol):
    """How requests travel to a server and answers come back."""

    note: Callable[[str], None]

    @property
    def server(self) -> Server:
        """Who is asked."""

    @property
    def patience_seconds(self) -> float:
        """How long to wait for what may get better."""

    @property
    def stopped(self) -> bool:
        """Whether nothing more is sent."""

    async def open(self) -> None:
        """Get ready to ask."""

    async def close(self) -> None:
        """Let go of connections and processes."""

    def complete_all(self, requests: AsyncIterator[Request]) -> AsyncIterator[list[Answered]]:
        """Answer requests as they come, in lists of those that are ready at once.

        What is asked again comes by `requests`, too, which may wait for answers before they end.
        What ends the run is raised when everything in flight has come back.
        """

    def affords(self, request: Request) -> bool:
        """Return whether `--max-cost` has room for a request."""

    def stop(self) -> None:
        """Send nothing more; what is on its way may still come back, for a moment."""

    @property
    def refused(self) -> int:
        """How many requests were refused for a limit."""

    @property
    def budget(self) -> Budget:
        """What may be spent on it, and was."""

    @property
    def in_flight(self) -> int:
        """How many requests are on their way now."""

    def state(self) -> str:
        """Return in a few words what the run waits for, or how many requests are in flight."""
