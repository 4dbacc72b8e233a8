"""Origins that are named: exact ones, patterns, functions; what no page can match is refused when
it is set.
"""

from __future__ import annotations

import functools
import re

import pytest

from tina4_wsgi import App, ConfigError, RouteError, Router
from tina4_wsgi.addresses import origins
from tina4_wsgi.testing import HandshakeRefused, TestClient


def is_named(origin, *allowed):
    origins.check_list("allowed_origins", allowed)
    return origins.is_named(origin, allowed)


@pytest.mark.parametrize(
    ("pattern", "origin", "expected"),
    [
        ("https://*.shop.example", "https://acme.shop.example", True),
        ("https://*.shop.example", "https://a.b.c.shop.example", True),
        ("https://*.shop.example", "https://acme.shop.example:443", True),
        ("https://*.shop.example:443", "https://acme.shop.example", True),
        ("HTTPS://*.Shop.Example", "https://acme.shop.example", True),
        ("http://*.localhost:7148", "http://acme.localhost:7148", True),
        ("https://*.shop.example", "https://shop.example", False),  # as Django has it
        ("https://*.shop.example", "https://.shop.example", False),
        ("https://*.shop.example", "http://acme.shop.example", False),
        ("https://*.shop.example", "https://acme.shop.example:8443", False),
        ("https://*.shop.example", "https://evilshop.example", False),
        ("https://*.shop.example", "https://acme.shop.example.evil.test", False),
        ("https://*.shop.example", "https://evil.test/.shop.example", False),
        ("https://*.shop.example", "https://evil.test#.shop.example", False),
        ("https://*.shop.example", "https://evil.test@a.shop.example", False),
        ("https://*.shop.example", "https://evil.test\\.shop.example", False),
        ("https://*.shop.example", "https://*.shop.example", False),
        ("http://*.localhost:7148", "http://acme.localhost", False),
    ],
)
def test_a_star_is_any_subdomain_at_any_depth(pattern, origin, expected):
    assert is_named(origin, pattern) is expected


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "file://",
        "capacitor://localhost",
        "ionic://localhost",
        "tauri://localhost",
        "app://.",
        "http://localhost",
        "chrome-extension://abcdefghijklmnop",
        "moz-extension://6f3a-11",
        "vscode-webview://1a2b",
        "http://[::1]:8080",
        "https://my_host.example",
    ],
)
def test_what_apps_and_files_send_can_be_named_and_lets_nobody_else_in(origin):
    others = [
        "https://evil.test",
        "null",
        "file://",
        "capacitor://evil",
        "app://evil",
        "NULL",
        "file:///",
        "",
    ]

    assert is_named(origin, "https://shop.example", origin)
    assert not any(is_named(other, origin) for other in others if other != origin)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shop.example", 'has no scheme, write "https://shop.example" or "http://shop.example"'),
        ("//shop.example", 'has no scheme, write "https://shop.example"'),
        (
            "localhost:8080",
            'has no scheme, write "https://localhost:8080" or "http://localhost:8080"',
        ),
        ("*.shop.example", 'has no scheme, write "https://*.shop.example"'),
        ("https:shop.example", 'has no scheme, write "https://shop.example"'),
        ("text and more", "has space in it"),
        (" https://shop.example", "has space in it"),
        ("", "is empty"),
        (
            "https://shop.example/",
            'ends with a slash, which no origin has: write "https://shop.example"',
        ),
        (
            "https://shop.example/path",
            'has a path, which no origin has: write "https://shop.example"',
        ),
        (
            "https://shop.example?a=b",
            'has a path, which no origin has: write "https://shop.example"',
        ),
        ("app://obsidian.md/", 'ends with a slash, which no origin has: write "app://obsidian.md"'),
        ("wss://shop.example", 'a page comes by http: write "https://shop.example"'),
        ("ws://shop.example:81", 'a page comes by http: write "http://shop.example:81"'),
        ("https://ada@shop.example", 'has a user in it, write "https://shop.example"'),
        (
            "https://bücher.example",
            'has letters that no browser sends, write "https://xn--bcher-kva.example"',
        ),
        ("https://*.bücher.example:81", 'write "https://*.xn--bcher-kva.example:81"'),
        ("https://straße.example", 'write "https://xn--strae-oqa.example"'),
        ("https://*", "would be every page that comes by https"),
        ("chrome-extension://*", "would be every page that comes by chrome-extension"),
        ("https://a*.example", "has a star that is no label of its own in front"),
        ("https://www*.*.example", "has a star that is no label of its own in front"),
        ("https://**.example", "has a star that is no label of its own in front"),
        ("https://.shop.example", 'begins with a dot, write "https://*.shop.example"'),
        ("https://shop.example:0", "has a port that is none"),
        ("https://shop.example:http", "has a port that is none"),
        ("https://shop.example:99999", "has a port that is none"),
        ("https://*.0.0.1", "ends in a number"),
        ("https://", "has no host"),
        ("https://a.example,https://b.example", "has a comma in it"),
        ("Null", 'is no origin that a browser sends, write "null"'),
        ("file:///", 'is no origin that a browser sends, write "file://"'),
        ("file:///page.html", 'pages from files all send the same: write "file://"'),
        ("https://[::1", "is no host"),
    ],
)
def test_what_no_page_can_match_is_refused_with_what_to_write(text, message):
    with pytest.raises(
        ConfigError, match=f"^allowed_origins: {re.escape(repr(text))} .*{re.escape(message)}"
    ):
        App(router=Router(), allowed_origins=[text])


@pytest.mark.parametrize(
    "value",
    ["text", ["https://ok.example", "https://*"], [7], [None], [b"https://a.example"], [str]],
)
def test_a_route_refuses_it_too_and_says_where_it_is(value):
    with pytest.raises(RouteError, match=r"test_origins\.py:\d+.*allowed_origins"):
        Router().websocket("/ws/a", lambda connection, event, data: None, allowed_origins=value)


# -- functions


def ends_with_shop(origin):
    return origin.endswith(".shop.example")


class AtShop:
    def __call__(self, origin):
        return ends_with_shop(origin)

    def decide(self, origin):
        return ends_with_shop(origin)


@pytest.mark.parametrize(
    "function",
    [
        ends_with_shop,
        AtShop(),
        AtShop().decide,
        functools.partial(re.fullmatch, r"https://\w+\.shop\.example"),
        re.compile(r"https://\w+\.shop\.example").fullmatch,
        {"https://acme.shop.example": True}.get,
        {"https://acme.shop.example"}.__contains__,
    ],
)
def test_a_function_decides(function):
    assert is_named("https://acme.shop.example", function)
    assert is_named("https://acme.shop.example", "https://other.example", function)
    assert not is_named("https://acme.evil.test", function)


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.test/.shop.example",
        "https://evil.test?.shop.example",
        "https://evil.test#.shop.example",
        "https://evil.test@.shop.example/",
        "x",
        "",
        "https://evil.test, https://a.shop.example",
        "https://evil.test\t.shop.example",
    ],
)
def test_a_function_is_asked_for_what_is_an_origin_alone(origin):
    asked = []

    assert not is_named(origin, lambda text: not asked.append(text))
    assert asked == []


@pytest.mark.parametrize("origin", ["null", "file://"])
def test_a_function_may_let_pages_in_that_have_no_host(origin):
    assert is_named(origin, lambda text: text == origin)
    assert not is_named("app://other", lambda text: text == origin)


def raising(origin):
    raise LookupError("the database is away")


def leaving(origin):
    raise SystemExit(2)


async def decide_later(origin):
    return False


def hand_on(origin):
    return decide_later(origin)


@pytest.mark.parametrize(
    "function",
    [
        raising,
        leaving,
        hand_on,
        lambda origin: NotImplemented,
        lambda origin: ValueError("no"),
        lambda origin: ends_with_shop,
        lambda origin: (one for one in ()),
        lambda origin: ...,
    ],
)
def test_a_function_that_fails_or_says_nothing_lets_nobody_in_and_is_logged(function, caplog):
    assert not is_named("https://acme.shop.example", function)
    assert "allowed_origins" in caplog.text


@pytest.mark.parametrize("answer", [False, None, 0, "", []])
def test_what_is_not_true_lets_nobody_in(answer, caplog):
    assert not is_named("https://acme.shop.example", lambda origin: answer)
    assert caplog.records == []


class Later:
    async def __call__(self, origin):
        return True


@pytest.mark.parametrize(
    "function",
    [
        decide_later,
        Later(),
        lambda: True,
        lambda origin, host: True,
        str,
        Router,
        functools.partial(decide_later),
    ],
)
def test_what_can_not_be_asked_is_refused_when_it_is_set(function):
    with pytest.raises(ConfigError, match=r"^allowed_origins: "):
        App(router=Router(), allowed_origins=function)


def test_an_app_and_a_route_of_it_ask_their_own():
    router = Router()
    router.websocket("/ws/app", lambda connection, event, data: None)
    router.websocket(
        "/ws/own", lambda connection, event, data: None, allowed_origins=[ends_with_shop]
    )
    app = App(router=router, allowed_origins="https://*.friend.example")

    with TestClient(app) as client:
        with client.websocket("/ws/app", headers={"Origin": "https://a.friend.example"}):
            pass
        with client.websocket("/ws/own", headers={"Origin": "https://a.shop.example"}):
            pass
        for path, origin in (
            ("/ws/app", "https://a.shop.example"),
            ("/ws/own", "https://a.friend.example"),
        ):
            with pytest.raises(HandshakeRefused):
                client.websocket(path, headers={"Origin": origin})
