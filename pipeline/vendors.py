"""Which vendor's server an address is, as far as that decides how it is asked and paid.

By its host, and Azure also by its path: companies put gateways of their own before it.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from functools import lru_cache
from urllib.parse import parse_qs, urlsplit, urlunsplit

OPENAI_URL = "https://api.openai.com/v1"

_OPENAI_HOST = "api.openai.com"
_AZURE_HOSTS = re.compile(
    r".*\.(?:openai\.azure|cognitiveservices\.azure|services\.ai\.azure)\.(?:com|us|cn)"
)
_DEPLOYMENT = re.compile(r"/openai/deployments(?:/|\Z)", re.I)


class Vendor(Enum):
    """Whose server it is."""

    OPENAI = auto()
    AZURE = auto()
    OTHER = auto()


@lru_cache(maxsize=64)  # each reply is priced by it
def vendor_of(base_url: str) -> Vendor:
    """Return whose server an address is."""
    host = _host(base_url)
    if host == _OPENAI_HOST or is_regional(base_url):
        return Vendor.OPENAI
    parts = urlsplit(base_url)
    if _AZURE_HOSTS.fullmatch(host) or _DEPLOYMENT.search(parts.path):
        return Vendor.AZURE
    return Vendor.AZURE if "api-version" in parse_qs(parts.query) else Vendor.OTHER


def plain_name(model: str) -> str:
    """Return a model's name without its maker's: `openai/gpt-6-luna` is `gpt-6-luna`."""
    return model.rpartition("/")[2].lower()


def is_regional(base_url: str) -> bool:
    """Return whether it is OpenAI's host of one region, such as `eu.api.openai.com`."""
    return _host(base_url).endswith(f".{_OPENAI_HOST}")


def full_address(base_url: str, model: str) -> str:
    """Return the address to post to: Azure's own, copied without a path, lacks its end."""
    parts = urlsplit(base_url)
    path = parts.path.rstrip("/")
    if not _AZURE_HOSTS.fullmatch(_host(base_url)) or path.lower() not in ("", "/openai"):
        return base_url
    version = parse_qs(parts.query).get("api-version", ["v1"])[0]
    end = "v1" if version in ("v1", "preview") else f"deployments/{model}"
    return urlunsplit(parts._replace(path=f"/openai/{end}"))


def without_version(base_url: str) -> str:
    """Return an address without Azure's `api-version`: another answers no differently."""
    parts = urlsplit(base_url)
    rest = [word for word in parts.query.split("&") if not word.startswith("api-version=")]
    if len(rest) == parts.query.count("&") + 1:
        return base_url
    return urlunsplit(parts._replace(query="&".join(rest)))


def _host(base_url: str) -> str:
    return (urlsplit(base_url).hostname or "").removesuffix(".")
