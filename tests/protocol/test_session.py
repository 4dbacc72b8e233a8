"""What a server hears: literal bytes in, messages, pongs, a close or a fault out.

Most frames are masked with four zero bytes (`KEY`), which leaves the payload readable here.
"""

from __future__ import annotations

import pytest

from tests.support.splits import Heard, single_bytes
from tina4_wsgi.config import Config
from tina4_wsgi.errors import ProtocolError
from tina4_wsgi.protocol.session import Session

KEY = b"\0\0\0\0"
HELLO = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"  # RFC 6455 §5.7
SIZES = (0, 1, 124, 125, 126, 127, 128, 65_534, 65_535, 65_536)


def masked(first: int, payload: bytes, key: bytes = KEY) -> bytes:
    """Lay out a frame whose length has the shortest form."""
    size = len(payload)
    if size < 126:
        head = bytes((first, 0x80 | size))
    elif size < 65_536:
        head = bytes((first, 0xFE)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, 0xFF)) + size.to_bytes(8, "big")
    if key == KEY:
        return head + key + payload
    return head + key + bytes(byte ^ key[at % 4] for at, byte in enumerate(payload))


# -- whole messages


def test_the_masked_text_of_the_rfc_is_heard(hear):
    assert hear(HELLO) == Heard(["Hello"])


def test_text_is_heard_as_str_and_binary_as_bytes(hear):
    data = b"\x81\x83" + KEY + b"\xe2\x82\xac" + b"\x82\x83" + KEY + b"\xe2\x82\xac"

    assert hear(data) == Heard(["€", b"\xe2\x82\xac"])


@pytest.mark.parametrize("size", SIZES)
def test_every_length_of_binary_is_heard(hear, size):
    payload = bytes(at % 251 for at in range(size))

    assert hear(masked(0x82, payload, b"\x12\x34\x56\x78")) == Heard([payload])


@pytest.mark.parametrize("size", SIZES)
def test_every_length_of_text_is_heard(hear, size):
    text = "abcdefghijklm"[: size % 13] + "abcdefghijklm" * (size // 13)

    assert hear(masked(0x81, text.encode(), b"\xff\xee\xdd\xcc")) == Heard([text])


def test_messages_keep_their_order(hear):
    data = b"".join(masked(0x81 + at % 2, b"%d" % at) for at in range(50))

    assert hear(data).messages == [b"%d" % at if at % 2 else str(at) for at in range(50)]


@pytest.mark.parametrize("first", [0x81, 0x82])
def test_long_messages_that_come_together_are_told_apart(hear, first):
    sizes = (126, 256, 300, 511, 512, 40_000, 65_535, 255, 126)

    heard = hear(b"".join(masked(first, b"x" * size) for size in sizes))

    assert [len(one) for one in heard.messages] == list(sizes)


def test_each_frame_has_a_mask_of_its_own(hear):
    data = masked(0x01, b"one", b"\x01\x02\x03\x04") + masked(0x80, b"two", b"\xff\x00\xff\x00")

    assert hear(data) == Heard(["onetwo"])


def test_empty_messages_are_messages(hear):
    assert hear(b"\x81\x80" + KEY + b"\x82\x80" + KEY) == Heard(["", b""])


def test_no_byte_is_nothing():
    session, messages = Session(Config()), []

    assert session.feed(b"", messages) is False
    assert (messages, session.pongs, session.peer_close, session.has_buffered) == (
        [],
        None,
        None,
        False,
    )


def test_feed_says_whether_there_is_more_than_messages():
    session, messages = Session(Config()), []

    assert session.feed(HELLO, messages) is False
    assert session.feed(b"\x89\x80" + KEY, messages) is True
    session.pongs = None
    assert session.feed(masked(0x88, b"\x03\xe8"), messages) is True
    assert session.feed(HELLO, messages) is True


def feed_raw(session: Session, raw: bytes, size: int, messages: list[str | bytes]) -> bool:
    """Call `Session.feed_raw`, which in the compiled module only C can call: there `feed`."""
    if hasattr(session, "feed_raw"):
        return session.feed_raw(raw, size, messages)
    return session.feed(raw[:size], messages)


def test_feed_raw_says_the_same_and_keeps_what_it_needs():
    session, messages = Session(Config()), []

    assert feed_raw(session, HELLO + b"behind it", len(HELLO), messages) is False
    assert feed_raw(session, b"\x89\x80" + KEY, 6, messages) is True
    session.pongs = None
    assert feed_raw(session, HELLO, 4, messages) is False
    assert session.has_buffered
    assert feed_raw(session, HELLO[4:], len(HELLO) - 4, messages) is False
    assert feed_raw(session, b"", 0, messages) is False
    assert messages == ["Hello", "Hello"]


@pytest.mark.parametrize("cut", [2, 6])
def test_the_rest_of_a_frame_that_looks_like_a_frame_is_the_rest_of_one(cut):
    key = b"\x81\x80\0\0"
    data = masked(0x82, HELLO, key if cut == 2 else KEY)
    session, messages = Session(Config()), []

    feed_raw(session, data[:cut], cut, messages)
    feed_raw(session, data[cut:], len(data) - cut, messages)

    assert messages == [HELLO]


@pytest.mark.parametrize(
    ("limits", "taken"),
    [
        ({"max_inbound_bytes": 1_100}, 11),
        ({"max_inbound_bytes": 1_101}, 12),
        ({"max_inbound_messages": 7}, 7),
    ],
)
@pytest.mark.parametrize("first", [0x81, 0x82])
def test_it_stops_at_either_limit_and_goes_on_when_there_is_room(limits, taken, first):
    session, messages = Session(Config(**limits)), []

    session.feed(masked(first, b"x" * 100) * 20, messages)
    assert (len(messages), session.queued_bytes) == (taken, 100 * taken)
    assert session.has_buffered
    heard = len(messages)
    while session.has_buffered:
        messages.clear()
        session.queued_bytes = 0
        session.feed(b"", messages)
        assert len(messages) <= taken
        heard += len(messages)

    assert heard == 20


@pytest.mark.parametrize("waiting", [0, 3])
def test_without_room_nothing_is_taken_and_all_is_kept(waiting):
    session, messages = Session(Config(max_inbound_messages=3)), ["x"] * waiting
    if not waiting:
        session.queued_bytes = session.most_bytes

    feed_raw(session, HELLO * 2, 2 * len(HELLO), messages)
    assert (messages, session.has_buffered) == (["x"] * waiting, True)
    messages.clear()
    session.queued_bytes = 0
    feed_raw(session, b"", 0, messages)

    assert messages == ["Hello", "Hello"]


def test_behind_a_close_frame_nothing_is_heard_by_feed_raw_either():
    session, messages = Session(Config()), []
    data = masked(0x88, b"\x03\xe8")
    assert feed_raw(session, data, len(data), messages) is True

    assert feed_raw(session, HELLO, len(HELLO), messages) is True

    assert messages == []


@pytest.mark.parametrize("key", [b"\x00\xc8\x00\x00", b"\x01\x00\x00\x00", b"\xff\xff\xff\xff"])
def test_a_mask_that_looks_like_a_length_is_none(hear, key):
    data = masked(0x81, b"short", key) + masked(0x82, b"x" * 1_000)

    assert hear(data) == Heard(["short", b"x" * 1_000])


def test_the_bytes_that_wait_are_counted_as_they_are_held():
    session, messages = Session(Config()), []
    assert session.held_bytes == 0

    session.feed(HELLO + masked(0x01, b"first part") + b"\x80", messages)
    assert (session.queued_bytes, session.held_bytes) == (5, 5 + 10 + 1)
    assert session.is_assembling
    session.drop()

    assert (session.is_assembling, session.held_bytes, session.has_buffered) == (False, 5, False)


def test_a_message_is_assembled_up_to_its_last_byte():
    session, messages, seen = Session(Config()), [], []

    for part in (HELLO, masked(0x01, b"a"), HELLO[:0], b"\x80\x81" + KEY, b"b", HELLO[:7]):
        session.feed(part, messages)
        seen.append(session.is_assembling)

    assert (seen, messages) == ([False, True, True, True, False, True], ["Hello", "ab"])


# -- lengths that are refused


@pytest.mark.parametrize(
    "head",
    [
        b"\x82\xfe\x00\x00",
        b"\x82\xfe\x00\x7d",
        b"\x82\xff\x00\x00\x00\x00\x00\x00\x00\x00",
        b"\x82\xff\x00\x00\x00\x00\x00\x00\x00\x7d",
        b"\x82\xff\x00\x00\x00\x00\x00\x00\x00\x7e",
        b"\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff",
    ],
)
def test_a_length_in_a_longer_form_than_needed_fails_with_1002(hear, head):
    assert hear(head) == Heard(fault=(1002, "payload length not in its shortest form"))


@pytest.mark.parametrize("first", [0x81, 0x82])
@pytest.mark.parametrize("length", [0, 1, 124, 125])
def test_a_whole_message_with_a_length_in_a_longer_form_fails_too(hear, first, length):
    frame = bytes((first, 0xFE)) + length.to_bytes(2, "big") + KEY + b"x" * length

    heard = hear(HELLO + frame + HELLO)

    assert heard == Heard(["Hello"], fault=(1002, "payload length not in its shortest form"))


@pytest.mark.parametrize(
    "length", [b"\x80" + b"\0" * 7, b"\xff" * 8, b"\x80" + b"\0" * 6 + b"\x01"]
)
def test_a_length_with_the_top_bit_set_fails_with_1002(hear, length):
    assert hear(b"\x82\xff" + length) == Heard(fault=(1002, "payload length with the top bit set"))


# -- masks, reserved bits, opcodes


@pytest.mark.parametrize(
    "frame",
    [
        b"\x81\x05Hello",
        b"\x81\x00",
        b"\x82\x7e\x00\x7e",
        b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00",
        b"\x81\x7dHello",
        b"\x89\x00",
        b"\x8a\x00",
        b"\x88\x00",
        b"\x00\x01a",
    ],
)
def test_an_unmasked_frame_fails_with_1002(hear, frame):
    assert hear(frame) == Heard(fault=(1002, "frame is not masked, a client masks every frame"))


def test_an_unmasked_frame_after_masked_ones_fails_with_1002(hear):
    heard = hear(HELLO + b"\x81\x05Hello")

    assert (heard.messages, heard.fault_code) == (["Hello"], 1002)


@pytest.mark.parametrize("bits", range(0x10, 0x80, 0x10))
@pytest.mark.parametrize("first", [0x81, 0x82, 0x01, 0x88, 0x89, 0x8A])
def test_a_reserved_bit_fails_with_1002(hear, first, bits):
    assert hear(bytes((first | bits, 0x80)) + KEY).fault_code == 1002


def test_a_reserved_bit_on_a_continuation_fails_with_1002(hear):
    assert hear(b"\x01\x81" + KEY + b"a" + b"\xc0\x81" + KEY + b"b").fault_code == 1002


@pytest.mark.parametrize("opcode", [0x3, 0x4, 0x5, 0x6, 0x7, 0xB, 0xC, 0xD, 0xE, 0xF])
@pytest.mark.parametrize("final", [0x80, 0x00])
def test_a_reserved_opcode_fails_with_1002(hear, opcode, final):
    assert hear(bytes((final | opcode, 0x80)) + KEY) == Heard(
        fault=(1002, f"opcode 0x{opcode:X} is reserved")
    )


def test_a_fault_in_the_first_two_bytes_does_not_wait_for_a_third():
    session = Session(Config())

    with pytest.raises(ProtocolError):
        session.feed(b"\x83\x80", [])


# -- control frames


@pytest.mark.parametrize("payload", [b"", b"7", b"\x00\xff\xfe", b"x" * 125])
def test_a_ping_is_answered_with_the_same_payload(hear, payload):
    heard = hear(masked(0x89, payload, b"\x0a\x0b\x0c\x0d"))

    assert heard == Heard(pongs=[b"\x8a" + bytes((len(payload),)) + payload])


def test_pings_are_answered_in_order(hear):
    heard = hear(masked(0x89, b"1") + HELLO + masked(0x89, b"2"))

    assert heard == Heard(["Hello"], [b"\x8a\x011", b"\x8a\x012"])


@pytest.mark.parametrize("payload", [b"", b"nobody asked", b"x" * 125])
def test_a_pong_is_taken_in_silence(hear, payload):
    assert hear(masked(0x8A, payload) + HELLO) == Heard(["Hello"])


@pytest.mark.parametrize("first", [0x88, 0x89, 0x8A])
@pytest.mark.parametrize(
    "length", [b"\xfe\x00\x7e", b"\xfe\x00\x05", b"\xff\x00\x00\x00\x00\x00\x01\x00\x00"]
)
def test_a_control_frame_over_125_bytes_fails_with_1002(hear, first, length):
    heard = hear(bytes((first,)) + length + KEY)

    assert heard == Heard(fault=(1002, "control frame over 125 bytes"))


@pytest.mark.parametrize("first", [0x08, 0x09, 0x0A])
def test_a_fragmented_control_frame_fails_with_1002(hear, first):
    assert hear(bytes((first, 0x80)) + KEY) == Heard(fault=(1002, "fragmented control frame"))


def test_control_frames_may_stand_between_fragments(hear):
    data = (
        masked(0x01, b"Hel")
        + masked(0x89, b"ping")
        + masked(0x00, b"l")
        + masked(0x8A, b"")
        + masked(0x89, b"")
        + masked(0x80, b"o")
    )

    assert hear(data) == Heard(["Hello"], [b"\x8a\x04ping", b"\x8a\x00"])


# -- fragments


def test_fragments_make_one_message(hear):
    data = b"\x01\x83" + KEY + b"Hel" + b"\x00\x81" + KEY + b"l" + b"\x80\x81" + KEY + b"o"

    assert hear(data) == Heard(["Hello"])


def test_binary_fragments_make_one_message(hear):
    assert hear(b"\x02\x81" + KEY + b"\xff" + b"\x80\x81" + KEY + b"\xfe") == Heard([b"\xff\xfe"])


def test_empty_fragments_add_nothing(hear):
    empty = b"\x00\x80" + KEY
    data = b"\x01\x80" + KEY + empty + masked(0x00, b"a") + empty + b"\x80\x80" + KEY

    assert hear(data) == Heard(["a"])


def test_a_message_may_consist_of_empty_fragments(hear):
    assert hear(b"\x02\x80" + KEY + b"\x00\x80" + KEY + b"\x80\x80" + KEY) == Heard([b""])


def test_a_fragmented_message_is_not_heard_before_its_end(hear):
    assert hear(masked(0x01, b"Hel") + masked(0x00, b"lo")) == Heard()


def test_a_new_message_may_follow_a_fragmented_one(hear):
    data = masked(0x01, b"a") + masked(0x80, b"b") + masked(0x02, b"c") + masked(0x80, b"d") + HELLO

    assert hear(data) == Heard(["ab", b"cd", "Hello"])


@pytest.mark.parametrize("first", [0x00, 0x80])
def test_a_continuation_of_nothing_fails_with_1002(hear, first):
    expected = Heard(fault=(1002, "continuation without a message to continue"))

    assert hear(masked(first, b"lo")) == expected


def test_a_continuation_after_the_last_fragment_fails_with_1002(hear):
    heard = hear(masked(0x01, b"a") + masked(0x80, b"b") + masked(0x80, b"c"))

    assert (heard.messages, heard.fault_code) == (["ab"], 1002)


@pytest.mark.parametrize("first", [0x01, 0x02, 0x81, 0x82])
def test_a_new_message_inside_a_fragmented_one_fails_with_1002(hear, first):
    expected = Heard(fault=(1002, "new message inside a fragmented one"))

    assert hear(masked(0x01, b"Hel") + masked(first, b"lo")) == expected


# -- UTF-8


@pytest.mark.parametrize(
    "text",
    [
        "κόσμε",
        "\0",
        "\x7f\x80",
        "\u07ff\u0800",
        "\ud7ff\ue000",
        "\ufffd\uffff",
        "\U00010000",
        "\U0010ffff",
    ],
)
def test_characters_may_be_cut_anywhere(hear, text):
    data, pieces = text.encode(), [text.encode()[at : at + 1] for at in range(len(text.encode()))]
    fragments = (
        masked(0x01, b"") + b"".join(masked(0x00, piece) for piece in pieces) + masked(0x80, b"")
    )

    assert hear(masked(0x81, data) + fragments) == Heard([text, text])


BAD_UTF8 = (
    b"\x80",
    b"\xbf",
    b"\xfe",
    b"\xff",
    b"\xc0\xaf",
    b"\xc1\xbf",
    b"\xe0\x80\xaf",
    b"\xe0\x9f\xbf",
    b"\xf0\x80\x80\xaf",
    b"\xf0\x8f\xbf\xbf",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xc3(",
    b"\xe2\x82(",
    b"\xf0\x9f\x98(",
)


@pytest.mark.parametrize("bad", BAD_UTF8)
def test_text_that_is_not_utf8_fails_with_1007(hear, bad):
    expected = Heard(fault=(1007, "text is not UTF-8"))

    assert hear(masked(0x81, b"good " + bad + b" good", b"\x09\x08\x07\x06")) == expected


@pytest.mark.parametrize("bad", BAD_UTF8)
def test_fragmented_text_that_is_not_utf8_fails_with_1007(hear, bad):
    data = masked(0x01, b"good ") + b"".join(
        masked(0x00, bad[at : at + 1]) for at in range(len(bad))
    )

    assert hear(data + masked(0x80, b" good")) == Heard(fault=(1007, "text is not UTF-8"))


@pytest.mark.parametrize("bad", BAD_UTF8)
def test_binary_may_be_anything(hear, bad):
    assert hear(masked(0x82, bad)) == Heard([bad])


@pytest.mark.parametrize("end", [b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98"])
def test_text_that_ends_inside_a_character_fails_with_1007(hear, end):
    assert hear(masked(0x81, b"x" + end)).fault_code == 1007
    assert hear(masked(0x81, b"x" * 200 + end)).fault_code == 1007
    assert hear(masked(0x01, b"x") + masked(0x80, end)).fault_code == 1007
    assert hear(masked(0x01, end) + masked(0x80, b"")).fault_code == 1007


@pytest.mark.parametrize(
    "bad", [b"\xff", b"\xc0", b"\xed\xa0", b"\xed\xbf", b"\xf4\x90", b"\xe0\x80", b"\xf0\x80"]
)
def test_bad_utf8_fails_before_its_frame_is_complete(hear, bad):
    announced = b"\x81\xfe\x10\x00" + KEY

    assert hear(announced + b"good " + bad) == Heard(fault=(1007, "text is not UTF-8"))


def test_bad_utf8_fails_in_the_byte_that_makes_it_bad():
    session, messages = Session(Config()), []
    session.feed(b"\x81\xfe\x10\x00" + KEY + b"\xf4", messages)

    with pytest.raises(ProtocolError) as caught:
        session.feed(b"\x90", messages)  # what begins with \xf4\x90 is beyond U+10FFFF

    assert caught.value.close_code == 1007


def test_bad_utf8_in_a_first_fragment_fails_before_the_second(hear):
    assert hear(masked(0x01, b"\xce\xba\xe1\xbd\xb9\xed\xa0")).fault_code == 1007


# -- close frames


def test_a_close_frame_gives_code_and_reason(hear):
    assert hear(b"\x88\x85" + KEY + b"\x03\xe8bye") == Heard(peer_close=(1000, "bye"))


def test_a_close_frame_without_a_code_reads_as_1005(hear):
    assert hear(b"\x88\x80" + KEY) == Heard(peer_close=(1005, ""))


def test_a_close_reason_may_have_123_bytes(hear):
    assert hear(masked(0x88, b"\x10\x00" + b"x" * 123)) == Heard(peer_close=(4096, "x" * 123))


@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, 1007, 1008, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
)
def test_a_close_code_that_may_travel_is_heard(hear, code):
    assert hear(masked(0x88, code.to_bytes(2, "big"))) == Heard(peer_close=(code, ""))


@pytest.mark.parametrize(
    "code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535]
)
def test_a_close_code_that_may_not_travel_fails_with_1002(hear, code):
    heard = hear(masked(0x88, code.to_bytes(2, "big")))

    assert heard == Heard(fault=(1002, f"close code {code} may not travel"))


def test_a_close_payload_of_one_byte_fails_with_1002(hear):
    heard = hear(b"\x88\x81" + KEY + b"\x03")

    assert heard == Heard(fault=(1002, "close payload of 1 byte, expected none or at least 2"))


def test_a_close_reason_that_is_not_utf8_fails_with_1007(hear):
    heard = hear(b"\x88\x84" + KEY + b"\x03\xe8\xff\xfe")

    assert heard == Heard(fault=(1007, "close reason is not UTF-8"))


@pytest.mark.parametrize(
    "behind",
    [HELLO, masked(0x89, b"ping"), b"\x83\x00", b"\xff" * 20, b"\x81", masked(0x88, b"\x03\xe9")],
)
def test_nothing_is_read_behind_a_close_frame(hear, behind):
    assert hear(masked(0x88, b"\x03\xe8") + behind) == Heard(peer_close=(1000, ""))


def test_nothing_that_comes_behind_a_close_frame_is_kept():
    session = Session(Config())
    session.feed(masked(0x88, b"\x03\xe8") + HELLO, [])

    session.feed(b"x" * 100_000, [])

    assert not session.has_buffered


def test_a_close_frame_may_come_inside_a_fragmented_message(hear):
    assert hear(masked(0x01, b"Hel") + masked(0x88, b"\x03\xe8")) == Heard(peer_close=(1000, ""))


def test_messages_before_a_close_frame_are_handed_out(hear):
    assert hear(HELLO + HELLO + masked(0x88, b"\x03\xe8")) == Heard(
        ["Hello", "Hello"], peer_close=(1000, "")
    )


# -- faults


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (b"\x81\x05Hello", 1002),
        (b"\xc1\x80" + KEY, 1002),
        (b"\x83\x80" + KEY, 1002),
        (b"\x80\x80" + KEY, 1002),
        (b"\x09\x80" + KEY, 1002),
        (masked(0x81, b"\xff"), 1007),
        (b"\x82\xff\x00\x00\x00\x00\x00\x01\x00\x01", 1009),
    ],
)
def test_what_came_before_a_fault_is_handed_out_first(hear, bad, code):
    heard = hear(HELLO + masked(0x89, b"p") + masked(0x02, b"a") + masked(0x80, b"b") + bad + HELLO)

    assert heard.messages == ["Hello", b"ab"]
    assert heard.pongs == [b"\x8a\x01p"]
    assert heard.fault_code == code


def test_a_reason_of_a_fault_fits_into_a_close_frame(hear):
    heard = hear(b"\x82\xff\x7f" + b"\xff" * 7)

    assert heard.fault == (
        1009,
        "message of 9223372036854775807 bytes or more, at most 65536 allowed",
    )


# -- limits


def test_a_message_of_just_the_limit_is_heard(hear):
    assert hear(masked(0x82, b"x" * 200), max_message_bytes=200) == Heard([b"x" * 200])


@pytest.mark.parametrize("first", [0x81, 0x82, 0x01, 0x02])
def test_a_frame_that_announces_too_much_fails_with_1009_on_its_head_alone(hear, first):
    head = bytes((first,)) + b"\xfe\x00\xc9"

    heard = hear(head, max_message_bytes=200)

    assert heard == Heard(fault=(1009, "message of 201 bytes or more, at most 200 allowed"))


@pytest.mark.parametrize("length", [65_537, 1 << 31, 1 << 32, (1 << 63) - 1])
def test_a_64_bit_length_over_the_limit_fails_with_1009_on_its_head_alone(hear, length):
    assert hear(b"\x82\xff" + length.to_bytes(8, "big")).fault_code == 1009


@pytest.mark.parametrize("first", [0x81, 0x82])
def test_a_64_bit_length_is_not_read_as_one_of_16_bits(hear, first):
    head = bytes((first, 0xFF)) + (200 << 48).to_bytes(8, "big")

    assert hear(head + b"x" * 300).fault_code == 1009


def test_fragments_are_summed(hear):
    data = masked(0x02, b"x" * 100) + masked(0x00, b"x" * 100)

    assert hear(data + masked(0x80, b""), max_message_bytes=200) == Heard([b"x" * 200])
    assert hear(data + b"\x80\x81", max_message_bytes=200).fault_code == 1009


def test_the_sum_of_fragments_begins_anew_with_each_message(hear):
    data = (masked(0x02, b"x" * 100) + masked(0x80, b"x" * 100)) * 3

    assert hear(data, max_message_bytes=200) == Heard([b"x" * 200] * 3)


def test_control_frames_do_not_count_towards_the_size(hear):
    data = masked(0x02, b"x" * 125) + masked(0x89, b"y" * 125) + masked(0x80, b"")

    assert hear(data, max_message_bytes=125).messages == [b"x" * 125]


def test_the_size_of_text_counts_bytes_and_not_characters(hear):
    assert hear(masked(0x81, "é".encode() * 63), max_message_bytes=125).fault_code == 1009
    assert hear(masked(0x81, "é".encode() * 62), max_message_bytes=125) == Heard(["é" * 62])


def test_as_many_fragments_as_allowed_are_heard(hear):
    data = masked(0x01, b"a") + masked(0x00, b"b") + masked(0x80, b"c")

    assert hear(data, max_fragments=3) == Heard(["abc"])


def test_a_fragment_too_many_fails_with_1008(hear):
    data = masked(0x01, b"a") + masked(0x00, b"b") + masked(0x00, b"c") + masked(0x80, b"d")

    assert hear(data, max_fragments=3) == Heard(fault=(1008, "message in over 3 fragments"))


def test_an_unfragmented_message_is_one_fragment(hear):
    assert hear(HELLO * 5, max_fragments=1) == Heard(["Hello"] * 5)


def test_fragments_are_counted_anew_for_each_message(hear):
    data = masked(0x01, b"a") + masked(0x80, b"b")

    assert hear(data * 3, max_fragments=2) == Heard(["ab"] * 3)


def test_empty_fragments_count_too(hear):
    data = b"\x01\x80" + KEY + (b"\x00\x80" + KEY) * 5_000

    assert hear(data) == Heard(fault=(1008, "message in over 4096 fragments"))


def test_control_frames_are_no_fragments(hear):
    data = masked(0x01, b"a") + masked(0x89, b"") * 10 + masked(0x80, b"b")

    assert hear(data, max_fragments=2).messages == ["ab"]


def test_10_000_fragments_of_one_byte_make_a_message(hear):
    data = masked(0x01, b"x") + masked(0x00, b"x") * 9_998 + masked(0x80, b"x")

    assert hear(data, max_fragments=10_000) == Heard(["x" * 10_000])


@pytest.mark.parametrize("first", [0x88, 0x89, 0x8A])
def test_a_control_frame_between_fragments_is_no_part_of_their_size(hear, first):
    data = masked(0x02, b"x" * 150) + masked(first, b"\x03\xe8" + b"y" * 100)

    assert hear(data, max_message_bytes=200).fault is None


# -- the inbound limit


def drained(session: Session, data: bytes) -> list[list[str | bytes]]:
    """Feed, and go on after each stop with an empty queue; gives what each call added."""
    batches: list[list[str | bytes]] = []
    while True:
        batch: list[str | bytes] = []
        session.feed(data, batch)
        if not batch:
            return batches
        batches.append(batch)
        data = b""


def test_feed_stops_at_the_inbound_limit_and_goes_on_from_there():
    session = Session(Config(max_inbound_messages=2))
    data = b"".join(masked(0x81, b"%d" % at) for at in range(5))

    assert drained(session, data) == [["0", "1"], ["2", "3"], ["4"]]
    assert not session.has_buffered


def test_feed_stops_where_as_many_bytes_wait_as_the_inbound_limit_says():
    session, messages = Session(Config(max_inbound_bytes=100_000, max_message_bytes=50_000)), []
    data = masked(0x82, b"x" * 50_000) * 2 + HELLO

    session.feed(data, messages)

    assert ([len(one) for one in messages], session.queued_bytes) == ([50_000, 50_000], 100_000)
    session.queued_bytes -= 1
    session.feed(b"", messages)
    assert messages[2:] == ["Hello"]


def test_a_session_that_stopped_says_that_it_has_more():
    session, messages = Session(Config(max_inbound_messages=1)), []

    session.feed(HELLO + HELLO, messages)

    assert (messages, session.has_buffered) == (["Hello"], True)


def test_bytes_that_come_after_a_stop_queue_up_behind_the_rest():
    session, messages = Session(Config(max_inbound_messages=1)), []
    session.feed(masked(0x81, b"1") + masked(0x81, b"2")[:3], messages)
    messages.clear()

    session.feed(masked(0x81, b"2")[3:] + masked(0x81, b"3"), messages)

    assert messages == ["2"]
    assert drained(session, b"") == [["3"]]


def test_a_message_whose_end_comes_first_counts_towards_the_inbound_limit():
    session, messages = Session(Config(max_inbound_messages=1)), []
    session.feed(masked(0x82, b"ab")[:-1], messages)

    session.feed(b"b" + HELLO, messages)

    assert (messages, session.has_buffered) == ([b"ab"], True)


def test_nothing_is_added_to_messages_that_are_full_already():
    session, messages = Session(Config(max_inbound_messages=1)), [b"waits"]

    session.feed(HELLO, messages)

    assert (messages, session.has_buffered) == ([b"waits"], True)


def test_a_fault_behind_the_inbound_limit_waits_for_its_turn():
    session, messages = Session(Config(max_inbound_messages=1)), []
    session.feed(HELLO + HELLO + b"\x83\x80", messages)
    session.feed(b"", messages := [])

    assert messages == ["Hello"]
    with pytest.raises(ProtocolError):
        session.feed(b"", [])


def test_a_close_behind_the_inbound_limit_waits_for_its_turn():
    session = Session(Config(max_inbound_messages=1))
    session.feed(HELLO + masked(0x88, b"\x03\xe8"), [])
    assert session.peer_close is None

    session.feed(b"", [])

    assert session.peer_close == (1000, "")


def test_control_frames_do_not_count_towards_the_inbound_limit():
    session, messages = Session(Config(max_inbound_messages=1)), []

    session.feed(masked(0x89, b"a") * 3 + HELLO, messages)

    assert messages == ["Hello"]
    assert session.pongs == [b"\x8a\x01a"] * 3


# -- what is held


def test_a_session_holds_what_waits_and_what_has_arrived_of_the_next_message():
    session, messages = Session(Config(max_inbound_messages=1)), []
    assert session.held_bytes == 0

    session.feed(masked(0x82, b"x" * 100)[:-40], messages)
    assert session.held_bytes == 60

    session.feed(masked(0x82, b"x" * 100)[-40:] + HELLO[:3], messages)
    assert session.held_bytes == 103

    session.queued_bytes -= 100
    assert session.held_bytes == 3
    session.drop()
    assert session.held_bytes == 0


@pytest.mark.parametrize(
    "data",
    [
        HELLO,
        HELLO[:1],
        HELLO[:7],
        masked(0x02, b"a"),
        masked(0x01, b""),
        masked(0x89, b""),
        masked(0x88, b""),
    ],
    ids=["message", "head", "part", "byte", "fragment", "ping", "close"],
)
def test_a_session_that_holds_anything_is_not_as_new(data):
    session = Session(Config())
    session.feed(data, [])

    assert not session.is_as_new()


def test_a_session_is_as_new_when_all_is_taken():
    session = Session(Config())
    assert session.is_as_new()

    session.feed(masked(0x01, b"He") + masked(0x89, b"") + masked(0x80, b"llo") + HELLO, [])
    session.queued_bytes = 0
    session.pongs = None

    assert session.is_as_new()


# -- after a partial frame


def test_only_the_head_of_a_frame_waits_in_the_buffer():
    session, messages = Session(Config()), []

    session.feed(b"\x82\xfe\x10\x00" + KEY + b"x" * 4_000, messages)
    assert not session.has_buffered

    session.feed(b"x" * 96, messages)
    assert messages == [b"x" * 4_096]


def test_a_message_is_heard_with_its_last_byte_and_not_before():
    session, messages = Session(Config()), []

    for part in single_bytes(HELLO)[:-1]:
        session.feed(part, messages)
    assert messages == []

    session.feed(HELLO[-1:], messages)
    assert messages == ["Hello"]
