"""Frames as they leave: literal bytes for each length, type and close code."""

from __future__ import annotations

import pytest

from tina4_wsgi.errors import ProtocolError, UsageError
from tina4_wsgi.protocol.frames import (
    CloseCode,
    Opcode,
    close_payload,
    encode_close,
    encode_frame,
    encode_message,
    may_travel,
    parse_close,
)

TRAVELLING = (
    1000,
    1001,
    1002,
    1003,
    1007,
    1008,
    1009,
    1010,
    1011,
    1012,
    1013,
    1014,
    3000,
    3999,
    4000,
    4401,
    4999,
)
NEVER_TRAVELLING = (0, 1, 999, 1004, 1006, 1015, 1016, 1099, 1100, 1999, 2000, 2999, 5000, 65_535)


def test_opcodes_and_close_codes_are_those_of_the_registries_and_two_of_our_own():
    assert {one.name: one.value for one in Opcode} == {
        "CONTINUATION": 0, "TEXT": 1, "BINARY": 2, "CLOSE": 8, "PING": 9, "PONG": 10,
    }  # fmt: skip
    assert {one.name: one.value for one in CloseCode} == {
        "NORMAL": 1000, "GOING_AWAY": 1001, "PROTOCOL_ERROR": 1002, "UNSUPPORTED_DATA": 1003, "NO_STATUS": 1005,
        "ABNORMAL": 1006, "INVALID_PAYLOAD": 1007, "POLICY_VIOLATION": 1008, "MESSAGE_TOO_BIG": 1009,
        "MANDATORY_EXTENSION": 1010, "INTERNAL_ERROR": 1011, "SERVICE_RESTART": 1012, "TRY_AGAIN_LATER": 1013,
        "BAD_GATEWAY": 1014, "TLS_HANDSHAKE": 1015, "UNAUTHENTICATED": 4401, "FORBIDDEN": 4403,
    }  # fmt: skip


# -- lengths


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, b"\x82\x00"),
        (1, b"\x82\x01"),
        (125, b"\x82\x7d"),
        (126, b"\x82\x7e\x00\x7e"),
        (65_535, b"\x82\x7e\xff\xff"),
        (65_536, b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_a_length_is_written_in_its_shortest_form(size, head):
    assert encode_frame(Opcode.BINARY, b"x" * size) == head + b"x" * size
    assert encode_message(b"x" * size) == head + b"x" * size


def test_a_text_has_the_length_of_its_utf8():
    assert encode_message("é" * 63) == b"\x81\x7e\x00\x7e" + b"\xc3\xa9" * 63


def test_reserved_bits_go_into_the_first_byte():
    assert encode_frame(Opcode.TEXT, b"x", reserved=0x40) == b"\xc1\x01x"


# -- messages


@pytest.mark.parametrize(
    ("message", "frame"),
    [
        ("", b"\x81\x00"),
        ("hello", b"\x81\x05hello"),
        ("Grüße", b"\x81\x07Gr\xc3\xbc\xc3\x9fe"),
        ("\U0001f600", b"\x81\x04\xf0\x9f\x98\x80"),
        ("\0", b"\x81\x01\0"),
        (b"", b"\x82\x00"),
        (b"\xff\x00", b"\x82\x02\xff\x00"),
        (bytearray(b"ab"), b"\x82\x02ab"),
        (memoryview(b"ab"), b"\x82\x02ab"),
        (memoryview(b"a-b-")[::2], b"\x82\x02ab"),
    ],
)
def test_str_leaves_as_text_and_bytes_as_binary(message, frame):
    assert encode_message(message) == frame


def test_a_subclass_of_str_leaves_as_text():
    class Markup(str):
        __slots__ = ()

    assert encode_message(Markup("x")) == b"\x81\x01x"


def test_what_a_subclass_of_str_makes_of_its_bytes_is_not_asked():
    class Loud(str):
        def encode(self, *arguments):
            return b"WRONG"

        def __str__(self):
            return "WRONG"

    assert encode_message(Loud("hi")) == b"\x81\x02hi"


def test_a_later_change_of_a_bytearray_does_not_reach_the_frame():
    message = bytearray(b"ab")

    frame = encode_message(message)
    message[0] = 0x7A

    assert frame == b"\x82\x02ab"


@pytest.mark.parametrize("message", [None, 1, 1.5, ["a"], {"a": 1}, object()])
def test_another_type_is_the_callers_fault_and_the_message_says_what_to_do(message):
    with pytest.raises(
        UsageError, match=f"message is a {type(message).__name__}, expected .* as JSON"
    ):
        encode_message(message)


def test_a_lone_surrogate_is_the_callers_fault():
    with pytest.raises(UsageError, match="UTF-8"):
        encode_message("x\ud800")


# -- close frames


@pytest.mark.parametrize("code", TRAVELLING)
def test_a_registered_or_private_code_may_travel(code):
    assert may_travel(code)
    assert encode_close(code) == b"\x88\x02" + code.to_bytes(2, "big")


@pytest.mark.parametrize("code", [*NEVER_TRAVELLING, -1, 65_536])
def test_any_other_code_is_refused_to_the_caller(code):
    assert not may_travel(code)
    with pytest.raises(UsageError, match=f"close code {code} may not travel"):
        encode_close(code)


def test_1005_is_written_as_no_code_at_all():
    assert not may_travel(CloseCode.NO_STATUS)
    assert encode_close(1005) == b"\x88\x00"


def test_a_reason_follows_the_code():
    assert encode_close(1000, "bye") == b"\x88\x05\x03\xe8bye"


@pytest.mark.parametrize(
    ("reason", "kept"),
    [
        ("x" * 123, b"x" * 123),
        ("x" * 124, b"x" * 123),
        ("é" * 61 + "x", b"\xc3\xa9" * 61 + b"x"),
        ("é" * 62, b"\xc3\xa9" * 61),
        ("x" * 120 + "\U0001f600", b"x" * 120),
        ("x" * 119 + "\U0001f600", b"x" * 119 + b"\xf0\x9f\x98\x80"),
        ("x" * 100_000, b"x" * 123),
    ],
)
def test_a_long_reason_is_cut_between_characters(reason, kept):
    assert close_payload(1000, reason) == b"\x03\xe8" + kept


def test_a_reason_that_utf8_cannot_express_still_closes():
    assert close_payload(1000, "a\ud800b") == b"\x03\xe8a?b"


@pytest.mark.parametrize("code", TRAVELLING)
def test_a_peer_may_send_what_we_may_send(code):
    assert parse_close(code.to_bytes(2, "big") + "tschüß".encode()) == (code, "tschüß")


def test_an_empty_close_payload_reads_as_1005():
    assert parse_close(b"") == (1005, "")


@pytest.mark.parametrize("payload", [b"\x00", b"\x03", b"\xff"])
def test_a_close_payload_of_one_byte_fails_with_1002(payload):
    with pytest.raises(ProtocolError) as caught:
        parse_close(payload)

    assert caught.value.close_code == 1002


@pytest.mark.parametrize("code", [*NEVER_TRAVELLING, 1005])
def test_a_peers_code_that_may_not_travel_fails_with_1002(code):
    with pytest.raises(ProtocolError) as caught:
        parse_close(code.to_bytes(2, "big"))

    assert caught.value.close_code == 1002


@pytest.mark.parametrize(
    "reason", [b"\xff", b"ok\xc3", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf4\x90\x80\x80"]
)
def test_a_peers_reason_that_is_not_utf8_fails_with_1007(reason):
    with pytest.raises(ProtocolError) as caught:
        parse_close(b"\x03\xe8" + reason)

    assert caught.value.close_code == 1007


def test_what_close_payload_writes_parse_close_reads():
    assert parse_close(close_payload(4401, "who are you")) == (4401, "who are you")
