"""Proxies as the environment names them."""

from __future__ import annotations

import pytest

from pipeline.backends.servers.proxies import find_proxy
from pipeline.errors import AccessError

HOST = "http://api.example.test:8080/v1"


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({"http_proxy": "http://proxy:3128"}, "http://proxy:3128"),
        ({"http_proxy": "proxy:3128"}, "http://proxy:3128"),
        ({"http_proxy": "127.0.0.1:9"}, "http://127.0.0.1:9"),
        ({"http_proxy": "me:secret@proxy:3128"}, "http://me:secret@proxy:3128"),
        ({"HTTP_PROXY": " proxy:1 "}, "http://proxy:1"),
        ({"all_proxy": "proxy:1"}, "http://proxy:1"),
        ({"ALL_PROXY": "proxy:1", "http_proxy": "proxy:2"}, "http://proxy:2"),
        ({"https_proxy": "proxy:1"}, None),
        ({"http_proxy": ""}, None),
        ({}, None),
    ],
)
def test_a_proxy_is_found_in_any_form(environ: dict[str, str], url: str | None) -> None:
    proxy = find_proxy(HOST, environ)
    assert (proxy and proxy.url) == url


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy"])
@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("socks5://127.0.0.1:9", "names a SOCKS proxy (socks5://127.0.0.1:9)"),
        ("socks4a://127.0.0.1:9", "names a SOCKS proxy"),
        ("SOCKS5h://127.0.0.1:9", "names a SOCKS proxy"),
        ("ftp://127.0.0.1:9", "names a ftp proxy"),
        ("http://proxy:port", "is no address of a proxy"),
        ("http://:3128", "is no address of a proxy"),
        ("proxy:99999", "is no address of a proxy"),
        ("http://a b:1", "is no address of a proxy"),
        ("http://[::1", "is no address of a proxy"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_named(name: str, address: str, words: str) -> None:
    with pytest.raises(AccessError) as caught:
        find_proxy(HOST, {name: address})
    assert str(caught.value).startswith(f"{name} {words}")


@pytest.mark.parametrize(
    ("url", "listed", "bypassed"),
    [
        (HOST, "*", True),
        (HOST, "api.example.test", True),
        (HOST, "API.Example.Test:8080", True),
        (HOST, "api.example.test:80", False),
        (HOST, "other, .example.test", True),
        (HOST, "*.example.test", True),
        (HOST, "test other", True),
        (HOST, "ample.test", False),
        (HOST, "", False),
        (HOST, ",,", False),
        ("http://127.0.0.1:41/v1", "127.0.0.1:41", True),
        ("http://127.0.0.1:41/v1", "127.0.0.1:42", False),
        ("http://127.0.0.1:41/v1", "127.0.0.0/8", True),
        ("http://10.1.2.3/v1", "10.1.0.0/16,x", True),
        ("http://[::1]:41/v1", "::1", True),
        ("http://[::1]:41/v1", "[::1]:41", True),
        ("http://host/v1", "host:80", True),
        ("http://host/v1", "http://host/", True),
    ],
)
def test_hosts_of_no_proxy_are_reached_without(url: str, listed: str, bypassed: bool) -> None:
    environ = {"http_proxy": "proxy:1", "no_proxy": listed}
    assert (find_proxy(url, environ) is None) == bypassed
    assert (find_proxy(url, {"http_proxy": "proxy:1", "NO_PROXY": listed}) is None) == bypassed


def test_a_login_in_a_bad_proxy_is_not_told() -> None:
    with pytest.raises(AccessError) as caught:
        find_proxy(HOST, {"http_proxy": "me:secretword@pro xy:1"})
    assert "secretword" not in str(caught.value)
