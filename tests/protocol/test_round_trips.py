"""What clients that other people wrote say is heard, and what we answer they hear."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.splits import cut_at, hear
from tina4_wsgi.protocol import deflate, handshake
from tina4_wsgi.protocol.frames import encode_close, encode_message

pytest.importorskip("wsproto")

from tests.support.independent import Client, WebsocketsClient, WsprotoClient

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "300"))  # as in test_fuzz

pytestmark = [
    pytest.mark.deadline(max(30.0, EXAMPLES / 10)),
    pytest.mark.parametrize("make_client", [WebsocketsClient, WsprotoClient]),
]

fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def environ_of(request: bytes) -> dict[str, str]:
    """Read a request as a WSGI server does."""
    first, *lines = request.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    method, _, protocol = first.split(" ")
    fields = (line.split(":", 1) for line in lines)
    environ = {f"HTTP_{name.upper().replace('-', '_')}": value.strip() for name, value in fields}
    return {**environ, "REQUEST_METHOD": method, "SERVER_PROTOCOL": protocol}


def shake_hands(client: Client, spoken: tuple[str, ...] = ()) -> tuple[int, str | None]:
    """Answer a client's request; gives the window of permessage-deflate, 0 without it, and the
    subprotocol.
    """
    environ = environ_of(client.request())
    assert handshake.wants_websocket(environ)
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
    lines.append(f"Sec-WebSocket-Accept: {handshake.check(environ)}")
    window_bits = 0
    if "HTTP_SEC_WEBSOCKET_EXTENSIONS" in environ:
        agreement = deflate.negotiate(
            deflate.parse_offers(environ["HTTP_SEC_WEBSOCKET_EXTENSIONS"])
        )
        assert agreement is not None
        window_bits = agreement.window_bits
        lines.append(f"Sec-WebSocket-Extensions: {agreement.answer}")
    subprotocol = handshake.choose_subprotocol(environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL"), spoken)
    if subprotocol is not None:
        lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    client.open("\r\n".join([*lines, "", ""]).encode())
    return window_bits, subprotocol


def encoded(message: str | bytes, window_bits: int) -> bytes:
    frame = encode_message(message)
    return deflate.compress_frame(frame, window_bits, 0, 6, 8) if window_bits else frame


def test_a_handshake_is_understood_on_both_sides(make_client):
    assert shake_hands(make_client()) == (0, None)


def test_deflate_is_agreed_on(make_client):
    assert shake_hands(make_client(deflate=True)) == (15, None)


def test_a_subprotocol_is_agreed_on(make_client):
    client = make_client(subprotocols=["superchat", "chat"])

    assert shake_hands(client, spoken=("chat", "talk")) == (0, "chat")


messages = st.one_of(
    st.text(max_size=200), st.binary(max_size=200), st.text("ab", min_size=300, max_size=3_000)
)
places = st.lists(st.integers(0, 1 << 16), max_size=6)
steps = st.lists(
    st.tuples(messages, places, st.lists(st.binary(max_size=125), max_size=3)), max_size=6
)


@fuzz
@given(steps=steps, places=places, with_deflate=st.booleans())
def test_what_the_client_says_is_heard(make_client, steps, places, with_deflate):
    client = make_client(deflate=with_deflate)
    shake_hands(client)
    pings = [ping for _, cuts, pings in steps for ping in pings[: len(cuts) + 1]]

    heard = hear(
        cut_at(b"".join(client.say(*step) for step in steps), places), may_compress=with_deflate
    )

    assert heard.fault is None
    assert heard.messages == [message for message, _, _ in steps]
    assert client.hear(heard.pongs).pongs == pings


@fuzz
@given(messages=st.lists(messages, max_size=6), places=places, with_deflate=st.booleans())
def test_what_we_say_the_client_hears(make_client, messages, places, with_deflate):
    client = make_client(deflate=with_deflate)
    window_bits, _ = shake_hands(client)

    answer = client.hear(
        cut_at(b"".join(encoded(message, window_bits) for message in messages), places)
    )

    assert answer.messages == messages


codes = st.one_of(
    st.sampled_from([1000, 1001, 1002, 1003, 1007, 1008, 1009, 1011]), st.integers(3000, 4999)
)
reasons = st.text(max_size=30)


@fuzz
@given(code=codes, reason=reasons, places=places)
def test_the_clients_close_is_heard(make_client, code, reason, places):
    client = make_client()
    shake_hands(client)

    heard = hear(cut_at(client.close(code, reason), places))

    assert heard.peer_close == (code, reason)


@fuzz
@given(code=codes, reason=reasons, places=places)
def test_our_close_is_heard_and_answered_with_its_code(make_client, code, reason, places):
    client = make_client()
    shake_hands(client)

    answer = client.hear(cut_at(encode_close(code, reason), places))

    assert answer.close == (code, reason)
    heard = hear([client.answers()])
    assert heard.peer_close is not None
    assert heard.peer_close[0] == code
