"""Hosts of this machine and its network, however they are spelled."""

from __future__ import annotations

import pytest

from pipeline.hosts import host_of, is_local


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.8.9.1", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
        *("169.254.169.254", "0.0.0.0", "0.1.2.3", "100.64.0.1", "224.0.0.1", "255.255.255.255"),
        *("2130706433", "0x7f000001", "0x7f.1", "127.1", "127.0.1", "0177.0.0.1", "00000177.1"),
        *("2852039166", "0xA9FEA9FE", "169.254.43518", "127.0.0.1.", "0", "0x"),
        *("127.0.0.256", "1.2.3.4.5", "08.1.1.1", "4294967296"),  # no fetcher agrees on these
        *("１２７.0.0.1", "①②⑦.0.0.1", "127。0。0。1", "LOCALHOST", "ⓛocalhost"),
        *("::", "::1", "[::1]", "0:0:0:0:0:0:0:1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1"),
        *("::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "::127.0.0.1", "2002:7f00:1::", "2002:a00:1::"),
        *("64:ff9b::7f00:1", "2001:0:4136:e378::", "ff02::1", "2001:db8::1"),
        *("localhost", "a.localhost", "printer.local", "router", "metadata.google.internal"),
        *("nas.lan", "nas.home.arpa", "localhost.localdomain", "localhost.", ""),
    ],
)
def test_a_host_of_this_machine_or_its_network_is_known(host: str) -> None:
    assert is_local(host)


@pytest.mark.parametrize(
    "host",
    [
        *("8.8.8.8", "172.15.0.1", "172.32.0.1", "192.167.1.1", "134744072", "0x8.8.8.8"),
        *("2606:4700::1111", "::ffff:8.8.8.8", "2002:808:808::", "[2606:4700::1111]"),
        *("example.com", "a.example.com.", "localhost.example.com", "127.0.0.1.example.com"),
        *("bücher.example", "local.example", "internal.example"),
    ],
)
def test_a_host_of_the_open_net_is_known(host: str) -> None:
    assert not is_local(host)


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://Example.COM:8443/a.png?x=http://127.0.0.1/", "example.com"),
        ("http://[::1]:80/a.png", "::1"),
        ("http://LOCALHOST./a.png", "localhost"),
        ("https://example.com#@127.0.0.1/", "example.com"),
        ("https://example.com?@127.0.0.1/", "example.com"),
    ],
)
def test_the_host_of_an_address_is_found(address: str, host: str) -> None:
    assert host_of(address) == host


@pytest.mark.parametrize(
    "address",
    [
        "http://example.com@127.0.0.1/a.png",
        "http://user:password@example.com/a.png",
        "http://@127.0.0.1/a.png",
        "http://127.0.0.1\\@example.com/a.png",
        "http://example.com\\.evil.test/a.png",
        "http://exa\tmple.com/a.png",
        "http://127.0.0.1 .example.com/",
        "http://127%2e0.0.1/",
        "http://[fe80::1%25eth0]/",
        "http:///a.png",
        "http://[::1/a.png",
    ],
)
def test_an_address_that_programs_read_in_two_ways_is_refused(address: str) -> None:
    with pytest.raises(ValueError):  # the words are those of several
        host_of(address)
