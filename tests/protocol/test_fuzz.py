"""Random bytes and random mixtures of good and bad frames; `make fuzz` tries many more of them.

FUZZ_EXAMPLES in the environment says how many of each.
"""

from __future__ import annotations

import os
import tracemalloc
import zlib

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.fuzzing import HEADERS, check_handshake, check_stops, check_stream
from tests.support.raw import client_frame
from tests.support.splits import cut_at
from tina4_wsgi.config import Config
from tina4_wsgi.errors import ProtocolError
from tina4_wsgi.protocol.session import Session

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "300"))

pytestmark = pytest.mark.deadline(max(30.0, EXAMPLES / 10))

fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def compressed(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(
        b"\x00\x00\xff\xff"
    )


# -- what streams are made of

texts = st.text(max_size=60).map(lambda text: text.encode(errors="replace"))
almost_texts = st.builds(
    lambda text, at, bad: text[:at] + bad + text[at:],
    texts,
    st.integers(0, 20),
    st.binary(max_size=2),
)
payloads = st.one_of(
    st.binary(max_size=20),
    texts,
    almost_texts,
    st.binary(min_size=120, max_size=140),
    texts.map(compressed),
    st.sampled_from([b"", b"\x03\xe8", b"\x03\xe8bye", b"\x03\xed", b"\x03", b"\x10\x00\xff"]),
)
keys = st.sampled_from([b"\0\0\0\0", b"\x01\x02\x03\x04", b"\xff\xff\xff\xff"])
opcodes = st.sampled_from([0, 1, 2, 1, 2, 1, 2, 9, 10, 3, 0x41, 0x42, 0x40, 0x10])
frames = st.builds(
    lambda opcode, payload, mask, fin: client_frame(opcode, payload, mask=mask, fin=fin),
    opcodes,
    payloads,
    st.one_of(keys, keys, keys, keys, keys, st.just(b"")),
    st.booleans(),
)
closes = st.builds(
    lambda code, reason: client_frame(8, code.to_bytes(2, "big") + reason),
    st.one_of(st.sampled_from([1000, 1001, 1005, 1006, 4000]), st.integers(0, 65_535)),
    texts,
)
heads = st.builds(
    lambda first, second, rest: bytes((first, second)) + rest,
    st.sampled_from([0x81, 0x82, 0x01, 0x80, 0x88, 0x89]),
    st.sampled_from([0x80, 0x85, 0xFD, 0xFE, 0xFF, 0x7E]),
    st.builds(
        lambda size, rest: size.to_bytes(8, "big").lstrip(b"\0") + rest,
        st.integers(0, 1 << 40),
        st.binary(),
    ),
)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """A good message in fragments, with control frames between them."""
    is_text = draw(st.booleans())
    data = draw(texts if is_text else st.binary(max_size=300))
    is_compressed = draw(st.booleans())
    data = compressed(data) if is_compressed else data
    fragments = cut_at(data, draw(st.lists(st.integers(0, len(data)), max_size=5)))
    opcode, stream = (1 if is_text else 2) | (0x40 if is_compressed else 0), b""
    for number, fragment in enumerate(fragments, 1):
        stream += client_frame(opcode, fragment, mask=draw(keys), fin=number == len(fragments))
        opcode = 0
        if draw(st.booleans()):
            stream += client_frame(draw(st.sampled_from([9, 10])), draw(st.binary(max_size=20)))
    return stream


pieces = st.one_of(
    messages(), messages(), messages(), frames, closes, heads, st.binary(max_size=40)
)
streams = st.lists(pieces, max_size=8).map(b"".join)
mostly = st.sampled_from([True, True, True, False])
places = st.lists(st.integers(0, 1 << 16), max_size=12)


# -- what must hold


@fuzz
@given(data=st.binary(max_size=300), places=places, may_compress=st.booleans())
@example(data=b"", places=[], may_compress=False)
def test_any_bytes_are_heard_or_fail_with_a_close_code(data, places, may_compress):
    check_stream(data, places, may_compress)


@fuzz
@given(data=streams, places=places, may_compress=mostly)
def test_good_and_bad_frames_are_heard_the_same_in_any_parts(data, places, may_compress):
    check_stream(data, places, may_compress)


@fuzz
@given(
    data=streams,
    places=places,
    may_compress=mostly,
    most_bytes=st.integers(125, 300),
    most_fragments=st.integers(1, 8),
)
def test_no_message_is_over_the_limits(data, places, may_compress, most_bytes, most_fragments):
    check_stream(
        data, places, may_compress, max_message_bytes=most_bytes, max_fragments=most_fragments
    )


@fuzz
@given(data=st.lists(messages(), max_size=8).map(b"".join), places=places)
def test_good_messages_never_fail(data, places):
    assert check_stream(data, places, may_compress=True).fault is None


@fuzz
@given(data=st.lists(messages(), max_size=12).map(b"".join), places=places, limit=st.integers(1, 4))
def test_stopping_at_the_inbound_limit_loses_nothing(data, places, limit):
    check_stops(data, places, limit, may_compress=True)


@pytest.mark.measures
@settings(fuzz, max_examples=max(30, EXAMPLES // 5))
@given(parts=st.lists(st.tuples(pieces, st.integers(1, 2_000)), max_size=5), may_compress=mostly)
def test_no_stream_holds_more_memory_than_the_limits_allow(parts, may_compress):
    session, messages = Session(Config(max_message_bytes=2_000), may_compress), []
    tracemalloc.start()
    try:
        for piece, times in parts:
            for _ in range(times):
                session.feed(piece, messages)
                session.pongs = None
                messages.clear()
    except ProtocolError:
        pass
    finally:
        held = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
    assert held < 131_072  # an inflater alone has 50 KiB


# -- the handshake

# A server hands header values on as latin-1, without line breaks at their ends.
values = st.text(st.characters(max_codepoint=255), max_size=40)
TELLING = (
    "",
    ",",
    "websocket",
    "Upgrade",
    "keep-alive, Upgrade",
    "13",
    "8",
    "dGhlIHNhbXBsZSBub25jZQ==",
    "0",
    "null",
    "example.org",
    "http://example.org",
    "https://app.example",
    "http://[::1]:80",
    "http://a:b@c",
    "http://[",
    "chat",
    "chat, v1",
    "permessage-deflate; server_max_window_bits=9",
    'x; y="z',
    "permessage-deflate; a=",
    "GET",
    "HTTP/1.1",
)
fields = st.one_of(
    st.sampled_from(TELLING),
    values,
    st.builds("{}{}{}".format, st.sampled_from(TELLING), values, st.sampled_from(TELLING)),
)
CORRECT = {
    "REQUEST_METHOD": "GET",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "HTTP_HOST": "example.org",
    "HTTP_UPGRADE": "websocket",
    "HTTP_CONNECTION": "Upgrade",
    "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
}


@fuzz
@given(
    changes=st.dictionaries(st.sampled_from(HEADERS), fields),
    method=st.sampled_from(["GET", "POST", ""]),
)
def test_any_handshake_is_accepted_or_refused_with_a_status(changes, method):
    check_handshake({**CORRECT, "REQUEST_METHOD": method, **changes})
