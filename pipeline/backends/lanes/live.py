"""The lane of live answers: many requests at once, through the gate, retried, hedged."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
)

from pipeline.backends.base import Answered, Server
from pipeline.backends.lanes.attempts import Asking, Attempts
from pipeline.backends.lanes.tasks import Tasks
from pipeline.errors import BackendError, FatalError, TransientError
from pipeline.limits.budget import Budget
from pipeline.limits.gate import Gate, Pass
from pipeline.types import Request, Response

GRACE_SECONDS = 10.0  # what is in flight gets this long to finish when the run is stopped
MAX_FAILURES = 10  # attempts that fail while others succeed; with a fifth of all replies bad, 1 row
#                    in ten million fails so often
HEDGE_SHARE = 0.01  # of the requests may be sent a second time
TURN_CHARACTERS = 100_000  # are sent off, in 10 ms, before the event loop turns to all else
LOOK_SECONDS = 0.1  # how often to look for requests that hang


class Live:
    """Asks a server many requests at once, as many as its limits and the budget let through."""

    def __init__(self, server: Server, gate: Gate, *, hedge: bool = False) -> None:
        self.server = server
        self.gate = gate
        self.note: Callable[[str], None] = gate.note
        gate.note = lambda text: self.note(text)  # whoever is told by then
        self.hedges = 0
        self._hedge_share = HEDGE_SHARE if hedge else 0.0
        self._ready: list[Answered] = []
        self._news = asyncio.Event()
        self._failure: BaseException | None = None
        self._tasks = Tasks(self._news.set, self._fail)
        self._attempts = Attempts(server, gate, self._fail)

    async def open(self) -> None:
        """Get ready to ask."""
        await self.server.open()

    async def close(self) -> None:
        """Let go of connections and processes."""
        await self.server.close()

    @property
    def patience_seconds(self) -> float:
        """How long to wait for what may get better."""
        return self.gate.circuit.patience_seconds

    @property
    def stopped(self) -> bool:
        """Whether nothing more is sent."""
        return self._tasks.stopped

    @property
    def refused(self) -> int:
        """How many requests were refused for a limit."""
        return self.gate.refused

    @property
    def budget(self) -> Budget:
        """What may be spent on it, and was."""
        return self.gate.budget

    @property
    def in_flight(self) -> int:
        """How many requests are on their way now."""
        return len(self._attempts.sending)

    def state(self) -> str:
        """Return in a few words what the run waits for, or how many requests are in flight."""
        parts = [self.gate.state() or f"{self.in_flight:,} in flight"]
        if self.refused:
            parts.append(f"{self.refused:,} refused")
        if self.hedges:
            parts.append(f"hedged {self.hedges:,}")
        return ", ".join(parts)

    def affords(self, request: Request) -> bool:
        """Return whether `--max-cost` has room for a request."""
        return self.gate.charges.affords(self._attempts.tokens(request), request.max_tokens)

    def stop(self) -> None:
        """Send nothing more; what is on its way may still come back, for a moment."""
        self._tasks.stop(self._attempts.sending.keys(), GRACE_SECONDS)

    async def complete_all(self, requests: AsyncIterator[Request]) -> AsyncIterator[list[Answered]]:
        """Answer requests as they come, in lists of those that are ready at once.

        An answer leaves the window when its list has been dealt with, which is when the next list
        is asked for: no more answers can be lost than may be in flight. What ends the run is raised
        when everything in flight has come back.
        """
        self._tasks.start(self._dispatch(requests))
        self._look_soon()
        try:
            while self._tasks or self._ready:
                await self._news.wait()
                self._news.clear()
                batch, self._ready = self._ready, []
                if batch:
                    yield batch
                for answered in batch:
                    if isinstance(answered.answer, Response):
                        self.gate.release()
        finally:
            self._timer.cancel()
            await self._tasks.abandon()
        if self._failure is not None:
            raise self._failure

    def _fail(self, error: BaseException) -> None:
        """End the run: of several reasons the first counts."""
        if self._failure is None:
            self._failure = error
            self.stop()

    async def _dispatch(self, requests: AsyncIterator[Request]) -> None:
        waiting = 0
        async for request in requests:
            asking = Asking(request, self.server.size(request))
            taken = await self._attempts.enter(request)
            asking.tasks.append(self._tasks.start(self._answer(asking, taken)))
            waiting += asking.size
            if waiting > TURN_CHARACTERS:
                waiting = 0
                await asyncio.sleep(0)

    async def _answer(self, asking: Asking, taken: Pass, *, retries: bool = True) -> None:
        """Ask until there is an answer, or a reason to ask no more."""
        try:
            answer: Response | BackendError = await self._attempts.make(asking, taken)
        except TransientError as error:
            ends = self.stopped or not retries
            answer = error if ends else await self._again(asking, error)
            if self.stopped and isinstance(answer, TransientError):
                return  # nothing more is sent; the next run asks for this row
        except FatalError:
            raise
        except BackendError as error:
            answer = error
        self._deliver(asking, answer)

    async def _again(self, asking: Asking, first: TransientError) -> Response | BackendError:
        """Retry what failed, with full jitter; what was refused has the gate to wait for."""
        errors = [first]

        async def attempt() -> Response:
            if errors:
                raise errors.pop()
            return await self._attempts.make(asking, await self._attempts.enter(asking.request))

        def hopeless(_: RetryCallState) -> bool:
            return asking.failures >= MAX_FAILURES or self.stopped

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(TransientError),
            stop=hopeless,
            wait=self._attempts.pause,
            reraise=True,
        )
        try:
            return await retrying(attempt)
        except FatalError:
            raise
        except BackendError as error:
            return error

    def _deliver(self, asking: Asking, answer: Response | BackendError) -> None:
        """Hand an answer over; a failure only when nobody else is still asking the same."""
        task = asyncio.current_task()
        assert task is not None
        asking.tasks.remove(task)
        if isinstance(answer, Response):
            for rival in asking.tasks:
                rival.cancel()
        elif any(not rival.done() for rival in asking.tasks):
            return
        self._ready.append(asking.answered(answer))
        self._news.set()

    def _look_soon(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        """Ask a second time for answers that are far later than others of their size."""
        for asking in self._attempts.late():
            self._hedge(asking)
        self._look_soon()

    def _hedge(self, asking: Asking) -> None:
        if self.stopped or self.hedges + 1 > self._attempts.sent * self._hedge_share:
            return
        request = asking.request
        taken = self.gate.enter_now(self._attempts.tokens(request), request.max_tokens)
        if taken is not None:
            asking.hedged = True
            self.hedges += 1
            asking.tasks.append(self._tasks.start(self._answer(asking, taken, retries=False)))
