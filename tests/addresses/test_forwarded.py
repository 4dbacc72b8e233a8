"""Who asks: proxies are believed only where they are trusted."""

from __future__ import annotations

import pytest

from tina4_wsgi.addresses import forwarded

PROXIES = ("10.0.0.0/8", "2001:db8::/32")


@pytest.mark.parametrize(
    ("peer", "header", "expected"),
    [
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
    ],
)
def test_the_ip_is_the_right_most_that_is_not_a_trusted_proxy(peer, header, expected):
    environ = {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": header}

    assert forwarded.client_ip(environ, PROXIES) == expected


def test_without_trusted_proxies_nothing_is_believed():
    environ = {
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_X_FORWARDED_FOR": "1.1.1.1",
        "HTTP_X_FORWARDED_PROTO": "https",
        "HTTP_X_FORWARDED_HOST": "example.org",
        "HTTP_HOST": "own",
        "wsgi.url_scheme": "http",
    }

    assert forwarded.client_ip(environ, ()) == "127.0.0.1"
    assert forwarded.scheme(environ, ()) == "http"
    assert forwarded.host(environ, ()) == "own"


def test_a_trusted_proxy_is_believed_about_scheme_and_host():
    environ = {
        "REMOTE_ADDR": "10.0.0.1",
        "HTTP_X_FORWARDED_PROTO": "HTTPS",
        "HTTP_X_FORWARDED_HOST": "a, example.org",
        "HTTP_HOST": "own",
        "wsgi.url_scheme": "http",
    }

    assert forwarded.scheme(environ, PROXIES) == "https"
    assert forwarded.host(environ, PROXIES) == "example.org"


def test_a_scheme_that_is_none_is_not_believed():
    environ = {
        "REMOTE_ADDR": "10.0.0.1",
        "HTTP_X_FORWARDED_PROTO": "javascript",
        "wsgi.url_scheme": "https",
    }

    assert forwarded.scheme(environ, PROXIES) == "https"


def test_the_host_is_the_servers_where_the_client_names_none():
    assert forwarded.host({"SERVER_NAME": "box"}, ()) == "box"


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("https", "https"),
        ("wss", "https"),
        ("WSS", "https"),
        ("ws", "http"),
        ("Ws", "http"),
        ("wss,https", "https"),
        ("https, ws", "http"),
        ("http , wss ", "https"),
    ],
)
def test_the_scheme_of_a_websocket_is_that_of_its_page(told, expected):
    environ = {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_PROTO": told, "wsgi.url_scheme": "http"}

    assert forwarded.scheme(environ, PROXIES) == expected
    assert forwarded.known_scheme(environ, PROXIES) == expected
    assert forwarded.scheme(environ, ()) == "http"


@pytest.mark.parametrize(
    ("own", "scheme", "known"),
    [
        ("http", "http", ""),
        ("https", "https", "https"),
        ("wss", "https", "https"),
        ("ws", "http", ""),
        ("HTTPS", "https", "https"),
    ],
)
def test_plain_http_is_no_knowledge_but_tls_is(own, scheme, known):
    environ = {
        "REMOTE_ADDR": "203.0.113.9",
        "wsgi.url_scheme": own,
        "HTTP_X_FORWARDED_PROTO": "https",
    }

    assert (forwarded.scheme(environ, PROXIES), forwarded.known_scheme(environ, PROXIES)) == (
        scheme,
        known,
    )


# -- the port


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"HTTP_HOST": "shop.example", "HTTP_X_FORWARDED_PORT": "8443"}, "shop.example:8443"),
        ({"HTTP_HOST": "shop.example", "HTTP_X_FORWARDED_PORT": "443, 8443"}, "shop.example:8443"),
        ({"HTTP_HOST": "shop.example", "HTTP_X_FORWARDED_PORT": "80"}, "shop.example"),
        (
            {
                "HTTP_HOST": "shop.example",
                "HTTP_X_FORWARDED_PORT": "443",
                "HTTP_X_FORWARDED_PROTO": "wss",
            },
            "shop.example",
        ),
        ({"HTTP_HOST": "shop.example", "HTTP_X_FORWARDED_PORT": "443"}, "shop.example:443"),
        ({"HTTP_HOST": "shop.example:81", "HTTP_X_FORWARDED_PORT": "8443"}, "shop.example:81"),
        (
            {
                "HTTP_HOST": "in",
                "HTTP_X_FORWARDED_HOST": "a.example",
                "HTTP_X_FORWARDED_PORT": "8443",
            },
            "a.example:8443",
        ),
        ({"HTTP_HOST": "[::1]", "HTTP_X_FORWARDED_PORT": "8443"}, "[::1]:8443"),
    ],
)
def test_a_port_that_the_host_has_lost_is_told_by_a_trusted_proxy(variables, expected):
    environ = {"REMOTE_ADDR": "10.0.0.1", "wsgi.url_scheme": "http", **variables}

    assert forwarded.host(environ, PROXIES) == expected
    assert forwarded.host(environ, ()) == variables["HTTP_HOST"]


@pytest.mark.parametrize("port", ["0", "65536", "99999999", "-1", "8443x", "²", "8443/evil", ""])
def test_what_is_no_port_is_not_believed(port):
    environ = {
        "REMOTE_ADDR": "10.0.0.1",
        "HTTP_HOST": "shop.example",
        "HTTP_X_FORWARDED_PORT": port,
    }

    assert forwarded.host(environ, PROXIES) == "shop.example"


@pytest.mark.parametrize(
    "told",
    ["a/b", "user@a", "a b", "a\r\nX: y", "ä", "a:b", "a:70000", "http://a", "[::1", "a" * 300],
)
def test_what_is_no_host_is_not_believed(told):
    environ = {"REMOTE_ADDR": "10.0.0.1", "HTTP_HOST": "own"}

    assert forwarded.host({**environ, "HTTP_X_FORWARDED_HOST": told}, PROXIES) == "own"
    assert forwarded.host({**environ, "HTTP_FORWARDED": f'host="{told}"'}, PROXIES) == "own"


# -- the path below which the app is


@pytest.mark.parametrize(
    ("prefix", "script_name", "expected"),
    [
        ("/shop", "", "/shop"),
        ("/shop/", "", "/shop"),
        ("/a, /shop", "", "/shop"),
        ("/shop", "/live", "/shop/live"),
        ("/shop", "/shop/live", "/shop/live"),  # a proxy that takes nothing off
        ("/shop", "/shopping", "/shop/shopping"),
        ("", "/live/", "/live"),
        ("/a%20b", "", "/a%20b"),
    ],
)
def test_the_root_is_what_a_trusted_proxy_has_taken_off_and_script_name(
    prefix, script_name, expected
):
    environ = {
        "REMOTE_ADDR": "10.0.0.1",
        "HTTP_X_FORWARDED_PREFIX": prefix,
        "SCRIPT_NAME": script_name,
    }

    assert forwarded.root(environ, PROXIES) == expected
    assert forwarded.root(environ, ()) == script_name.rstrip("/")


@pytest.mark.parametrize(
    "prefix",
    [
        "shop",
        "//evil.test",
        "/a//b",
        "/\\evil.test",
        "https://evil.test",
        "/a\r\nX: y",
        "/a\nb",
        "/../x",
        "/./x",
        "/a?b",
        "/a#b",
        "/<script>",
        '/"',
        "/ä",
        "/" + "a" * 2_000,
    ],
)
def test_a_prefix_that_would_lead_elsewhere_is_not_believed(prefix):
    environ = {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_PREFIX": prefix, "SCRIPT_NAME": "/own"}

    assert forwarded.root(environ, PROXIES) == "/own"


# -- Forwarded


@pytest.mark.parametrize(
    ("header", "ip", "scheme", "host"),
    [
        ("for=203.0.113.5;proto=https;host=shop.example", "203.0.113.5", "https", "shop.example"),
        (
            'For="[2001:db7::1]:4711"; Proto=WSS ; Host="shop.example:8443"',
            "2001:db7::1",
            "https",
            "shop.example:8443",
        ),
        (
            "for=203.0.113.5:47011;host=shop.example:81",
            "203.0.113.5",
            "http",
            "shop.example:81",
        ),  # should be quoted
        (
            "for=1.1.1.1;host=a.example;proto=https, for=10.0.0.7;host=in;proto=http",
            "1.1.1.1",
            "https",
            "a.example",
        ),
        (
            "for=203.0.113.5, for=10.0.0.7;host=shop.example;proto=https",
            "203.0.113.5",
            "https",
            "shop.example",
        ),
        (
            "for=6.6.6.6;host=evil.test;proto=https, for=203.0.113.5;host=a.example",
            "203.0.113.5",
            "http",
            "a.example",
        ),
        (
            'for="6.6.6.6, for=203.0.113.5;host=shop.example',
            "203.0.113.5",
            "http",
            "shop.example",
        ),  # a client's open quote
        (", ,for=203.0.113.5,", "203.0.113.5", "http", "own"),
        ('for=203.0.113.5;by="a,b;c";host=shop.example', "203.0.113.5", "http", "shop.example"),
        ('for=203.0.113.5;host="shop\\.example"', "203.0.113.5", "http", "shop.example"),
        ("for=unknown;proto=https", "10.0.0.1", "https", "own"),
        ("for=_hidden;host=shop.example", "10.0.0.1", "http", "shop.example"),
        ("for=1.1.1.1;for=2.2.2.2;host=evil.test", "10.0.0.1", "http", "own"),
        ("for=1.1.1.1;host=", "10.0.0.1", "http", "own"),
        ("nonsense", "10.0.0.1", "http", "own"),
        ("for=203.0.113.5;proto=javascript", "203.0.113.5", "http", "own"),
    ],
)
def test_forwarded_is_read_from_the_right_to_the_first_that_no_trusted_proxy_wrote(
    header, ip, scheme, host
):
    environ = {
        "REMOTE_ADDR": "10.0.0.1",
        "HTTP_FORWARDED": header,
        "HTTP_HOST": "own",
        "wsgi.url_scheme": "http",
    }

    seen = [
        about(environ, PROXIES) for about in (forwarded.client_ip, forwarded.scheme, forwarded.host)
    ]

    assert seen == [ip, scheme, host]
    assert forwarded.client_ip(environ, ()) == "10.0.0.1"
    assert forwarded.host(environ, ()) == "own"


@pytest.mark.parametrize("other", ["FOR", "HOST", "PROTO", "PORT", "PREFIX"])
def test_beside_what_the_proxy_writes_forwarded_is_the_clients_and_not_believed(other):
    claimed = "for=6.6.6.6;host=evil.test;proto=https"
    environ = {
        "REMOTE_ADDR": "10.0.0.1",
        "HTTP_FORWARDED": claimed,
        "HTTP_HOST": "own",
        f"HTTP_X_FORWARDED_{other}": "own",
    }

    assert forwarded.client_ip(environ, PROXIES) == "10.0.0.1"
    assert forwarded.host(environ, PROXIES) == "own"
    assert forwarded.scheme(environ, PROXIES) == "http"


@pytest.mark.parametrize(
    "header", ["," * 8_000, "for=10.0.0.1," * 600, 'x="a,' * 1_600, "a=b;" * 2_000, '"' * 8_000]
)
def test_a_long_forwarded_is_no_work(header):
    environ = {"REMOTE_ADDR": "10.0.0.1", "HTTP_FORWARDED": header}

    assert forwarded.client_ip(environ, PROXIES) == "10.0.0.1"


# -- what frameworks are shown


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("HTTP_X_FORWARDED_PROTO", "wss", "https"),
        ("HTTP_X_FORWARDED_PROTO", "WS", "http"),
        ("HTTP_X_FORWARDED_PROTO", "HTTPS", "https"),
        ("HTTP_X_FORWARDED_PROTO", "wss, https,ws", "https, https,http"),
        ("HTTP_X_FORWARDED_SCHEME", "wss", "https"),
        (
            "HTTP_FORWARDED",
            'for=ws;proto=wss;host=ws.a, proto="ws"',
            'for=ws;proto=https;host=ws.a, proto="http"',
        ),
        ("HTTP_X_OF_OURS", "wss", "https"),
        ("wsgi.url_scheme", "wss", "https"),
        ("HTTP_X_FORWARDED_PROTO", "javascript:ws", "javascript:ws"),
    ],
)
def test_a_framework_is_shown_the_schemes_of_pages(name, value, expected):
    environ = {"wsgi.url_scheme": "http", name: value, "HTTP_X_OTHER": "wss"}

    shown = forwarded.with_page_schemes(environ, "HTTP_X_OF_OURS")

    assert (shown[name], shown["HTTP_X_OTHER"]) == (expected, "wss")
    assert environ[name] == value


def test_an_environ_with_nothing_to_change_is_not_copied():
    environ = {"wsgi.url_scheme": "https", "HTTP_X_FORWARDED_PROTO": "https"}

    assert forwarded.with_page_schemes(environ) is environ
