"""What an answer is worth, and what to ask where it is worth nothing.

An answer that doesn't fit is asked for again once with the reason, one that was cut off or is empty
once with a larger allowance. A refusal is an answer: nobody asks again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.backends.apis.ends import End, end_of
from pipeline.backends.base import Answered
from pipeline.engine.confidence import choice, majority, of_tokens
from pipeline.errors import RejectedError
from pipeline.prompting.schema import Checker, Fitted
from pipeline.types import Message, Request, Response, Result, Status

LARGER = 4  # times the allowance, for an answer that was cut off
LEAST_LARGER = 1.5  # times, or it isn't worth the asking
_PARTS = "; --chunk-tokens N asks part by part"
MOST_QUOTED = 4_000  # characters of an answer are sent back with what is wrong with it


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong with an answer, what the user can do, and whether asking again may mend it."""

    reason: str
    advice: str = ""
    mendable: bool = True


class Judge:
    """Judges the answers of a run. `window_tokens` is what prompt and answer may have together,
    `longest_tokens` how long an answer is worth waiting for.
    """

    def __init__(self, window_tokens: int | None = None, longest_tokens: int | None = None) -> None:
        self._window_tokens = window_tokens
        self._longest_tokens = longest_tokens
        self._checker: tuple[Mapping[str, object], Checker] | None = None

    def settle(self, answered: Answered, trail: Sequence[Result] = ()) -> Result:
        """Make a result of an answer. `trail` are the earlier ones to the same."""
        try:
            return self._settle(answered, trail)
        except Exception as error:  # others wait to be written with it, and are paid for
            problem = f"the answer can't be read (unexpected {type(error).__name__}: {error})"
            return _result(replace(answered, answer=RejectedError(problem)), "failed", problem)

    def _settle(self, answered: Answered, trail: Sequence[Result]) -> Result:
        request, answer = answered.request, answered.answer
        before = [earlier.error for earlier in trail if earlier.status == "again"]
        after = f"asked again because {before[0]}" if before else None
        if not isinstance(answer, Response):
            return _result(answered, "failed", f"{answer} ({after})" if after else str(answer))
        read = self._read(request, answer)
        if isinstance(read, Flaw):
            begun = _result(answered, "again", read.reason, answer.content)
            return self._flawed(begun, read, trail)
        if request.votes > 1:
            return _voted(_result(answered, "failed", None, answer.content), trail, read.content)
        sure = _confidence(request, answer, read.values) if answer.tokens else None
        return _result(answered, "ok", after, read.content, sure)

    def _flawed(self, result: Result, flaw: Flaw, trail: Sequence[Result]) -> Result:
        """Take an answer of no use; it stays to be asked again for if that may help."""
        twice = " (asked twice)" if trail and trail[-1].status == "again" else ""
        if flaw.mendable and not twice and self.again([*trail, result]) is not None:
            return result
        error = f"{flaw.reason}{twice}{flaw.advice}"
        failed = replace(result, status="failed", error=error)
        return _voted(failed, trail, None) if result.request.votes > 1 else failed

    def _read(self, request: Request, response: Response) -> Fitted | Flaw:
        """Read an answer, or find out what is wrong with it."""
        if response.refusal:
            return Flaw(f"the model refused: {response.refusal}", mendable=False)
        end, reason = end_of(response.finish_reason), response.finish_reason
        if end is End.FILTERED:
            return Flaw(_filtered(reason), mendable=False)
        if response.advice is not None:
            return Flaw(str(response.problem), response.advice, mendable=False)
        if end is End.CUT:
            return _cut_off(request, response)
        if end is End.FULL:
            return Flaw(
                f"the answer was cut off where the model's context is full ({reason})",
                _PARTS,
                mendable=False,
            )
        if end is End.BROKEN or response.problem:
            return Flaw(_broken(response))
        content = response.content or ""
        if not content.strip():
            return Flaw(f"the answer is empty (finish_reason {reason})")
        if not request.schema:
            return Fitted(content, {})
        try:
            return self._checker_of(request.schema).fit(content, response.values)
        except RejectedError as error:
            return Flaw(str(error))

    def _checker_of(self, schema: Mapping[str, object]) -> Checker:
        if self._checker is None or schema is not self._checker[0]:  # one object for all requests
            self._checker = schema, Checker(schema)
        return self._checker[1]

    def again(self, trail: Sequence[Result]) -> Request | None:
        """Make the request that follows on these answers: one that mends the last, or the next of
        several. None where none would.

        It has the key of the first: the journal adds them up.
        """
        request, last = trail[0].request, trail[-1]
        if last.status == "vote":
            return _next(request, len(trail))
        end = end_of(last.finish_reason)
        if end is End.CUT or _empty(last.content):
            return self._larger(request, last)
        if end is not End.WHOLE:
            return request
        said = (last.content or "")[:MOST_QUOTED]
        told = f"That can't be used: {last.error}. Please answer again and fix this."
        messages = (*request.messages, Message("assistant", said), Message("user", told))
        return replace(request, messages=messages)

    def _larger(self, request: Request, last: Result) -> Request | None:
        """Ask the same with a larger allowance, as far as the model's window goes."""
        spent = last.usage.completion_tokens if last.usage is not None else 0
        allowed = request.max_tokens or spent  # with no limit of ours the server has one
        if end_of(last.finish_reason) is not End.CUT and request.max_tokens is None:
            return request
        most = allowed * LARGER
        if self._window_tokens is not None and last.usage is not None:
            most = min(most, self._window_tokens - last.usage.prompt_tokens)
        if self._longest_tokens is not None:
            most = min(most, self._longest_tokens)
        worth = allowed and most >= allowed * LEAST_LARGER
        return replace(request, max_tokens=most) if worth else None


def _result(
    answered: Answered,
    status: Status,
    error: str | None,
    content: str | None = None,
    confidence: float | None = None,
) -> Result:
    said = answered.answer if isinstance(answered.answer, Response) else None
    return Result(
        request=answered.request,
        status=status,
        error=error,
        content=content,
        model=said.model if said else None,
        finish_reason=said.finish_reason if said else None,
        usage=answered.usage,
        cost_usd=answered.cost_usd,
        attempts=answered.attempts,
        latency_seconds=answered.latency_seconds,
        confidence=confidence,
    )


def _voted(result: Result, trail: Sequence[Result], content: str | None) -> Result:
    """Take one of several answers, None where it is none; the last brings the majority.

    An answer that is none agrees with no other: the confidence is the share of all.
    """
    earlier = [vote.content for vote in trail if vote.status == "vote"]
    votes, wanted = [*earlier, content], result.request.votes
    if len(votes) < wanted:
        error = f"{len(votes)} of {wanted} answers so far"
        return replace(result, status="vote", error=error, content=content)
    good = [vote for vote in votes if vote is not None]
    if not good:
        return result
    chosen, share = majority(good, result.request.choice, asked=wanted)
    bad = wanted - len(good)
    return replace(
        result,
        status="ok",
        error=f"{bad} of {wanted} answers could not be used" if bad else None,
        content=chosen,
        confidence=share,
    )


def _next(request: Request, number: int) -> Request:
    """Ask the same again; a seed that stayed the same would bring the same answer."""
    seed = request.parameters.get("seed")
    if not isinstance(seed, int):
        return request
    return replace(request, parameters={**request.parameters, "seed": seed + number})


def _confidence(request: Request, response: Response, values: Mapping[str, object]) -> float | None:
    """Return how sure the choice in an answer is, by its log-probabilities."""
    found = choice(request.schema or {}, request.choice)
    if found is None:
        return None
    name, choices = found
    chosen = values.get(name)
    if not isinstance(chosen, str) or chosen not in choices:
        return None
    return of_tokens(response.tokens, name, choices, chosen)


def _empty(content: str | None) -> bool:
    return not (content or "").strip()


def _filtered(reason: str | None) -> str:
    if reason == "content_filter":
        return "the provider's content filter stopped the answer"
    return f"the provider's content filter stopped the answer ({reason})"


def _broken(response: Response) -> str:
    """Say why an answer broke off, as far as the server says."""
    if end_of(response.finish_reason) is End.WHOLE:
        return str(response.problem)
    why = f": {response.problem}" if response.problem else ""
    return f"the answer broke off (finish_reason {response.finish_reason}){why}"


def _cut_off(request: Request, response: Response) -> Flaw:
    """Say what used the allowance up."""
    spent = response.usage.completion_tokens if response.usage is not None else None
    allowed = request.max_tokens or spent
    advice = "; raise --max-tokens" if request.max_tokens else "; --max-tokens may allow more"
    allowance = "what the server allows" if allowed is None else f"{allowed:,} tokens"
    if not _empty(response.content):
        return Flaw(f"the answer was cut off at {allowance}", advice)
    reasoned = response.usage is not None and response.usage.reasoning_tokens > 0
    if reasoned or response.problem:
        return Flaw(f"reasoning used up the whole allowance of {allowance}", advice)
    return Flaw(f"the answer is empty, its allowance of {allowance} used up", advice)
