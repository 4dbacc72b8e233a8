"""Commands and replies by which messages are kept in Redis."""

from __future__ import annotations

import pytest

from tina4_wsgi.backplane.envelope import Envelope, EnvelopeError, Kind
from tina4_wsgi.backplane.redis.kept import encoded, heard_in, read_in
from tina4_wsgi.journal.contract import Kept

ANNA = b"a" * 16
HI, HO = b"\x81\x02hi", b"\x81\x02ho"


def kept(line, frames=HI + HO):
    return Envelope(Kind.KEPT, "", line + b"\n" + frames, ANNA)


def test_messages_that_stand_side_by_side_have_numbers_and_tickets_in_a_row():
    found = heard_in(kept(b"epoch123 7 3 1500 9 ann,"))

    assert [one.kept for one in found] == [Kept(7, HI, "ann", 1.5), Kept(8, HO, "", 1.5)]
    assert [(one.previous, one.ticket) for one in found] == [(3, 9), (7, 10)]
    assert {(one.epoch, one.sender) for one in found} == {("epoch123", ANNA)}


def test_who_publishes_from_outside_has_no_tickets():
    assert [one.ticket for one in heard_in(kept(b"epoch123 7 3 1500 0 "))] == [0, 0]


@pytest.mark.parametrize(
    ("line", "frames"),
    [
        (b"epoch123 7 3 1500", HI),
        (b"epoch123 7 3 x 0 ", HI),
        (b"epoch123 7 3 1500 0 a,b,c", HI + HO),
        (b"epoch123 7 3 1500 0 ", HI[:-1]),
        (b"epoch123 7 3 1500 0 ", b"\x81"),
        (b"epoch123 7 3 1500 0 ", b"\x89\x00"),
        (b"epoch123 7 3 1500 0 ", b"\x81\x01\xff"),
        (b"epoch123 7 3 1500 0 ", b""),
    ],
)
def test_garbage_is_an_error(line, frames):
    with pytest.raises(EnvelopeError):
        heard_in(kept(line, frames))


def entry(**changed):
    fields = {"f": HI, "a": b"ann", "t": b"1500", "p": b"3", "s": ANNA + b":9", **changed}
    return [b"7-0", [part for name, value in fields.items() for part in (name.encode(), value)]]


def test_an_entry_of_a_stream_is_read():
    told = read_in(entry())

    assert told.kept == Kept(7, HI, "ann", 1.5)
    assert (told.previous, told.sender, told.ticket) == (3, ANNA, 9)


def test_an_entry_without_a_sender_is_nobodys():
    assert read_in(entry(s=b":0"))[3:] == (b"", 0)


@pytest.mark.parametrize("changed", [{"t": b"x"}, {"f": b"\x89\x00"}, {"a": b"\xff"}])
def test_an_entry_that_is_garbage_is_an_error(changed):
    with pytest.raises(EnvelopeError):
        read_in(entry(**changed))


def test_a_command_is_encoded_as_redis_wants_it():
    assert encoded(("SET", b"k\xff", 12, "ä")) == (
        b"*4\r\n$3\r\nSET\r\n$2\r\nk\xff\r\n$2\r\n12\r\n$2\r\n\xc3\xa4\r\n"
    )
