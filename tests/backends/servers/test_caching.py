"""Which requests mark what they share: one that writes, then all that read."""

from __future__ import annotations

import pytest

from pipeline.backends.servers.caching import Caching, is_explicit
from pipeline.types import Usage

WRITE = Usage(2000, 1, 0, 1500)
READ = Usage(2000, 1, 1500, 0)


def ask(caching: Caching, usage: Usage | None, key: str = "k") -> bool:
    """Send a request by itself, and say whether it was marked."""
    with caching.marking(key) as mark:
        mark.usage = usage
    return mark.on


def test_nobody_else_writes_while_one_does() -> None:
    caching = Caching()
    with caching.marking("k") as first:
        assert first.on
        assert not ask(caching, READ)
        assert ask(caching, WRITE, "another")
        first.usage = WRITE
    assert ask(caching, READ)


def test_many_may_read_at_once() -> None:
    caching = Caching()
    ask(caching, WRITE)
    with caching.marking("k") as first, caching.marking("k") as second:
        assert first.on and second.on


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_a_failure_another_writes(error: type[BaseException]) -> None:
    caching = Caching()
    with pytest.raises(error), caching.marking("k"):
        raise error
    assert ask(caching, None)  # a reply that doesn't tell what it counted
    with caching.marking("k") as mark:
        assert mark.on
        assert not ask(caching, READ)


def test_a_server_that_loses_what_it_is_given_is_given_no_more() -> None:
    caching = Caching()
    assert [ask(caching, WRITE) for _ in range(12)] == [True] * 9 + [False] * 3


def test_some_losses_are_worth_the_reads() -> None:
    caching = Caching()
    assert all(ask(caching, WRITE if turn % 3 else READ) for turn in range(300))


@pytest.mark.parametrize(
    ("words", "own"),
    [
        ("Unknown parameter: 'messages[0].content[0].prompt_cache_breakpoint'.", True),
        ("messages.0.content: Input should be a valid string", True),
        ("temperature is not supported", False),
    ],
)
def test_a_refusal_of_the_mark_is_told_from_others(words: str, own: bool) -> None:
    caching = Caching()
    assert caching.refused(words) == own
    assert ask(caching, WRITE) != own


@pytest.mark.parametrize(
    ("options", "explicit"),
    [({"mode": "explicit"}, True), ({"mode": "implicit"}, False), ("explicit", False), ({}, False)],
)
def test_only_what_is_marked_is_kept_if_it_is_said(options: object, explicit: bool) -> None:
    assert is_explicit({"prompt_cache_options": options}) == explicit
    assert not is_explicit({})
