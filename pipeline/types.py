"""What flows: Document -> Request -> Response -> Result -> row. Each holds the one before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

Kind = Literal["text", "integer", "number", "decimal", "boolean", "json", "any"]
Role = Literal["system", "developer", "user", "assistant"]
Status = Literal["ok", "failed", "skipped", "again", "vote"]


class Detail(StrEnum):
    """How closely a model looks at an image, in the API's words."""

    AUTO = "auto"
    LOW = "low"
    HIGH = "high"
    ORIGINAL = "original"


class Undecodable(StrEnum):
    """What becomes of bytes of a text table that aren't of its encoding."""

    STRICT = "strict"
    REPLACE = "replace"


class Hidden(StrEnum):
    """What becomes of the hidden rows and columns of a workbook."""

    KEEP = "keep"
    SKIP = "skip"


class Long(StrEnum):
    """What becomes of a text that is too long to be asked about at once."""

    SPLIT = "split"
    HEAD = "head"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its name and what its cells hold.

    `arrow` is the pyarrow field of a column that came from Parquet, and `categories` its values in
    their order if it is made of such, so that it leaves as it came. `guarded`: its texts come from
    others, and a CSV file must not hold them as formulas. `number_format` is how a workbook shows
    its numbers and dates: a code, or the number of a format that each workbook knows.
    """

    name: str
    kind: Kind = "any"
    arrow: Any = None
    categories: tuple[object, ...] = ()
    guarded: bool = False
    number_format: str | int | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Image:
    """A picture for a model to look at: where it is, never its bytes.

    `source` is the path of a file, or an address, whose picture has no size that is known (0 x 0).
    `width` and `height` are in pixels, `page` counts from 0 in a file of several, `digest` is the
    sha256 of the file or of the address.
    """

    source: str
    digest: bytes
    width: int = 0
    height: int = 0
    page: int | None = None
    detail: Detail = Detail.AUTO


@dataclass(frozen=True, slots=True)
class Document:
    """One input: a row of a table or a file of a folder.

    `fields` are the input's own columns, as they were read, in their order. `error` says why the
    document can't be used; it then has neither text nor images. Of a part of a long document
    `chunk` is the number, from 1, of all `chunks`. `metadata` is what it says of itself: variables
    of a prompt that are no columns. `remark` says what of it has no text.
    """

    position: int
    name: str
    fields: Mapping[str, object]
    text: str = ""
    error: str | None = None
    chunk: int = 1
    chunks: int = 1
    images: tuple[Image, ...] = ()
    metadata: Mapping[str, object] = field(default_factory=dict)
    remark: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a conversation: a text, or texts and images in their order."""

    role: Role
    content: str | tuple[str | Image, ...]

    @property
    def text(self) -> str:
        """Give what it says in words."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part for part in self.content if isinstance(part, str))

    @property
    def images(self) -> tuple[Image, ...]:
        """Give what it shows."""
        if isinstance(self.content, str):
            return ()
        return tuple(part for part in self.content if isinstance(part, Image))


@dataclass(frozen=True, slots=True)
class Prefix:
    """What the requests of a prompt begin with, whatever the document: messages, of which the last
    may go on. `key` stands for them and for the schema.
    """

    messages: tuple[Message, ...]
    key: str


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of the server about one document, in one turn of the conversation.

    `key` is the sha256 of all that decides the answer; the journal knows the answer by it.
    `parameters` are the API's own (`temperature`, `seed`, ...), but for the answer's bound: servers
    differ in the name of `max_tokens`. `schema` is what the answer must fit, and `schema_name` what
    an API may call it. With `votes` it is asked so often, and the answer is what
    came most often. `choice` names the property whose confidence counts, where that is said.
    `prefix` is what it shares with others, if they share any.
    """

    document: Document
    turn: int
    key: bytes
    model: str
    messages: tuple[Message, ...]
    parameters: Mapping[str, object]
    max_tokens: int | None
    schema: Mapping[str, object] | None = None
    schema_name: str = ""
    votes: int = 1
    choice: str | None = None
    prefix: Prefix | None = None

    @property
    def images(self) -> list[Image]:
        """Return its images, in their order."""
        return [image for message in self.messages for image in message.images]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the server counted them.

    `prompt_tokens` include the cached ones, `completion_tokens` the reasoning ones.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )


@dataclass(frozen=True, slots=True)
class Level:
    """What a reply says of one limit. `reset_seconds`, until it is whole again, may be unsaid."""

    limit: float
    remaining: float
    reset_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Levels:
    """What a reply's headers say of the server's limits; None for what they don't."""

    requests: Level | None = None
    tokens: Level | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """A token of an answer, and those that could have stood in its place, as log-probabilities.

    Texts are in UTF-8: a token may be a part of a character.
    """

    text: bytes
    logprob: float
    others: Mapping[bytes, float]


@dataclass(frozen=True, slots=True)
class Response:
    """A server's answer. `usage` and `levels` are None where the server did not say, `tokens` empty
    where it gave no log-probabilities. `values` are what a structured answer says, if it has been
    read on the way. `problem` is what went wrong on the way to this answer, as
    far as anybody says so, and `advice` what the user can do if asking again would not mend it.
    """

    content: str | None
    finish_reason: str | None
    model: str
    usage: Usage | None
    refusal: str | None = None
    problem: str | None = None
    advice: str | None = None
    service_tier: str | None = None
    levels: Levels | None = None
    tokens: tuple[Token, ...] = ()
    values: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """How a request ended and what it took, as the journal keeps it under the request's key.

    `status` is `again` for an answer of no use that is to be asked for a second time; a row is
    never more than `failed` by it; a `vote` is a good answer of several. `confidence` is 0 to 1.
    `error` of an `ok` one says why it was asked a second time. `usage` is None if the server
    didn't say, `cost_usd` also if the price isn't known. `latency_seconds` is the time of its
    attempts, without the waits between them. `entry` numbers its first entry in the journal; rows
    that share an answer share it.
    """

    status: Status
    error: str | None = None
    content: str | None = None
    model: str | None = None
    finish_reason: str | None = None
    usage: Usage | None = None
    cost_usd: Decimal | None = None
    attempts: int = 0
    latency_seconds: float = 0.0
    confidence: float | None = None
    entry: int = 0


@dataclass(frozen=True, slots=True)
class Result(Record):
    """A request and how it ended."""

    request: Request = field(kw_only=True)
