"""permessage-deflate: offers, inflating with limits, compressing once."""

from __future__ import annotations

import json
import random
import resource
import zlib

import pytest

from tests.support.raw import client_frame
from tina4_wsgi.config import Config
from tina4_wsgi.errors import ProtocolError, Refused
from tina4_wsgi.protocol.deflate import Inflater, Offer, compress_frame, negotiate, parse_offers
from tina4_wsgi.protocol.frames import encode_message
from tina4_wsgi.protocol.session import Session

TAIL = b"\x00\x00\xff\xff"
PLAIN_ANSWER = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


def deflated(data: bytes, bits: int = 15, mode: int = zlib.Z_SYNC_FLUSH) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -bits)
    return (compressor.compress(data) + compressor.flush(mode)).removesuffix(TAIL)


def compressed_frame(payload: bytes, opcode: int = 1, *, fin: bool = True) -> bytes:
    return client_frame(0x40 | opcode, payload, fin=fin)


def agreed(header: str) -> str | None:
    agreement = negotiate(parse_offers(header))
    return None if agreement is None else agreement.answer


def feed(data: bytes, **settings: int) -> list[str | bytes]:
    """Feed bytes whole and one by one; both must give the same."""
    results = []
    for parts in ([data], [data[n : n + 1] for n in range(len(data))]):
        session = Session(Config(**settings), may_compress=True)
        messages: list[str | bytes] = []
        try:
            for part in parts:
                session.feed(part, messages)
        except ProtocolError as exc:
            results.append((messages, exc.close_code))
        else:
            results.append((messages, 0))
    assert results[0] == results[1]
    if results[0][1]:
        raise ProtocolError(results[0][1], "as above")
    return results[0][0]


# -- the header


def test_an_offer_is_answered_without_context_takeover_both_ways() -> None:
    assert agreed("permessage-deflate") == PLAIN_ANSWER


@pytest.mark.parametrize(
    "parameters",
    [
        "server_no_context_takeover",
        "client_no_context_takeover",
        "client_no_context_takeover; server_no_context_takeover",
    ],
)
def test_a_client_may_ask_for_what_is_answered_anyway(parameters: str) -> None:
    assert agreed(f"permessage-deflate; {parameters}") == PLAIN_ANSWER


def test_the_first_valid_offer_wins() -> None:
    assert agreed(
        "x-foo, permessage-deflate; bad, permessage-deflate; server_max_window_bits=10"
    ) == (PLAIN_ANSWER + "; server_max_window_bits=10")


@pytest.mark.parametrize("window", ["8", "9", "15", '"12"'])
def test_a_window_that_the_client_asks_for_is_agreed_on(window: str) -> None:
    agreement = negotiate(parse_offers(f"permessage-deflate; server_max_window_bits={window}"))

    assert agreement is not None
    assert agreement.window_bits == int(window.strip('"'))


@pytest.mark.parametrize(
    "parameters",
    [
        "server_max_window_bits",
        "server_max_window_bits=7",
        "server_max_window_bits=16",
        "server_max_window_bits=010",
        "server_max_window_bits=+9",
        "client_max_window_bits=16",
        "server_no_context_takeover=1",
        "client_no_context_takeover=true",
        "unknown",
        "unknown=1",
        "client_max_window_bits; client_max_window_bits",
        "server_no_context_takeover; server_no_context_takeover",
    ],
)
def test_an_offer_with_invalid_parameters_is_declined(parameters: str) -> None:
    assert agreed(f"permessage-deflate; {parameters}") is None


@pytest.mark.parametrize("hint", ["client_max_window_bits", "client_max_window_bits=9"])
def test_the_client_may_say_what_it_can_do_with_its_own_window(hint: str) -> None:
    assert agreed(f"permessage-deflate; {hint}") == PLAIN_ANSWER


@pytest.mark.parametrize(
    "header",
    [
        "",
        ",",
        ";",
        "permessage-deflate;",
        "permessage-deflate; =1",
        "permessage-deflate; a=",
        'x; a="b',
        'x; a="bc',
        'x; a=bc"',
        'x; a="',
        "a b",
        "x; a=b c",
        'x; a="b c"',
        "x;; a",
        "@",
        'x, y; a="b',
        'x; a="b,c"',
        'x; a="b;c"',
    ],
)
def test_a_header_that_breaks_the_grammar_is_refused(header: str) -> None:
    with pytest.raises(Refused) as info:
        parse_offers(header)

    assert info.value.status == 400


def test_a_quoted_token_is_the_token_and_an_empty_element_is_none() -> None:
    assert parse_offers('x; a="b", ,y') == [Offer("x", [("a", "b")]), Offer("y", [])]


def test_a_hundred_extensions_may_be_offered() -> None:
    assert len(parse_offers(",".join(["x"] * 100))) == 100
    with pytest.raises(Refused):
        parse_offers(",".join(["x"] * 101))


# -- inflating


def test_a_compressed_text_is_inflated() -> None:
    assert feed(compressed_frame(deflated(b"Hello" * 100))) == ["Hello" * 100]


def test_the_examples_of_rfc_7692_are_understood() -> None:
    assert feed(
        b"".join(
            compressed_frame(bytes.fromhex(text))
            for text in (
                "f248cdc9c90700",
                "000500faff48656c6c6f00",
                "f348cdc9c9070000",
                "f248050000 00ffffcac9c90700",
            )
        )
    ) == ["Hello"] * 3 + ["Hello"]


def test_only_the_first_fragment_carries_the_mark() -> None:
    payload = deflated(b"fragmented" * 10)

    assert feed(compressed_frame(payload[:5], 2, fin=False) + client_frame(0, payload[5:])) == [
        b"fragmented" * 10
    ]


def test_the_last_fragment_may_be_empty() -> None:
    payload = deflated(b"fragmented" * 10)

    assert feed(compressed_frame(payload, 2, fin=False) + client_frame(0, b"")) == [
        b"fragmented" * 10
    ]
    with pytest.raises(ProtocolError, match="1007"):
        feed(compressed_frame(payload[:-1], 2, fin=False) + client_frame(0, b""))


def test_plain_and_compressed_messages_may_alternate() -> None:
    assert feed(
        client_frame(1, b"a") + compressed_frame(deflated(b"b")) + client_frame(1, b"c")
    ) == ["a", "b", "c"]


def test_an_empty_compressed_message_is_empty() -> None:
    assert feed(compressed_frame(b"\x00")) == [""]


@pytest.mark.parametrize("opcode", [0x40, 0x48, 0x49, 0x4A, 0x21, 0x11, 0x61])
def test_the_mark_means_nothing_elsewhere(opcode: int) -> None:
    with pytest.raises(ProtocolError, match="1002"):
        feed(client_frame(1, b"", fin=False) * (opcode == 0x40) + client_frame(opcode, b""))


def test_without_an_agreement_the_mark_is_refused() -> None:
    with pytest.raises(ProtocolError, match="1002 reserved bit"):
        Session(Config()).feed(compressed_frame(deflated(b"x")), [])


def test_what_is_no_deflate_is_refused_with_1007() -> None:
    with pytest.raises(ProtocolError, match="1007"):
        feed(compressed_frame(b"\xff\xff\xff\xff"))


def test_text_that_inflates_to_bad_utf8_is_refused_with_1007() -> None:
    with pytest.raises(ProtocolError, match="1007"):
        feed(compressed_frame(deflated(b"abc\xff")))


@pytest.mark.parametrize(("most", "longest"), [(200, 264), (4_096, 4_164), (1_048_576, 1_049_664)])
def test_what_does_not_get_smaller_may_be_64_bytes_and_a_thousandth_over_the_limit(
    most: int, longest: int
) -> None:
    head = b"\xc2\xff%b\0\0\0\0" if longest > 0xFFFF else b"\xc2\xfe%b\0\0\0\0"
    width = 8 if longest > 0xFFFF else 2

    assert feed(head % longest.to_bytes(width, "big"), max_message_bytes=most) == []
    with pytest.raises(ProtocolError, match="1009"):
        feed(head % (longest + 1).to_bytes(width, "big"), max_message_bytes=most)


def test_all_fragments_of_a_compressed_message_may_be_so_much_over_the_limit_together() -> None:
    first = compressed_frame(b"\x00\x2c\x01\xd3\xfe" + b"x" * 95, 2, fin=False)

    assert feed(first + b"\x80\xfe\x00\xa4\0\0\0\0", max_message_bytes=200) == []
    with pytest.raises(ProtocolError, match="1009"):
        feed(first + b"\x80\xfe\x00\xa5\0\0\0\0", max_message_bytes=200)


def test_a_message_of_just_the_limit_passes_and_one_more_byte_is_1009() -> None:
    assert feed(compressed_frame(deflated(b"x" * 1_000)), max_message_bytes=1_000) == ["x" * 1_000]
    with pytest.raises(ProtocolError, match="1009"):
        feed(compressed_frame(deflated(b"x" * 1_001)), max_message_bytes=1_000)


def test_no_part_of_a_message_is_inflated_beyond_the_limit() -> None:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    first = compressor.compress(b"x" * 900) + compressor.flush(zlib.Z_SYNC_FLUSH)
    second = compressor.compress(b"x" * 5_000) + compressor.flush(zlib.Z_SYNC_FLUSH)
    inflater = Inflater(1_000)

    inflated = [inflater.inflate(first, is_last=False), inflater.inflate(second, is_last=True)]

    assert [len(one) for one in inflated] == [900, 101]
    assert str(inflater.fault) == "1009 message inflates beyond the limit"


def test_a_fault_says_which_of_the_two_limits_was_passed() -> None:
    beyond, bomb = Inflater(1_000), Inflater(1_000_000, 10)
    bomb.expect(100)

    beyond.inflate(deflated(b"x" * 1_001), is_last=True)
    bomb.inflate(deflated(b"x" * 100_000), is_last=True)

    assert str(beyond.fault) == "1009 message inflates beyond the limit"
    assert str(bomb.fault) == "1009 message inflates to over 10 times its size"


@pytest.mark.parametrize(
    ("size", "inflated_size", "fault"),
    [(20_000, 20_000, None), (20_001, 20_001, 1009), (50_000, 20_001, 1009)],
)
def test_a_message_may_inflate_to_just_so_many_times_its_size(
    size: int, inflated_size: int, fault: int | None
) -> None:
    inflater = Inflater(1_000_000, 10)
    inflater.expect(1_500)
    inflater.expect(500)

    inflated = inflater.inflate(deflated(bytes(size)), is_last=True)

    assert (inflater.fault and inflater.fault.close_code) == fault
    assert inflated == bytes(inflated_size)


def test_incompressible_data_of_just_the_limit_passes() -> None:
    noise = bytes((n * n * 2_654_435_761 >> 13) & 0xFF for n in range(65_536))

    assert feed(compressed_frame(deflated(noise), 2)) == [noise]


def test_a_bomb_is_refused_without_being_inflated() -> None:
    bomb = deflated(b"\x00" * 60_000_000)
    assert len(bomb) < 60_000
    session = Session(Config(), may_compress=True)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(ProtocolError, match="1009"):
        session.feed(compressed_frame(bomb), [])

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 8_192


ROWS = [{"id": number, "name": "", "x": 0, "y": 0, "is_visible": True} for number in range(1_000)]


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ROWS),
        json.dumps(ROWS[:1] * 1_000),
        "<tr><td>0</td><td>&nbsp;</td></tr>" * 1_900,
        "".join(f"2026-01-01 10:00:{n % 60:02} INFO done\n" for n in range(1_500)),
        "0" * 16_384,
    ],
    ids=["rows", "equal rows", "table", "log", "little"],
)
def test_repetitive_text_that_applications_send_passes(text: str) -> None:
    assert feed(compressed_frame(deflated(text.encode()))) == [text]


@pytest.mark.parametrize(
    "data",
    [bytes(65_536), b"a" * 65_536, b"0," * 30_000, bytes(16_385)],
    ids=["zeros", "letters", "list", "one over"],
)
def test_what_inflates_to_too_many_times_its_size_is_refused_with_1009(data: bytes) -> None:
    with pytest.raises(ProtocolError, match="1009"):
        feed(compressed_frame(deflated(data), 2))

    assert feed(compressed_frame(deflated(data), 2), max_deflate_ratio=0) == [data]


def test_the_ratio_is_that_of_all_frames_of_a_message_that_were_announced() -> None:
    noise = random.Random(1).randbytes(1_000)
    payload = deflated(noise + bytes(60_000))
    whole = compressed_frame(payload, 2)
    in_two = compressed_frame(payload[:1_005], 2, fin=False) + client_frame(0, payload[1_005:])

    assert feed(whole) == feed(in_two) == [noise + bytes(60_000)]
    bomb_first = compressed_frame(deflated(bytes(60_000)) + TAIL, 2, fin=False) + client_frame(
        0, deflated(noise)
    )
    with pytest.raises(ProtocolError, match="1009"):
        feed(bomb_first)


def test_a_large_bomb_is_refused_before_it_is_inflated() -> None:
    bomb = deflated(bytes(200_000_000))
    session = Session(Config(max_message_bytes=1 << 30, max_deflate_ratio=10), may_compress=True)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(ProtocolError, match="1009 message inflates to over 10 times its size"):
        session.feed(compressed_frame(bomb, 2), [])

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 8_192


def test_a_message_of_endless_final_blocks_is_refused() -> None:
    block = deflated(b"", mode=zlib.Z_FINISH)

    with pytest.raises(ProtocolError, match="1008"):
        feed(compressed_frame(block * 1_000))


def test_sixteen_streams_are_a_message_and_one_more_is_refused() -> None:
    stream = deflated(b"x", mode=zlib.Z_FINISH)

    assert feed(compressed_frame(stream * 16)) == ["x" * 16]
    with pytest.raises(ProtocolError, match="1008"):
        feed(compressed_frame(stream * 17))


def test_a_stream_too_many_is_not_inflated() -> None:
    inflater = Inflater(1_000)

    inflated = inflater.inflate(deflated(b"x", mode=zlib.Z_FINISH) * 17, is_last=True)

    assert inflated == b"x" * 16
    assert str(inflater.fault) == "1008 message of over 16 DEFLATE streams"


def test_an_inflater_goes_on_behind_a_final_block() -> None:
    two = deflated(b"one", mode=zlib.Z_FINISH) + deflated(b"two")

    assert Inflater(100).inflate(two, is_last=True) == b"onetwo"


@pytest.mark.parametrize("opcode", [1, 2])
@pytest.mark.parametrize("cut", range(1, 12))
def test_a_message_that_is_cut_inside_a_block_is_refused_with_1007(opcode: int, cut: int) -> None:
    payload = deflated(b"Hello world, how are you?")

    with pytest.raises(ProtocolError, match="1007"):
        feed(compressed_frame(payload[:-cut], opcode))


@pytest.mark.parametrize("kept", range(10, 15))
def test_a_message_that_is_cut_inside_the_head_of_a_block_is_refused_with_1007(kept: int) -> None:
    letters = bytes(97 + (n * n * 2_654_435_761 >> 13) % 17 for n in range(400))
    payload = deflated(letters)
    assert payload[0] >> 1 & 0b11 == 0b10  # a block that begins with codes of its own

    with pytest.raises(ProtocolError, match="1007"):
        feed(compressed_frame(payload[:kept], 2))


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"\xff\xff", "is not valid DEFLATE"),
        (b"\x00\x64\x00\x9b\xffHe", "ends inside a block"),
        # Its end shows only in the block that is put behind it.
        (deflated(b"Hello world, how are you?")[:-1], "is not valid DEFLATE"),
    ],
    ids=["no block", "a stored block", "a block of codes"],
)
def test_a_bad_message_fails_with_the_first_reason(payload: bytes, reason: str) -> None:
    inflater = Inflater(1_000)

    inflater.inflate(payload, is_last=True)

    assert str(inflater.fault) == f"1007 compressed message {reason}"


def test_a_payload_of_nothing_is_an_empty_message() -> None:
    assert feed(compressed_frame(b"")) == [""]


def test_a_final_block_may_be_the_end() -> None:
    assert feed(compressed_frame(deflated(b"ok", mode=zlib.Z_FINISH))) == ["ok"]
    assert feed(compressed_frame(deflated(b"ok", mode=zlib.Z_FINISH) + b"\x00")) == ["ok"]


def test_bad_utf8_is_told_before_what_comes_behind_it() -> None:
    empty_stream = deflated(b"", mode=zlib.Z_FINISH)

    with pytest.raises(ProtocolError, match="1007"):
        feed(compressed_frame(deflated(b"\xff" + b"x" * 300)), max_message_bytes=200)
    with pytest.raises(ProtocolError, match="1007"):
        feed(compressed_frame(deflated(b"\xff", mode=zlib.Z_FINISH) + empty_stream * 20))


@pytest.mark.parametrize("most", [125, 126, 127])
def test_text_over_the_limit_is_1009_wherever_that_cuts_a_character(most: int) -> None:
    with pytest.raises(ProtocolError) as caught:
        feed(compressed_frame(deflated("é".encode() * 100)), max_message_bytes=most)

    assert caught.value.close_code == 1009


# -- compressing


def test_a_long_message_is_compressed_with_the_mark_and_without_the_tail() -> None:
    frame = compress_frame(encode_message("abc" * 1_000), 15, 1_024, 6, 8)

    assert frame[0] == 0x80 | 0x40 | 0x01
    assert Inflater(10_000).inflate(frame[2:], is_last=True) == b"abc" * 1_000


@pytest.mark.parametrize("bits", [9, 12, 15])
def test_a_smaller_window_is_kept_to(bits: int) -> None:
    text = bytes((n * 7_919) & 0xFF for n in range(100)) * 400
    frame = compress_frame(encode_message(text), bits, 1_024, 6, 8)

    assert frame[0] == 0x80 | 0x40 | 0x02
    start = 4 if frame[1] == 126 else 2
    assert zlib.decompressobj(-bits).decompress(frame[start:] + TAIL) == text


def test_short_messages_an_agreed_window_of_256_and_noise_stay_as_they_are() -> None:
    short = encode_message("x" * 1_023)
    long = encode_message("x" * 5_000)
    noise = encode_message(bytes((n * n * 2_654_435_761 >> 13) & 0xFF for n in range(2_000)))

    assert compress_frame(short, 15, 1_024, 6, 8) is short
    assert compress_frame(long, 8, 1_024, 6, 8) is long
    assert compress_frame(noise, 15, 1_024, 6, 8) is noise


def test_a_message_that_gets_no_smaller_stays_as_it_is() -> None:
    frames = [encode_message("abcdefgh" + "abcdefgh"[:size]) for size in range(9)]

    made = [compress_frame(frame, 15, 0, 6, 8) for frame in frames]

    assert made[0] is frames[0]
    assert made[-1] is not frames[-1]
    for before, after in zip(frames, made, strict=True):
        assert after is before or len(after) < len(before)


@pytest.mark.parametrize(("level", "memory_level"), [(1, 8), (6, 5), (6, 8), (9, 9), (1, 1)])
def test_level_and_memory_level_reach_zlib(level: int, memory_level: int) -> None:
    text = "".join(f"{n * n * 7_919 % 10_007} " for n in range(900)) * 2
    compressor = zlib.compressobj(level, zlib.DEFLATED, -15, memory_level)
    expected = compressor.compress(text.encode()) + compressor.flush(zlib.Z_SYNC_FLUSH)

    frame = compress_frame(encode_message(text), 15, 1_024, level, memory_level)

    assert frame[4:] == expected.removesuffix(TAIL)
    assert len(expected) != len(deflated(text.encode())) or (level, memory_level) == (6, 8)


@pytest.mark.parametrize("size", [30, 124, 125, 126, 127, 65_535, 65_536])
def test_a_message_of_any_length_is_itself_again(size: int) -> None:
    frame = compress_frame(encode_message(b"x" * size), 15, 0, 6, 8)

    start = 4 if frame[1] == 126 else 2
    assert frame[0] == 0x80 | 0x40 | 0x02
    assert Inflater(100_000).inflate(frame[start:], is_last=True) == b"x" * size


@pytest.mark.parametrize(("size", "is_compressed"), [(99, False), (100, True)])
@pytest.mark.parametrize("more", [0, 100, 70_000])
def test_the_threshold_is_that_of_the_payload(size: int, more: int, is_compressed: bool) -> None:
    frame = encode_message("x" * (size + more))

    assert (compress_frame(frame, 15, 100 + more, 6, 8) is not frame) == is_compressed


@pytest.mark.parametrize(("bits", "is_compressed"), [(8, False), (9, True)])
def test_the_smallest_window_of_zlib_is_used(bits: int, is_compressed: bool) -> None:
    frame = encode_message("x" * 1_000)

    assert (compress_frame(frame, bits, 100, 6, 8) is not frame) == is_compressed
