"""The other end of `Child`: what runs in the process. Not imported by the program."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from queue import SimpleQueue
from typing import BinaryIO

from pipeline.errors import DocumentError
from pipeline.processes.child import TOO_MUCH

_TIRED_BYTES = 500_000_000  # a process that holds as much after a call is replaced
_SIZE, _RESIDENT = 0, 1  # fields of statm
_SPARE_SECONDS = 5.0  # of CPU, over what each core could have spent in the time of a call


def main(timeout_seconds: str) -> None:
    """Answer calls from standard input until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    replies = _quiet()
    _first_to_go()
    calls: SimpleQueue[tuple[object, ...]] = SimpleQueue()
    # Reading in a thread tells at once, in the middle of a call too, that the parent is gone.
    threading.Thread(target=_listen, args=(calls,), daemon=True).start()
    while True:
        kind, memory_bytes, function, args, kwargs = calls.get()
        _bound_memory(int(memory_bytes))  # type: ignore[call-overload]
        _bound_time(float(timeout_seconds))
        with suppress(BrokenPipeError):
            for reply in _answer(kind, function, args, kwargs):  # type: ignore[arg-type]
                pickle.dump(reply, replies)
                replies.flush()
                _bound_time(float(timeout_seconds))


def _listen(calls: SimpleQueue[tuple[object, ...]]) -> None:
    with suppress(EOFError, OSError, pickle.UnpicklingError):
        while True:
            calls.put(pickle.load(sys.stdin.buffer))
    with suppress(OSError):
        os.rmdir(os.getcwd())  # nobody else may be left to do so
    os._exit(0)  # xberg's threads crash an interpreter that ends in order


def _answer(
    kind: object,
    function: Callable[..., object],
    args: tuple[object, ...],
    kwargs: Mapping[str, object],
) -> Iterator[tuple[str, object, bool]]:
    try:
        value = function(*args, **kwargs)
        if kind == "items":
            for item in value:  # type: ignore[attr-defined]
                yield "item", item, False
            yield "end", None, _is_tired()
        else:
            yield "value", value, _is_tired()
    except MemoryError:
        yield "raised", DocumentError(f"reading it {TOO_MUCH}"), True
    except Exception as error:
        yield "raised", _portable(error), _is_tired()
    except BaseException as error:  # a panic in Rust is one
        text = " ".join(str(error).split())[:200]
        yield "raised", DocumentError(f"reading it crashed ({text}): it may be damaged"), True


def _portable(error: Exception) -> Exception:
    """Return an error that can be pickled and made again: a foreign one only by its words."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # its class takes other arguments than it has kept
        return DocumentError(" ".join(f"{type(error).__name__}: {error}".split())[:500])
    return error


def _quiet() -> BinaryIO:
    """Keep standard output for replies, and send what libraries print nowhere."""
    replies = os.fdopen(os.dup(1), "wb")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    return replies


def _first_to_go() -> None:
    """Ask Linux to end this process, not its parent, where memory runs out."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as score:
        score.write("1000")


def _bound_memory(memory_bytes: int) -> None:
    """Bound what the process may take from here on; what asks for more dies, or gets an error."""
    if sys.platform != "linux":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _lower(resource.RLIMIT_AS, _bytes(_SIZE) + memory_bytes)


def _bound_time(timeout_seconds: float) -> None:
    """Bound the CPU time until the next item. The parent keeps the time; this is for when that is
    gone.
    """
    if sys.platform != "linux":
        return
    import resource

    spent = resource.getrusage(resource.RUSAGE_SELF)
    cores = os.cpu_count() or 1
    seconds = spent.ru_utime + spent.ru_stime + cores * timeout_seconds + _SPARE_SECONDS
    _lower(resource.RLIMIT_CPU, int(seconds))


def _lower(what: int, limit: int) -> None:
    """Set a limit, but never above what the user's shell has set."""
    import resource

    soft, hard = _limits.setdefault(what, resource.getrlimit(what))
    bounds = [bound for bound in (soft, hard) if bound != resource.RLIM_INFINITY]
    with suppress(ValueError, OSError):
        resource.setrlimit(what, (min([limit, *bounds]), hard))


_limits: dict[int, tuple[int, int]] = {}  # as they were at the start


def _is_tired() -> bool:
    return _bytes(_RESIDENT) > _TIRED_BYTES


def _bytes(kind: int) -> int:
    """Return what this process has of a kind of memory: proc(5), statm."""
    with suppress(OSError, ValueError), open("/proc/self/statm", "rb", buffering=0) as memory:
        return int(memory.read().split()[kind]) * os.sysconf("SC_PAGE_SIZE")
    return 0
