"""Which hosts belong to this machine or its network, by what an address says of them.

A name is not looked up here: only who connects can know where it leads.
"""

from __future__ import annotations

import re
import unicodedata
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

_SUFFIXES = (".localhost", ".local", ".internal", ".lan", ".localdomain", ".home.arpa")
_UNICAST = IPv6Network("2000::/3")  # the only part of IPv6 that is routed on the open net
_NUMBER = re.compile(r"0x[0-9a-f]*|\d+")
# Browsers and fetchers differ in what they make of these.
_AMBIGUOUS = re.compile(r"[\x00-\x20\x7f\\]")


def host_of(address: str) -> str:
    """Return the host of an http address; raise ValueError if programs may disagree about it."""
    if _AMBIGUOUS.search(address):
        raise ValueError("it has a space, a control character or a backslash in it")
    parts = urlsplit(address)
    if parts.username is not None or parts.password is not None:
        raise ValueError("it has a user name in it")
    if not parts.hostname or "%" in parts.hostname:
        raise ValueError("its host can't be read")
    return plain_host(parts.hostname)


def plain_host(host: str) -> str:
    """Return a host as it is compared: in lower case, without brackets and final dot."""
    plain = unicodedata.normalize("NFKC", host).replace("\u3002", ".")
    return plain.strip("[]").lower().removesuffix(".")


def is_local(host: str) -> bool:
    """Return whether a host is, by its name or number, of this machine or a network of its own.

    Numbers are read as browsers read them: 2130706433, 0x7f.1 and 0177.0.0.1 are 127.0.0.1.
    """
    host = plain_host(host)
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        if not _NUMBER.fullmatch(host.rpartition(".")[2]):
            return "." not in host or host.endswith(_SUFFIXES)
        number = _number(host)
        return number is None or _is_local(IPv4Address(number))
    return _is_local(address)


def _is_local(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv4Address):
        return not address.is_global or address.is_multicast
    inner = address.ipv4_mapped or address.sixtofour
    if inner is not None:
        return _is_local(inner)
    return address not in _UNICAST or not address.is_global


def _number(host: str) -> int | None:
    """Read an IPv4 address of one to four parts (https://url.spec.whatwg.org/#concept-ipv4-parser);
    None if it is none.
    """
    try:
        *heads, last = [_part(part) for part in host.split(".")]
    except ValueError:
        return None
    if len(heads) > 3 or any(head > 255 for head in heads) or last >= 256 ** (4 - len(heads)):
        return None
    return last + sum(head << 8 * (3 - place) for place, head in enumerate(heads))


def _part(text: str) -> int:
    if text.startswith("0x"):
        return int(text[2:] or "0", 16)
    return int(text, 8) if text.startswith("0") and text.isdigit() and len(text) > 1 else int(text)
