"""The opening handshake: what a WSGI environ must hold, who may connect, which subprotocol is
spoken.
"""

from __future__ import annotations

from typing import Any

import pytest

from tina4_wsgi.addresses import forwarded
from tina4_wsgi.errors import Refused
from tina4_wsgi.protocol.handshake import (
    accept_for,
    check,
    check_origin,
    check_page,
    check_through_proxies,
    choose_subprotocol,
    read,
    wants_websocket,
)

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 §1.3, with the answer below
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def environ(**changes: str | None) -> dict[str, Any]:
    """A correct handshake, with changes; None leaves a variable out."""
    correct = {
        "REQUEST_METHOD": "GET",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": "server.example.com",
        "HTTP_UPGRADE": "websocket",
        "HTTP_CONNECTION": "Upgrade",
        "HTTP_SEC_WEBSOCKET_KEY": KEY,
        "HTTP_SEC_WEBSOCKET_VERSION": "13",
    }
    return {name: value for name, value in {**correct, **changes}.items() if value is not None}


def refusal(**changes: str | None) -> Refused:
    with pytest.raises(Refused) as caught:
        check(environ(**changes))
    return caught.value


def test_the_handshake_of_the_rfc_is_accepted():
    assert check(environ()) == ACCEPT


# -- which requests are meant


@pytest.mark.parametrize(
    "value", ["websocket", "WebSocket", "WEBSOCKET", "h2c, websocket", " websocket "]
)
def test_an_upgrade_to_websocket_is_meant(value):
    assert wants_websocket(environ(HTTP_UPGRADE=value))


@pytest.mark.parametrize(
    "value", [None, "", "h2c", "websockets", "web socket", "websocket/13", "websocket;"]
)
def test_another_upgrade_is_not_meant(value):
    assert not wants_websocket(environ(HTTP_UPGRADE=value))


# -- method, protocol, Connection


@pytest.mark.parametrize("method", ["POST", "HEAD", "OPTIONS", "PUT", "CONNECT", "get", "GETX", ""])
def test_another_method_than_get_is_405_and_told_so(method):
    refused = refusal(REQUEST_METHOD=method)

    assert refused.status == 405
    assert ("Allow", "GET") in refused.headers


@pytest.mark.parametrize(
    "protocol", ["HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/2", "http/1.1", "HTTP/1.10", "", None]
)
def test_another_protocol_than_http_1_1_is_400(protocol):
    assert refusal(SERVER_PROTOCOL=protocol).status == 400


@pytest.mark.parametrize(
    "value",
    [
        "upgrade",
        "UPGRADE",
        "keep-alive, Upgrade",
        "Upgrade,keep-alive",
        "a,\tupgrade ,b",
        ", ,Upgrade",
    ],
)
def test_connection_holds_upgrade_as_a_token(value):
    assert check(environ(HTTP_CONNECTION=value)) == ACCEPT


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "close",
        "keep-alive",
        "Upgradeable",
        "xUpgrade",
        "no upgrade",
        "upgrade;",
        '"upgrade"',
    ],
)
def test_connection_without_the_token_upgrade_is_400(value):
    refused = refusal(HTTP_CONNECTION=value)

    assert (refused.status, refused.message) == (400, "header Connection lacks the token Upgrade")


# -- body


@pytest.mark.parametrize("length", [None, "", "0"])
def test_no_body_is_fine(length):
    assert check(environ(CONTENT_LENGTH=length)) == ACCEPT


@pytest.mark.parametrize("length", ["1", "100", "-1", "+0", "0x0", "abc", "0,0", "0, 5", " "])
def test_a_length_of_a_body_is_400(length):
    refused = refusal(CONTENT_LENGTH=length)

    assert (refused.status, refused.message) == (400, "a WebSocket handshake has no body")


@pytest.mark.parametrize("coding", ["chunked", "identity", "gzip, chunked", ""])
def test_a_transfer_coding_is_400(coding):
    assert refusal(HTTP_TRANSFER_ENCODING=coding).message == "a WebSocket handshake has no body"


# -- Host


@pytest.mark.parametrize(
    "host", ["example.com", "example.com:8080", "127.0.0.1", "[::1]", "[::1]:7148"]
)
def test_one_host_is_fine(host):
    assert check(environ(HTTP_HOST=host)) == ACCEPT


@pytest.mark.parametrize("host", [None, "", "a.example,b.example", "a.example, a.example", ","])
def test_no_host_or_two_are_400(host):
    refused = refusal(HTTP_HOST=host)

    assert (refused.status, refused.message) == (400, "exactly one Host header is expected")


# -- version


@pytest.mark.parametrize(
    "version", [None, "", "0", "7", "8", "12", "14", "113", "013", "13, 8", "13,13", "13.0"]
)
def test_another_version_is_426_and_told_which(version):
    refused = refusal(HTTP_SEC_WEBSOCKET_VERSION=version)

    assert refused.status == 426
    assert refused.headers == (("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket"))


def test_a_wrong_version_is_told_before_a_wrong_key():
    assert refusal(HTTP_SEC_WEBSOCKET_VERSION="8", HTTP_SEC_WEBSOCKET_KEY=None).status == 426


# -- key


def test_the_key_of_the_rfc_gives_its_answer():
    assert accept_for(KEY) == ACCEPT


@pytest.mark.parametrize(
    "key", ["AAAAAAAAAAAAAAAAAAAAAA==", "/////////////////////w==", "++++++++++++++++++++++=="]
)
def test_any_16_bytes_are_a_key(key):
    assert len(accept_for(key)) == 28


@pytest.mark.parametrize(
    "key",
    [
        "",
        "x",
        "dGhlIHNhbXBsZSBub25jZQ",  # no padding
        "dGhlIHNhbXBsZSBub25jZQ=",
        "dGhlIHNhbXBsZSBub25jZQ===",
        "dGhlIHNhbXBsZSBub25j",  # 15 bytes
        "dGhlIHNhbXBsZSBub25jZWE=",  # 17 bytes
        "dGhlIHNhbXBsZSBub25jZWFh",  # 18 bytes in 24 characters
        "dGhlIHNhbXBsZSBub25jZQ== ",
        " dGhlIHNhbXBsZSBub25jZQ==",
        "!!!lIHNhbXBsZSBub25jZQ==",
        "dGhlIHNhbXBs\tSBub25jZQ==",
        "dGhlIHNh-XBsZSBub25jZQ==",  # the alphabet for URLs
        "dGhlIHNh_XBsZSBub25jZQ==",
        "dGhl=HNhbXBsZSBub25jZQ==",
        "========================",
        "dGhlIHNhbXBsZSBub25jZÿ==",
        "dGhlIHNhbXBsZSBub25jZ\u0130==",
        f"{KEY},{KEY}",  # two headers, as a server joins them
        f"{KEY}, {KEY}",
        "d,hlIHNhbXBsZSBub25jZQ==",
        "A" * 100_000,
    ],
)
def test_anything_but_the_base64_of_16_bytes_is_400(key):
    with pytest.raises(Refused) as caught:
        accept_for(key)

    assert (caught.value.status, caught.value.message) == (
        400,
        "Sec-WebSocket-Key is not the base64 of 16 bytes",
    )


def test_a_missing_key_is_400():
    assert refusal(HTTP_SEC_WEBSOCKET_KEY=None).status == 400


def test_a_refusal_repeats_nothing_that_the_peer_sent():
    marked = [
        refusal(REQUEST_METHOD="MARK"),
        refusal(SERVER_PROTOCOL="MARK"),
        refusal(HTTP_CONNECTION="MARK"),
        refusal(CONTENT_LENGTH="MARK"),
        refusal(HTTP_HOST="MARK,MARK"),
        refusal(HTTP_SEC_WEBSOCKET_VERSION="MARK"),
        refusal(HTTP_SEC_WEBSOCKET_KEY="MARK"),
    ]

    assert not [one for one in marked if "MARK" in f"{one.message}{one.headers}"]


# -- origin


def is_allowed(
    origin: str | None, host: str = "example.org", allowed: tuple[str, ...] = ()
) -> bool:
    try:
        check_origin(origin, host, allowed)
    except Refused as refused:
        return refused.status != 403
    return True


def test_who_sends_no_origin_is_no_browser_and_may_connect():
    assert is_allowed(None)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://example.org", "example.org"),
        ("https://example.org", "example.org"),
        ("http://example.org", "example.org:80"),
        ("http://example.org:80", "example.org"),
        ("https://example.org", "example.org:443"),
        ("https://example.org:443", "example.org"),
        ("http://example.org:8080", "example.org:8080"),
        ("http://EXAMPLE.org", "example.ORG"),
        ("HTTP://example.org", "example.org"),
        ("http://127.0.0.1:7148", "127.0.0.1:7148"),
        ("http://localhost:7148", "localhost:7148"),
        ("http://[::1]", "[::1]"),
        ("http://[::1]:7148", "[::1]:7148"),
        ("https://[2001:DB8::1]", "[2001:db8::1]:443"),
    ],
)
def test_a_page_may_connect_to_its_own_host(origin, host):
    assert is_allowed(origin, host)


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.test",
        "http://example.org.evil.test",
        "http://evil-example.org",
        "http://sub.example.org",
        "http://example.or",
        "http://example.org.",
        "http://xexample.org",
        "http://evil.test:80",
    ],
)
def test_a_page_of_another_host_may_not(origin):
    assert not is_allowed(origin)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://example.org:8080", "example.org"),
        ("http://example.org", "example.org:8080"),
        ("http://example.org:8080", "example.org:8081"),
        ("https://example.org:80", "example.org"),
        ("http://example.org:443", "example.org"),
        ("https://example.org", "example.org:80"),
        ("http://example.org:0", "example.org"),
        ("http://[::1]:7148", "[::1]:7149"),
        ("http://[::1]", "127.0.0.1"),
        ("http://127.0.0.1", "localhost"),
    ],
)
def test_another_port_or_name_of_the_same_machine_is_another_host(origin, host):
    assert not is_allowed(origin, host)


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "Null",
        "example.org",
        "//example.org",
        "http://",
        "http:",
        "http:example.org",
        "http:///example.org",
        "http://example.org/",
        "http://example.org/path",
        "http://example.org?",
        "http://example.org?x",
        "http://example.org#",
        "http://example.org#x",
        "http://user@example.org",
        "http://example.org@evil.test",
        "http://evil.test@example.org",
        "http://example.org, http://example.org",  # two headers, as a server joins them
        "http://example.org,http://evil.test",
        "http://evil.test http://example.org",
        " http://example.org",
        "http://example.org ",
        "http://exam\tple.org",
        "http://example.org:x",
        "http://example.org:99999",
        "http://example.org:-80",
        "http://[::1",
        "http://::1",
        "http://[example.org]",
        "http://ex\u2100mple.org",
        "file://",
        "\0",
        "http://example.org\\evil.test",
    ],
)
def test_what_is_no_origin_may_not_connect(origin):
    assert not is_allowed(origin)


@pytest.mark.parametrize(
    "origin", ["https://app.example", "https://app.example:443", "HTTPS://APP.example"]
)
def test_a_named_origin_may_connect_from_anywhere(origin):
    assert is_allowed(origin, allowed=("https://other.example", "https://app.example"))


@pytest.mark.parametrize(
    "origin",
    [
        "http://app.example",
        "https://app.example:8443",
        "https://x.app.example",
        "https://app.example.evil.test",
        "null",
    ],
)
def test_a_named_origin_is_compared_with_scheme_host_and_port(origin):
    assert not is_allowed(origin, allowed=("https://app.example",))


def test_a_named_origin_does_not_shut_out_the_pages_own():
    assert is_allowed("http://example.org", allowed=("https://app.example",))


@pytest.mark.parametrize("origin", ["http://evil.test", "null", "", "anything, at all"])
def test_a_star_lets_everybody_in(origin):
    assert is_allowed(origin, allowed=("*",))


@pytest.mark.parametrize("scheme", ["foo", "ftp", "ws", "wss", "file", "chrome-extension"])
def test_a_page_of_the_same_host_comes_by_http_or_https_alone(scheme):
    assert not is_allowed(f"{scheme}://example.org")


@pytest.mark.parametrize(("scheme", "other"), [("https", "http"), ("http", "https")])
def test_where_the_scheme_is_known_a_page_must_have_come_by_it(scheme, other):
    check_origin(f"{scheme}://example.org", "example.org", (), scheme=scheme)

    with pytest.raises(Refused) as caught:
        check_origin(f"{other}://example.org", "example.org", (), scheme=scheme)

    assert f"came for '{scheme}://example.org'" in caught.value.detail
    assert "X-Forwarded-Proto" in caught.value.detail


@pytest.mark.parametrize(
    "origin", ["http://example.org:8080", "https://example.org:8443", "https://EXAMPLE.org:80"]
)
def test_a_host_that_has_lost_its_port_is_told_apart_from_another_host(origin):
    with pytest.raises(Refused) as caught:
        check_origin(origin, "example.org", ())

    assert "lost its port" in caught.value.detail
    assert "proxy_set_header Host $http_host" in caught.value.detail


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://example.org:8080", "example.org:9090"),
        ("https://example.org", "example.org:8443"),
        ("http://other.example:8080", "example.org"),
    ],
)
def test_a_host_with_another_port_or_name_has_lost_none(origin, host):
    with pytest.raises(Refused) as caught:
        check_origin(origin, host, ())

    assert "lost its port" not in caught.value.detail
    assert f"allowed_origins=['{origin}']" in caught.value.detail


def test_a_refused_origin_is_named_in_the_log_and_cut_and_not_in_the_answer():
    with pytest.raises(Refused) as caught:
        check_origin("http://evil.test/" + "x" * 10_000, "example.org", ())

    assert "evil" not in caught.value.message
    assert "http://evil.test/" in caught.value.detail
    assert "'http(s)://example.org'" in caught.value.detail
    assert len(caught.value.detail) < 700


def test_a_refusal_says_what_would_let_the_page_in():
    with pytest.raises(Refused) as caught:
        check_origin("https://shop.example", "example.org", ())

    assert caught.value.detail.endswith(
        "to let its pages in: allowed_origins=['https://shop.example']"
    )


# -- origin, through proxies


def refusal_of_page(
    allowed: tuple[str, ...] = (), trusted: tuple[str, ...] = (), **variables: str
) -> Refused | None:
    seen = {"REMOTE_ADDR": "10.0.0.1", "wsgi.url_scheme": "http", **variables}
    try:
        check_page(seen, forwarded.host(seen, trusted), allowed, trusted)
    except Refused as refused:
        return refused
    return None


@pytest.mark.parametrize(
    ("variables", "origin"),
    [
        ({"HTTP_HOST": "in.local", "HTTP_X_FORWARDED_HOST": "shop.example"}, "http://shop.example"),
        (
            {"HTTP_HOST": "shop.example", "HTTP_X_FORWARDED_PORT": "8443"},
            "https://shop.example:8443",
        ),
        # A port of the container's own, which no browser knows: the Host itself still names the
        # page's origin.
        ({"HTTP_HOST": "shop.example", "HTTP_X_FORWARDED_PORT": "8080"}, "https://shop.example"),
        (
            {"HTTP_HOST": "in.local", "HTTP_FORWARDED": 'host="shop.example:81";proto=http'},
            "http://shop.example:81",
        ),
        ({"HTTP_HOST": "shop.example", "HTTP_X_FORWARDED_PROTO": "wss"}, "https://shop.example"),
    ],
)
def test_a_page_may_connect_to_the_host_that_a_trusted_proxy_tells(variables, origin):
    assert refusal_of_page(trusted=("10.0.0.1",), HTTP_ORIGIN=origin, **variables) is None
    assert (
        refusal_of_page(trusted=("10.0.0.1",), HTTP_ORIGIN="http://evil.test", **variables)
        is not None
    )


@pytest.mark.parametrize(
    "variables",
    [
        {"HTTP_HOST": "in.local", "HTTP_X_FORWARDED_HOST": "shop.example"},
        {
            "HTTP_HOST": "shop.example",
            "HTTP_X_FORWARDED_PORT": "8443",
            "HTTP_ORIGIN": "https://shop.example:8443",
        },
        {"HTTP_HOST": "in.local", "HTTP_FORWARDED": "host=shop.example;proto=https"},
        {"HTTP_HOST": "in.local", "HTTP_X_FORWARDED_HOST": "shop.example", "REMOTE_ADDR": ""},
        {
            "HTTP_HOST": "in.local",
            "HTTP_FORWARDED": "for=192.0.2.1;host=shop.example;proto=https",
            "REMOTE_ADDR": "",
        },
        {"HTTP_HOST": "in.local", "HTTP_X_FORWARDED_HOST": "shop.example", "REMOTE_ADDR": None},
    ],
)
def test_a_proxy_that_is_not_trusted_is_named_where_its_word_would_let_the_page_in(variables):
    refused = refusal_of_page(**{"HTTP_ORIGIN": "https://shop.example", **variables})

    assert refused is not None
    assert (
        f"trusted_proxies=['{variables.get('REMOTE_ADDR', '10.0.0.1') or '127.0.0.1'}']"
        in refused.detail
    )


def test_a_proxy_that_is_not_trusted_is_not_named_where_its_word_would_not_help():
    refused = refusal_of_page(
        HTTP_ORIGIN="http://evil.test", HTTP_HOST="a.test", HTTP_X_FORWARDED_HOST="b.test"
    )

    assert refused is not None
    assert "trusted_proxies" not in refused.detail


@pytest.mark.parametrize(
    ("variables", "trusted"),
    [
        ({}, ()),
        ({"HTTP_VIA": "1.1 front"}, ("10.0.0.0/8",)),
        ({"HTTP_VIA": "1.1 front", "werkzeug.proxy_fix.orig": {}}, ()),
    ],
    ids=["no proxy", "a trusted one", "one that has been read"],
)
def test_only_a_proxy_that_left_a_sign_and_is_not_believed_is_named(variables, trusted):
    seen = {"REMOTE_ADDR": "10.0.0.1", "HTTP_HOST": "shop.example", **variables}

    with pytest.raises(Refused) as caught:
        check_through_proxies("http://shop.example", seen, "rewritten.example", (), trusted)

    assert "trusted_proxies" not in caught.value.detail


def test_whose_word_would_help_is_named_behind_both_sides_alone():
    refused = refusal_of_page(
        HTTP_ORIGIN="https://shop.example",
        HTTP_HOST="in.local",
        HTTP_X_FORWARDED_HOST="shop.example",
    )

    assert refused is not None
    assert refused.status == 403
    assert refused.detail == (
        "the page is of origin 'https://shop.example', the request came for 'http(s)://in.local'; "
        "a proxy tells that they are the same, but is not believed: trusted_proxies=['10.0.0.1']"
    )


@pytest.mark.parametrize(
    "variables",
    [
        {"wsgi.url_scheme": "https"},
        {"HTTP_X_FORWARDED_PROTO": "https"},
        {"HTTP_X_FORWARDED_PROTO": "http, WSS"},
        {"HTTP_FORWARDED": "for=1.1.1.1;proto=https"},
    ],
)
def test_a_page_that_came_in_the_clear_may_not_connect_over_tls(variables):
    seen = {"HTTP_HOST": "shop.example", **variables}

    assert (
        refusal_of_page(trusted=("10.0.0.1",), HTTP_ORIGIN="http://shop.example", **seen)
        is not None
    )
    assert (
        refusal_of_page(trusted=("10.0.0.1",), HTTP_ORIGIN="https://shop.example", **seen) is None
    )


def test_a_line_break_in_an_origin_cannot_forge_a_line_of_the_log():
    with pytest.raises(Refused) as caught:
        check_origin("http://evil.test\r\nERROR all is lost", "example.org", ())

    assert "\n" not in caught.value.detail
    assert "\r" not in caught.value.detail


# -- subprotocols


@pytest.mark.parametrize(
    ("offered", "spoken", "chosen"),
    [
        (None, (), None),
        (None, ("chat",), None),
        ("chat", ("chat",), "chat"),
        ("chat", (), None),
        ("chat", ("talk",), None),
        ("superchat, chat", ("chat",), "chat"),
        ("superchat", ("chat",), None),
        ("chat", ("superchat",), None),
        ("Chat", ("chat",), None),
        ("b, a", ("a", "b"), "b"),
        ("x,\ta , b", ("a", "b"), "a"),
        (",a,,", ("a",), "a"),
        ("v1.chat", ("v1-chat", "v1.chat"), "v1.chat"),
    ],
)
def test_the_first_offered_that_is_spoken_is_chosen_to_the_letter(offered, spoken, chosen):
    assert choose_subprotocol(offered, spoken) == chosen


@pytest.mark.parametrize(
    "offered", ["", ",", " , ", "a b", "a, b c", 'a, "b"', "a/b", "a;b", "é", "a,a", "a, b ,a"]
)
def test_what_is_no_list_of_different_tokens_is_400(offered):
    with pytest.raises(Refused) as caught:
        choose_subprotocol(offered, ("a",))

    assert caught.value.status == 400


def test_a_hundred_subprotocols_may_be_offered():
    names = [f"v{number}" for number in range(101)]

    assert choose_subprotocol(",".join(names[:100]), ["v99"]) == "v99"
    with pytest.raises(Refused):
        choose_subprotocol(",".join(names), ["v0"])


def test_subprotocols_that_differ_in_letter_case_differ():
    assert choose_subprotocol("Chat, chat", ("chat",)) == "chat"


# -- read once


def test_a_handshake_is_read_as_it_was_sent():
    asked = read(
        environ(
            PATH_INFO="/ws/chat",
            HTTP_ORIGIN="https://example.org",
            HTTP_SEC_WEBSOCKET_PROTOCOL="v1, v2",
            HTTP_SEC_WEBSOCKET_EXTENSIONS="permessage-deflate",
        )
    )

    assert asked == (
        "GET",
        "/ws/chat",
        "server.example.com",
        "https://example.org",
        "13",
        KEY,
        "v1, v2",
        "permessage-deflate",
        None,
    )


def test_what_was_not_sent_is_none_or_empty():
    asked = read(environ(HTTP_HOST=None, HTTP_SEC_WEBSOCKET_KEY=None))

    assert (asked.path, asked.host, asked.key) == ("/", "", "")
    assert (asked.origin, asked.subprotocols, asked.extensions) == (None, None, None)


def test_a_handshake_that_may_not_be_accepted_can_be_read_all_the_same():
    asked = read(environ(REQUEST_METHOD="POST", HTTP_ORIGIN="https://example.org"))

    assert asked.origin == "https://example.org"
    with pytest.raises(Refused, match="405"):
        asked.accept()


def test_a_broken_list_is_refused_by_the_step_that_reads_it_and_not_before():
    asked = read(environ(HTTP_SEC_WEBSOCKET_PROTOCOL="a,a", HTTP_SEC_WEBSOCKET_EXTENSIONS="a;;="))

    assert asked.accept() == ACCEPT
    with pytest.raises(Refused, match="400 Sec-WebSocket-Protocol"):
        asked.choose_subprotocol(["a"])
    with pytest.raises(Refused, match="400 Sec-WebSocket-Extensions"):
        asked.agree_on_deflate(False)


@pytest.mark.parametrize(
    ("offered", "is_wanted", "window_bits"),
    [
        (None, True, None),
        ("permessage-deflate", False, None),
        ("x-else", True, None),
        ("permessage-deflate", True, 15),
        ("permessage-deflate; server_max_window_bits=10", True, 10),
    ],
)
def test_deflate_is_agreed_on_where_both_want_it(offered, is_wanted, window_bits):
    agreement = read(environ(HTTP_SEC_WEBSOCKET_EXTENSIONS=offered)).agree_on_deflate(is_wanted)

    assert (agreement and agreement.window_bits) == window_bits


@pytest.mark.parametrize("host", ["", "a b", "[::1", "shop.example:http"])
def test_a_host_that_is_none_is_nobodys_own(host):
    with pytest.raises(Refused) as caught:
        check_origin("http://shop.example", host, ())

    assert caught.value.status == 403
    assert "allowed_origins=['http://shop.example']" in caught.value.detail


@pytest.mark.parametrize("origin", ["null", "file://"])
def test_a_page_without_an_origin_of_its_own_is_told_how_to_let_it_in(origin):
    with pytest.raises(Refused) as caught:
        check_origin(origin, "example.org", ())

    assert f"to let its pages in: allowed_origins=['{origin}']" in caught.value.detail


def test_what_is_no_origin_is_told_as_that():
    with pytest.raises(Refused) as caught:
        check_origin("nonsense", "example.org", ())

    assert caught.value.detail.endswith("; that is no origin of a page")
