"""Hosts as they are written, the loopback's own names, and the list of those that are served."""

from __future__ import annotations

import pytest

from tina4_wsgi.addresses import hosts
from tina4_wsgi.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "name", "port"),
    [
        ("Shop.Example", "shop.example", None),
        ("shop.example:8443", "shop.example", 8443),
        ("127.0.0.1:80", "127.0.0.1", 80),
        ("[::1]", "[::1]", None),
        ("[0:0::0:1]:7148", "[::1]", 7148),
        ("my_host", "my_host", None),
    ],
)
def test_a_host_is_read_with_its_port(text, name, port):
    assert hosts.parse(text) == (name, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a b",
        "a/b",
        "a@b",
        "a,b",
        "a:",
        "a:b",
        "a:65536",
        "a:1:2",
        "::1",
        "[::1",
        "[::1]x",
        "[127.0.0.1]",
        "[a]",
        "ä.example",
        "a\r\nb",
        "a\n",
        "a\0",
        "*",
        "http://a",
        "a" * 300,
    ],
)
def test_what_is_no_host_is_read_as_none(text):
    assert hosts.parse(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("localhost", True),
        ("LOCALHOST:7148", True),
        ("localhost.", True),
        ("app.localhost", True),
        ("127.0.0.1", True),
        ("127.255.0.9:80", True),
        ("[::1]:80", True),
        ("[::ffff:127.0.0.1]", True),
        ("localhost.evil.test", False),
        ("127.0.0.1.evil.test", False),
        ("notlocalhost", False),
        ("10.0.0.1", False),
        ("0.0.0.0", False),
        ("[::2]", False),
    ],
)
def test_the_loopback_has_names_of_its_own(text, expected):
    host = hosts.parse(text)

    assert host is not None
    assert hosts.is_loopback(host) is expected


@pytest.mark.parametrize(
    ("listed", "text", "expected"),
    [
        ("shop.example", "shop.example", True),
        ("shop.example", "SHOP.example:8443", True),  # without a port, any
        ("shop.example", "shop.example.", True),
        ("shop.example", "www.shop.example", False),
        ("shop.example:8443", "shop.example:8443", True),
        ("shop.example:8443", "shop.example", False),
        ("*.shop.example", "www.shop.example", True),
        ("*.shop.example", "a.b.shop.example:81", True),
        ("*.shop.example", "shop.example", False),
        ("*.shop.example", "evilshop.example", False),
        ("*.shop.example", "www.shop.example.evil.test", False),
        ("*.shop.example:81", "www.shop.example:82", False),
        ("[::1]", "[0::1]:7148", True),
        ("10.0.0.1", "10.0.0.1:80", True),
        ("*", "anything", True),
    ],
)
def test_a_list_says_which_hosts_are_served(listed, text, expected):
    host = hosts.parse(text)

    assert host is not None
    assert hosts.is_listed(host, ("other.example", listed)) is expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("https://shop.example", "has a scheme"),
        ("shop.example/path", "has a path"),
        ("user@shop.example", "has a user in it"),
        (".shop.example", r'expected "\*\.shop\.example" for its subdomains'),
        ("a*.example", "has a star that is no label of its own"),
        ("*.*.example", "has a star that is no label of its own"),
        ("shop.example:0", "has a port that is none"),
        ("shop.example:x", "has a port that is none"),
        ("shop.example:99999", "has a port that is none"),
        ("bücher.example", "write 'xn--bcher-kva.example'"),
        ("*.1.2.3", "ends in a number"),
        ("127.1", "ends in a number"),
        ("*.[::1]", "has a star"),
        ("a..b", "is no host"),
        ("-a.example", "is no host"),
        ("a b", "is no host"),
        ("", "is no host"),
    ],
)
def test_an_entry_that_no_request_can_match_is_refused(text, message):
    with pytest.raises(ConfigError, match=f"^allowed_hosts: .*{message}"):
        hosts.check_list("allowed_hosts", (text,))
