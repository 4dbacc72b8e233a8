"""What is kept of a handshake: a part of what the server said, and nothing else."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tina4_wsgi.config import Config
from tina4_wsgi.errors import ConfigError, Refused
from tina4_wsgi.websocket.opening_handshake import OpeningHandshake

CONSTANTS = {
    "REQUEST_METHOD": "GET",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "wsgi.version": (1, 0),
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
}
DEFAULTS = {
    "SCRIPT_NAME": "",
    "PATH_INFO": "/",
    "QUERY_STRING": "",
    "SERVER_NAME": "localhost",
    "SERVER_PORT": "80",
    "wsgi.url_scheme": "http",
}
BROWSER = {
    "REQUEST_METHOD": "GET",
    "PATH_INFO": "/ws/chat/general",
    "QUERY_STRING": "token=t",
    "SERVER_NAME": "h",
    "REMOTE_ADDR": "10.0.0.7",
    "REMOTE_PORT": "40000",
    "wsgi.url_scheme": "http",
    "HTTP_HOST": "example.org",
    "HTTP_USER_AGENT": "Mozilla/5.0 " + "x" * 100,
    "HTTP_COOKIE": "session=" + "c" * 100,
}

names = st.one_of(
    st.sampled_from(
        ["REMOTE_USER", "PATH_INFO", "wsgi.input", "wsgi.url_scheme", "HTTP_COOKIE", "SERVER_NAME"]
    ),
    st.text(st.characters(max_codepoint=255), max_size=12).map("HTTP_{}".format),
    st.text(st.characters(max_codepoint=255), max_size=12),
)
values = st.text(st.characters(max_codepoint=255), max_size=40)


def opening(environ: dict[str, Any], *keep: str) -> OpeningHandshake:
    return OpeningHandshake(environ, (), keep)


@given(st.dictionaries(names, values, max_size=12))
def test_whatever_a_server_says_what_is_kept_is_a_part_of_it(environ):
    try:
        kept = opening(environ)
    except Refused:
        return

    assert kept.environ().items() <= environ.items()
    said = dict(kept.wsgi_environ())
    assert {name: said.pop(name) for name in CONSTANTS} == CONSTANTS
    assert type(said.pop("wsgi.input")).__name__ == "BytesIO"
    del said["wsgi.errors"]
    assert said.items() <= {**DEFAULTS, **environ}.items()


heads = st.dictionaries(st.sampled_from(sorted(BROWSER)), st.text(max_size=20), max_size=12)


@given(heads, st.lists(values, max_size=3))
def test_header_fields_of_any_length_come_back_as_they_were(environ, more):
    environ |= {f"HTTP_X_{number}": value for number, value in enumerate(more)}
    if any(one in "".join(environ.values()) for one in map(chr, (*range(9), *range(10, 32), 127))):
        return

    kept = opening(environ).environ()

    assert kept == {name: value for name, value in environ.items() if name != "REQUEST_METHOD"}


@pytest.mark.parametrize(
    "name",
    [
        "PATH_INFO",
        "QUERY_STRING",
        "REMOTE_ADDR",
        "SERVER_NAME",
        "SCRIPT_NAME",
        "wsgi.url_scheme",
        "HTTP_COOKIE",
        "HTTP_X",
    ],
)
@pytest.mark.parametrize("control", ["\0", "\x01", "\n", "\r", "\x0b", "\x1f", "\x7f"])
def test_a_control_character_in_what_is_kept_is_refused(name, control):
    with pytest.raises(Refused, match="400 this request holds a control character"):
        opening({**BROWSER, name: f"a{control}REMOTE_USER=admin"})


@pytest.mark.parametrize(
    "name", ["HTTP_X\0REMOTE_USER", "HTTP_X\nY", "HTTP_X Y", "HTTP_X\tY", "HTTP_\x7f"]
)
def test_a_name_with_a_control_character_or_a_space_is_refused(name):
    for _ in range(2):  # the second time names of this kind have been seen
        with pytest.raises(Refused, match="400 the name of a header field"):
            opening({**BROWSER, name: "1"})


def test_a_tab_and_the_upper_half_of_latin_1_may_stand_in_a_value():
    assert opening({**BROWSER, "HTTP_X": "a\tb\xe4\x85"}).headers["X"] == "a\tb\xe4\x85"


@pytest.mark.parametrize(
    "name",
    [
        "wsgi.input",
        "wsgi.run_once",
        "CONTENT_LENGTH",
        "HTTPX_Y",
        "http_x",
        "SERVER_SOFTWARE",
        "REMOTE_HOST",
        "HTTP",
    ],
)
def test_only_names_that_a_request_sets_are_kept(name):
    assert name not in opening({**BROWSER, name: "x"}).environ()


@pytest.mark.parametrize(
    ("name", "value"), [("SERVER_PORT", 80), ("HTTP_X_USER", None), ("HTTP_X_ROLES", ["a"])]
)
def test_a_value_that_is_no_text_is_what_it_was(name, value):
    kept = opening({**BROWSER, name: value})

    assert kept.environ()[name] is value
    assert kept.headers["Host"] == "example.org"


def test_heads_with_the_same_names_share_them():
    first, second = (opening({f"HTTP_{name}": "x" for name in ("A", "B")}) for _ in range(2))

    assert first._names is second._names


def test_a_few_hundred_heads_are_shared_and_the_oldest_makes_room_for_a_newcomer():
    def head(number):
        return opening({"HTTP_HOST": "x", f"HTTP_NUMBER_{number}": "x"})._names

    first = head(0)
    for number in range(1, 256):
        head(number)
    assert head(0) is first

    for number in range(1, 257):
        head(number)
    assert head(0) is not first


def test_names_without_end_are_not_shared():
    first, second = (
        opening({f"HTTP_X{number:05}": "x" for number in range(500)}) for _ in range(2)
    )

    assert first.environ() == second.environ()
    assert first._names is not second._names


@pytest.mark.parametrize(
    "name",
    [
        "HTTP_COOKIE",
        "HTTP_CONNECTION",
        "HTTP_UPGRADE",
        "QUERY_STRING",
        f"HTTP_{2_000 * 'X'}",
    ],
)
def test_a_head_over_the_limit_is_refused_whatever_is_long_in_it(name):
    OpeningHandshake({**BROWSER, name: "x" * 100}, (), max_head_bytes=4_000)

    with pytest.raises(Refused, match="431 the head of this handshake is too long"):
        OpeningHandshake({**BROWSER, name: "x" * 4_000}, (), max_head_bytes=4_000)


@pytest.mark.parametrize("name", ["REMOTE_USER", "AUTH_TYPE"])
def test_the_user_that_the_host_found_is_kept(name):
    assert opening({**BROWSER, name: "ada"}).environ()[name] == "ada"
    assert name not in opening(BROWSER).environ()


@pytest.mark.parametrize(
    "name", ["beaker.session", "repoze.who.identity", "webob.adhoc_attrs", "SSL_CLIENT_S_DN"]
)
def test_a_key_that_is_asked_for_is_kept_as_the_same_object(name):
    thing = object()
    kept = opening({**BROWSER, name: thing, "other.key": thing}, name, "not.there")

    assert kept.environ()[name] is thing
    assert kept.wsgi_environ()[name] is thing
    assert {"other.key", "not.there"}.isdisjoint(kept.environ())


@pytest.mark.parametrize(
    "key",
    [
        "",
        "a b",
        "a\nb",
        "a\0",
        "wsgi.input",
        "wsgi.errors",
        "gunicorn.socket",
        "tina4_wsgi.match",
        "werkzeug.socket",
        "REQUEST_METHOD",
        "CONTENT_LENGTH",
    ],
)
def test_a_key_that_no_middleware_sets_is_refused(key):
    with pytest.raises(ConfigError, match=r'^keep_environ: .* expected .*as "beaker.session"$'):
        Config(keep_environ=(key,))


def test_keys_may_come_from_the_environment():
    assert Config.from_environ({"TINA4_WS_KEEP_ENVIRON": "a.b, c.d"}).keep_environ == ("a.b", "c.d")
    assert Config.from_environ({}, keep_environ="a.b").keep_environ == ("a.b",)


def test_a_handshake_is_kept_in_little_more_than_its_values():
    opening(dict(BROWSER))
    values_bytes = sum(map(len, BROWSER.values()))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        kept = [opening(dict(BROWSER)) for _ in range(200)]
        each_bytes = (tracemalloc.get_traced_memory()[0] - before) / len(kept)
    finally:
        tracemalloc.stop()

    assert each_bytes < values_bytes + 300


@pytest.mark.parametrize("raw", [b"\x80", b"a=\xff; b=1", b'a="\xc3"', b"\xed\xa0\x80=x"])
def test_cookies_that_are_no_utf_8_are_read_as_far_as_they_go_and_raise_nothing(raw):
    text = raw.decode("latin-1")

    cookies = OpeningHandshake({"HTTP_COOKIE": f"{text}; good=1"}, ()).cookies

    assert cookies["good"] == "1"


@pytest.mark.parametrize(("trusted", "ip"), [((), "10.0.0.7"), (("10.0.0.7",), "192.0.2.1")])
def test_the_address_is_the_clients_seen_through_proxies_that_are_trusted(trusted, ip):
    environ = {**BROWSER, "HTTP_X_FORWARDED_FOR": "192.0.2.1"}

    assert OpeningHandshake(environ, trusted).ip == ip


def test_a_client_of_a_local_socket_has_no_address():
    assert opening({"HTTP_HOST": "h"}).ip == ""


def test_header_fields_cookies_and_query_are_read_from_what_is_kept():
    kept = opening({**BROWSER, "QUERY_STRING": "a=1&b=&a=2", "HTTP_COOKIE": "one=1; two=2"})

    assert kept.headers["host"] == "example.org"
    assert dict(kept.cookies) == {"one": "1", "two": "2"}
    assert (kept.query["a"], kept.query.getlist("a"), kept.query["b"]) == ("1", ["1", "2"], "")


def test_a_query_has_a_thousand_fields_at_most():
    text = "&".join(["a=1"] * 1_000)
    assert len(opening({"QUERY_STRING": text}).query.getlist("a")) == 1_000

    with pytest.raises(ValueError, match="fields"):
        opening({"QUERY_STRING": f"{text}&a=1"}).query  # noqa: B018


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_any_number_of_fields_comes_back(count):
    environ = {f"HTTP_X{number}": f"value {number}" for number in range(count)}

    assert opening(environ).environ() == environ


@pytest.mark.parametrize("name", ["HTTP_CONNECTION", "HTTP_UPGRADE", "QUERY_STRING", "other"])
@pytest.mark.parametrize("is_over", [False, True])
def test_a_head_of_exactly_the_limit_is_taken(name, is_over):
    environ = {name: "x" * 80}
    value = 80 if name != "other" else 0  # what isn't kept counts by its name alone

    if is_over:
        with pytest.raises(Refused, match="431"):
            OpeningHandshake(environ, (), max_head_bytes=len(name) + value - 1)
    else:
        OpeningHandshake(environ, (), max_head_bytes=len(name) + value)


def test_both_dropped_fields_count():
    environ = {"HTTP_CONNECTION": "x" * 80, "HTTP_UPGRADE": "x" * 90}
    OpeningHandshake(environ, (), max_head_bytes=15 + 12 + 170)

    with pytest.raises(Refused, match="431"):
        OpeningHandshake(environ, (), max_head_bytes=15 + 12 + 169)


@pytest.mark.parametrize(("length", "is_shared"), [(2_048, True), (2_049, False)])
def test_names_of_two_kib_are_shared_and_longer_ones_are_not(length, is_shared):
    environ = {"HTTP_" + "X" * (length - 5): "x"}

    assert (opening(dict(environ))._names is opening(dict(environ))._names) == is_shared
