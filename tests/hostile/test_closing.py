"""Close codes and reasons, byte by byte as they cross the wire, in both directions."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.support.hostile import close_frame, read_to_fin
from tests.support.raw import CLOSE, PING, TEXT, RawClient, client_frame

Dial = Callable[..., RawClient]

AFTER = client_frame(PING, b"anybody there?") + client_frame(TEXT, b'[4001, "again"]')


CODES = (1000, 1001, 1003, 1007, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999)


@pytest.mark.parametrize("reason", [b"", b"with a reason"])
def test_the_code_of_the_client_comes_back_without_its_reason(dial: Dial, reason: bytes) -> None:
    clients = {code: dial("echo") for code in CODES}

    for code, client in clients.items():
        client.send_bytes(client_frame(CLOSE, code.to_bytes(2, "big") + reason))

    assert {code: read_to_fin(client) for code, client in clients.items()} == {
        code: b"\x88\x02" + code.to_bytes(2, "big") for code in CODES
    }


def test_a_close_frame_without_a_code_is_answered_by_one_without(dial: Dial) -> None:
    client = dial("echo")

    client.send_bytes(b"\x88\x80\x01\x02\x03\x04")

    assert read_to_fin(client) == b"\x88\x00"


def test_nothing_is_answered_behind_the_close_frame_of_the_client(dial: Dial) -> None:
    client = dial("echo")

    client.send_bytes(
        client_frame(CLOSE, b"\x03\xe8") + client_frame(PING, b"p") + client_frame(TEXT, b"t")
    )
    client.send_bytes(bytes(65_536))

    assert read_to_fin(client) == b"\x88\x02\x03\xe8"


ON_THE_WIRE = (
    (1000, "", b"\x88\x02\x03\xe8"),
    (1001, "going away", b"\x88\x0c\x03\xe9going away"),
    (1002, "protocol", b"\x88\x0a\x03\xeaprotocol"),
    (1003, "text only", b"\x88\x0b\x03\xebtext only"),
    (1007, "not UTF-8", b"\x88\x0b\x03\xefnot UTF-8"),
    (1008, "policy", b"\x88\x08\x03\xf0policy"),
    (1009, "too big", b"\x88\x09\x03\xf1too big"),
    (1010, "extension", b"\x88\x0b\x03\xf2extension"),
    (1011, "our fault", b"\x88\x0b\x03\xf3our fault"),
    (1012, "restart", b"\x88\x09\x03\xf4restart"),
    (1013, "later", b"\x88\x07\x03\xf5later"),
    (1014, "gateway", b"\x88\x09\x03\xf6gateway"),
    (3000, "é", b"\x88\x04\x0b\xb8\xc3\xa9"),
    (4401, "no token", b"\x88\x0a\x111no token"),
    (4999, "x" * 123, b"\x88\x7d\x13\x87" + b"x" * 123),
    (4000, "x" * 500, b"\x88\x7d\x0f\xa0" + b"x" * 123),
    (4000, "x" * 122 + "é", b"\x88\x7c\x0f\xa0" + b"x" * 122),  # cut between characters
)


def test_a_code_and_a_reason_of_the_server_are_exactly_these_bytes(dial: Dial) -> None:
    # One after the other: whoever is there hears a broadcast of the one who leaves.
    for code, reason, on_the_wire in ON_THE_WIRE:
        client = dial("closing")

        client.send_text(json.dumps([code, reason]))
        assert client.read_exactly(len(on_the_wire)) == on_the_wire
        client.send_bytes(AFTER + client_frame(CLOSE, code.to_bytes(2, "big")))

        assert read_to_fin(client) == b""


def test_a_fault_behind_the_close_frame_of_the_server_changes_nothing(dial: Dial) -> None:
    client = dial("closing")

    client.send_text('[4000, "enough"]')
    assert client.read_exactly(10) == close_frame(4000, "enough")
    client.send_bytes(client_frame(TEXT, b"\xff", mask=b"") + bytes(65_536))

    assert read_to_fin(client) == b""
