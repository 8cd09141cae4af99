"""The proxy that the environment names for an address, in the forms that curl and others take."""

from __future__ import annotations

import os
import re
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

from pipeline.errors import AccessError

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy and where it is named, for messages."""

    url: str
    name: str


def find_proxy(url: str, environ: Mapping[str, str] = os.environ) -> Proxy | None:
    """Return the proxy for an address; None if it is reached without. Raise AccessError for a proxy
    that can't be used.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
    if _bypassed(host, port, environ) or (
        environ is os.environ and urllib.request.proxy_bypass(host)
    ):
        return None
    for name in (f"{parts.scheme}_proxy", "all_proxy"):
        for spelled in (name, name.upper()):
            if address := environ.get(spelled, "").strip():
                return Proxy(_checked(address, spelled), spelled)
    system = urllib.request.getproxies() if environ is os.environ else {}
    address = system.get(parts.scheme, "")
    return (
        Proxy(_checked(address, "the system's settings"), "the system's proxy") if address else None
    )


def _checked(address: str, name: str) -> str:
    """Return a proxy's address with its scheme, which may be left out."""
    scheme, separator, _ = address.partition("://")
    url = address if separator else f"http://{address}"  # its login is hidden in messages
    if separator and scheme.lower() not in ("http", "https"):
        kind = "a SOCKS proxy" if scheme.lower().startswith("socks") else f"a {scheme} proxy"
        raise AccessError(
            f"{name} names {kind} ({address}), which isn't supported: "
            "name an HTTP proxy, or unset it"
        )
    try:
        parts = urlsplit(url)
        good = bool(parts.hostname) and parts.port != 0 and not re.search(r"\s", url)
    except ValueError:
        good = False
    if not good:
        raise AccessError(f"{name} is no address of a proxy ({url}): write http://HOST:PORT")
    return url


def _bypassed(host: str, port: int, environ: Mapping[str, str]) -> bool:
    """Return True if `no_proxy` has a host: its name, domain or network, with a port or not."""
    listed = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    return any(_covers(entry.lower(), host.lower(), port) for entry in re.split(r"[,\s]+", listed))


def _covers(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    bare = entry.rpartition("://")[2].rstrip("/") if "://" in entry else entry
    name, wanted = bare, ""
    if match := re.fullmatch(r"\[([^\]]+)\](?::(\d+))?|([^:]+):(\d+)", bare):
        name, wanted = (match[1] or match[3]), (match[2] or match[4] or "")
    if wanted and int(wanted) != port:
        return False
    name = name.removeprefix("*").strip(".")
    if not name:
        return False
    try:
        return ip_address(host) in ip_network(name, strict=False)
    except ValueError:
        return host.rstrip(".") == name or host.rstrip(".").endswith(f".{name}")
