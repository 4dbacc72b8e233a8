"""Who asks: proxies are believed only where they are trusted."""

from __future__ import annotations

import pytest

from tina4_wsgi import forwarded

PROXIES = ("10.0.0.0/8", "2001:db8::/32")


@pytest.mark.parametrize(("peer", "header", "expected"), [
    ("203.0.113.9", "", "203.0.113.9"),
    ("203.0.113.9", "1.1.1.1", "203.0.113.9"),  # not trusted: anybody may write this header
    ("10.0.0.1", "", "10.0.0.1"),
    ("10.0.0.1", "1.1.1.1", "1.1.1.1"),
    ("10.0.0.1", "6.6.6.6, 1.1.1.1", "1.1.1.1"),  # the left one was written by the client
    ("10.0.0.1", "6.6.6.6, 1.1.1.1, 10.0.0.7", "1.1.1.1"),
    ("10.0.0.1", "10.0.0.9, 10.0.0.8", "10.0.0.9"),  # all ours: the outermost
    ("10.0.0.1", "1.1.1.1, unknown", "10.0.0.1"),
    ("10.0.0.1", "1.1.1.1, unknown, 10.0.0.5", "10.0.0.5"),
    ("10.0.0.1", "1.1.1.1:4711", "1.1.1.1"),
    ("10.0.0.1", "1" * 8000, "10.0.0.1"),
    ("10.0.0.1", "[2a00::1]:4711", "2a00::1"),
    ("10.0.0.1", "2a00::1", "2a00::1"),
    ("2001:db8::5", "1.1.1.1", "1.1.1.1"),
    ("::ffff:10.0.0.1", "1.1.1.1", "1.1.1.1"),
    ("", "1.1.1.1", "1.1.1.1"),  # a UNIX socket
    ("", "", ""),
])  # fmt: skip
def test_the_ip_is_the_right_most_that_is_not_a_trusted_proxy(peer, header, expected):
    environ = {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": header}

    assert forwarded.client_ip(environ, PROXIES) == expected


def test_without_trusted_proxies_nothing_is_believed():
    environ = {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "1.1.1.1", "HTTP_X_FORWARDED_PROTO": "https",
               "HTTP_X_FORWARDED_HOST": "example.org", "HTTP_HOST": "own", "wsgi.url_scheme": "http"}  # fmt: skip

    assert forwarded.client_ip(environ, ()) == "127.0.0.1"
    assert forwarded.scheme(environ, ()) == "http"
    assert forwarded.host(environ, ()) == "own"


def test_a_trusted_proxy_is_believed_about_scheme_and_host():
    environ = {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_PROTO": "HTTPS", "HTTP_X_FORWARDED_HOST": "a, example.org",
               "HTTP_HOST": "own", "wsgi.url_scheme": "http"}  # fmt: skip

    assert forwarded.scheme(environ, PROXIES) == "https"
    assert forwarded.host(environ, PROXIES) == "example.org"


def test_a_scheme_that_is_none_is_not_believed():
    environ = {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_PROTO": "javascript", "wsgi.url_scheme": "https"}

    assert forwarded.scheme(environ, PROXIES) == "https"


def test_the_host_is_the_servers_where_the_client_names_none():
    assert forwarded.host({"SERVER_NAME": "box"}, ()) == "box"


@pytest.mark.parametrize(("environ", "expected"), [
    ({"REMOTE_ADDR": "127.0.0.1"}, True),
    ({"REMOTE_ADDR": "::1", "HTTP_HOST": "[::1]:7148"}, True),
    ({"REMOTE_ADDR": "::ffff:127.0.0.1", "HTTP_HOST": "localhost:7148"}, True),
    ({"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "app.localhost"}, True),
    ({"REMOTE_ADDR": "192.168.0.5"}, False),
    ({"REMOTE_ADDR": ""}, False),
    ({}, False),
    ({"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "evil.example"}, False),  # a name that was rebound to loopback
    ({"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "127.0.0.1"}, False),  # behind a proxy of this machine
    ({"REMOTE_ADDR": "127.0.0.1", "HTTP_FORWARDED": "for=1.1.1.1"}, False),
    ({"REMOTE_ADDR": "127.0.0.1", "HTTP_VIA": "1.1 proxy"}, False),
])  # fmt: skip
def test_only_this_machines_own_browser_is_local(environ, expected):
    assert forwarded.is_local(environ) is expected
