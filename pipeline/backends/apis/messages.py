"""A conversation in the API's words (https://platform.openai.com/docs/api-reference/chat/create)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.sources.files import images
from pipeline.types import Detail, Image, Message, Prefix, Request

Part = dict[str, object]
Written = str | list[Part]


def names(request: Request) -> list[str]:
    """Return the names of a request's images, which stand for them wherever they aren't sent."""
    return [_name(image) for image in request.images]


def messages(
    request: Request, urls: Sequence[str], prefix: Prefix | None = None
) -> list[dict[str, object]]:
    """Write the messages of a request, with these addresses for its images, and with a mark where a
    `prefix` ends (https://developers.openai.com/api/docs/guides/prompt-caching).
    """
    rest = iter(urls)
    contents = [_content(message, rest) for message in request.messages]
    if prefix is not None:
        place = len(prefix.messages) - 1
        contents[place] = _marked(contents[place], len(prefix.messages[place].text))
    return [
        {"role": message.role, "content": content}
        for message, content in zip(request.messages, contents, strict=True)
    ]


def _marked(content: Written, length: int) -> list[Part]:
    """Mark where so many characters of a content end."""
    first, *others = [_text(content)] if isinstance(content, str) else content
    text = str(first["text"])
    kept = {**_text(text[:length]), "prompt_cache_breakpoint": {"mode": "explicit"}}
    return [kept, *([_text(text[length:])] if text[length:] else []), *others]


def _content(message: Message, urls: Iterator[str]) -> Written:
    if isinstance(message.content, str):
        return message.content
    return [
        _text(part)
        if isinstance(part, str)
        else {"type": "image_url", "image_url": _image_url(part, next(urls))}
        for part in message.content
    ]


def _text(text: str) -> Part:
    return {"type": "text", "text": text}


def _image_url(image: Image, url: str) -> dict[str, str]:
    """Return where an image is and how closely to look at it.

    A file has its size already, so that `auto` may be left to the server. It must not choose for an
    address, of which it could make ten times the tokens.
    """
    if image.detail != Detail.AUTO:
        return {"url": url, "detail": image.detail}
    return {"url": url, "detail": "high"} if images.is_address(image.source) else {"url": url}


def _name(image: Image) -> str:
    if image.page is None or images.is_address(image.source):
        return image.source
    return f"{image.source}#page={image.page + 1}"
