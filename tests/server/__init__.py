"""An OpenAI-compatible server on loopback that misbehaves to order, for tests and benchmarks.

It speaks `POST /v1/chat/completions` and `GET /v1/models` and keeps the bill as a provider would.
It doesn't stream, take files or batches, speak TLS or understand a word.

| file | what it does |
|---|---|
| `behaviour.py` | what can be set: `Behaviour`, `Limits`, `Latency`, `Fault` |
| `answers.py` | what is answered and what it costs |
| `buckets.py` | the limits: token buckets and their headers |
| `faults.py` | what each fault is, and when it strikes |
| `tally.py` | what was received and billed |
| `provider.py` | takes a request's bytes, decides on the reply |
| `protocol.py`, `site.py` | HTTP/1.1 on a connection; sockets, outages, control |
| `handle.py`, `__main__.py` | `Server` in a thread, `Server.process` in a process |
"""

from .answers import answer_to, last_message
from .behaviour import BAD_REPLIES, Behaviour, Body, Fault, Kind, Latency, Limits, mixture
from .buckets import ManualClock, RateLimit, duration
from .handle import Handle, Server, ServerProcess
from .tally import Bill, Record, Tally, digest

__all__ = [
    "BAD_REPLIES",
    "Behaviour",
    "Bill",
    "Body",
    "Fault",
    "Handle",
    "Kind",
    "Latency",
    "Limits",
    "ManualClock",
    "RateLimit",
    "Record",
    "Server",
    "ServerProcess",
    "Tally",
    "answer_to",
    "digest",
    "duration",
    "last_message",
    "mixture",
]
