"""The key and the address of a server: as an argument, from the environment or a `.env` file.

Nothing is put into the environment. What else a `.env` file holds stays in it: people work in
folders that they have downloaded.
"""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.errors import DocumentError, UsageError
from pipeline.showing import shown
from pipeline.sources.decoding import decode
from pipeline.vendors import Vendor, vendor_of

KEY, ADDRESS = "OPENAI_API_KEY", "OPENAI_BASE_URL"
_ACCOUNT = ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID")  # the SDK sends these as they are
_HEADERS = "OPENAI_CUSTOM_HEADERS"  # and these, one a line
_MOST_BYTES = 1 << 16
# What comes along when a key or an address is copied from a page, a shell or a header.
_WRAPPING = " \t\r\n\"'`\u00a0\u200b\u2060\ufeff\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb"


# The address of one kind of request, which follows the server's.
_PATH = re.compile(r"/(?:chat/completions|completions|responses)/*(?=\?|\Z)", re.I)


class Auth(StrEnum):
    """How a server knows the user: by a key, or by Entra ID."""

    KEY = "key"
    ENTRA = "entra"


@dataclass(frozen=True, slots=True)
class Access:
    """The key and the address to ask with; None stands for none and for the default server.

    `notices` are what the user should know of where they came from. `warning` is what even a quiet
    run should say: a file of the folder decides where the documents go. To such a server nothing of
    the user's `account` goes along: organization, project and headers of the environment.
    """

    api_key: str | None = field(default=None, repr=False)
    base_url: str | None = None
    notices: tuple[str, ...] = ()
    warning: str | None = None
    account: bool = True
    auth: Auth = Auth.KEY


def find_access(
    *,
    api_key: str | None = None,
    base_url: str | None = None,
    auth: Auth = Auth.KEY,
    environ: Mapping[str, str] = os.environ,
    folder: Path = Path(),
) -> Access:
    """Return the key and the address: these, or the environment's, or those of `.env` in `folder`.

    An address in `.env` is used only together with a key in it. With Entra ID there is no key, and
    the file isn't read. Raises UsageError for a key or an address that can't be one, and if the
    file is needed and can't be read.
    """
    for name in _ACCOUNT:
        _check_header(name, environ.get(name, ""))
    for line in environ.get(_HEADERS, "").split("\n"):
        _check_header(_HEADERS, line)
    key = _first(api_key, environ.get(KEY))
    address = _first(base_url, environ.get(ADDRESS))
    url = None if address is None else check_address(address, "--base-url")
    if auth is Auth.ENTRA:
        if url is None or vendor_of(url) is Vendor.OPENAI:
            raise UsageError(
                "--auth entra signs in to Azure: give the address of your resource, such as "
                "--base-url https://NAME.openai.azure.com"
            )
        return Access(base_url=url, auth=auth)
    file = (folder / ".env").absolute()
    if key is None:
        return _from_file(file, url)
    ignored = False
    with suppress(UsageError):  # the file isn't needed
        ignored = url is None and ADDRESS in _read(file)
    notice = f"ignoring {ADDRESS} in {file}: the key is not from that file (use --base-url)"
    return Access(check_key(key, KEY), url, (notice,) if ignored else ())


def _from_file(file: Path, url: str | None) -> Access:
    values = _read(file)
    key, address = values.get(KEY), values.get(ADDRESS)
    if key is None:
        if address is not None and url is None:
            raise UsageError(
                f"{file} has {ADDRESS} but no {KEY}, and is used for both or neither: "
                f"add the key there, or use --base-url"
            )
        return Access(base_url=url)
    checked = check_key(key, f"{KEY} in {file}")
    if url is not None or address is None:
        return Access(checked, url, (f"using the key in {file}",))
    server = check_address(address, f"{ADDRESS} in {file}:")
    warning = f"using the key and the server {shown(server)} in {file}"
    return Access(checked, server, warning=warning, account=False)


def _read(file: Path) -> dict[str, str]:
    """Return the key and the address that a file has; most folders have no such file."""
    try:
        status = file.stat()
        if stat.S_ISDIR(status.st_mode):  # a virtual environment may be called so, too
            return {}
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"{file} is not a regular file: replace it or set {KEY}")
        with file.open("rb") as opened:
            data = opened.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(f"can't read {file}: {error.strerror}") from error
    if len(data) > _MOST_BYTES:
        raise UsageError(f"{file} is too large for a file of settings: shorten it or set {KEY}")
    try:
        text = decode(data)
    except DocumentError as error:
        raise UsageError(f"can't read {file}: {error}; set {KEY} instead") from error
    from dotenv import dotenv_values

    values = dotenv_values(stream=io.StringIO(text), interpolate=False)
    found = {name: _first(values.get(name)) for name in (KEY, ADDRESS)}
    return {name: value for name, value in found.items() if value is not None}


def check_key(text: str, origin: str) -> str:
    """Return a key without what was copied along; raise UsageError without it if it is none."""
    key = re.sub(r"\Abearer\s+", "", text.strip(_WRAPPING), flags=re.IGNORECASE).strip(_WRAPPING)
    if "…" in key or "..." in key:
        problem = "is shortened: it has an ellipsis in it"
    elif any(character.isspace() for character in key):
        problem = "has a space or a line break in it"
    elif not (key.isascii() and key.isprintable()):
        problem = "has a character in it that no key has"
    else:
        return key
    raise UsageError(f"{origin} {problem}; copy the whole key again")


def check_address(text: str, origin: str) -> str:
    """Return an address without what was copied along; raise UsageError if it's none."""
    url = _PATH.sub("", text.strip(_WRAPPING))
    if not url.lower().startswith(("http://", "https://")):
        raise UsageError(f"{origin} {url}: begin it with http:// or https://")
    try:
        parts = urlsplit(url)
        whole = bool(parts.hostname) and parts.port != 0 and url.isprintable() and " " not in url
    except ValueError:
        whole = False
    if not whole:
        raise UsageError(f"{origin} {url}: not an address; check its host and port")
    return url


def _check_header(name: str, text: str) -> None:
    if not (text.isascii() and text.isprintable()):
        raise UsageError(f"{name} has a character in it that can't be sent; copy it again")


def _first(*texts: str | None) -> str | None:
    """Return the first text that isn't blank."""
    return next((text for text in texts if text and text.strip(_WRAPPING)), None)
