"""A client that breaks the protocol gets the one right close frame, and all of it; nobody else
notices.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.support.faults import DEFLATE_OFFER, FAULTS, ONE_OF_EACH, Fault
from tests.support.hostile import MARKER, close_frame, read_to_fin
from tests.support.raw import PING, TEXT, RawClient, client_frame
from tests.support.site import Site

Dial = Callable[..., RawClient]

BEHIND = client_frame(TEXT, MARKER) + client_frame(PING, MARKER)
MUCH_BYTES = 65_536

each_fault = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
one_of_each = pytest.mark.parametrize("fault", ONE_OF_EACH, ids=lambda fault: fault.name)


def meet(dial: Dial, fault: Fault) -> RawClient:
    """Open the connection on which a fault is one."""
    return dial(fault.route, *([DEFLATE_OFFER] if fault.route == "deflate" else []))


@each_fault
def test_a_fault_is_answered_by_its_close_frame_and_the_end_of_the_stream(
    dial: Dial, fault: Fault
) -> None:
    client = meet(dial, fault)

    client.send_bytes(fault.data)

    assert read_to_fin(client) == close_frame(fault.code, fault.reason)


@one_of_each
def test_nothing_that_follows_a_fault_is_answered(dial: Dial, fault: Fault) -> None:
    client = meet(dial, fault)

    client.send_bytes(fault.data + BEHIND)
    client.send_bytes(BEHIND)

    assert read_to_fin(client) == close_frame(fault.code, fault.reason)


@one_of_each
def test_the_close_frame_arrives_although_the_client_goes_on_sending(
    dial: Dial, fault: Fault
) -> None:
    client, answer = meet(dial, fault), close_frame(fault.code, fault.reason)

    client.send_bytes(fault.data + bytes(MUCH_BYTES))

    assert client.read_exactly(len(answer)) == answer
    client.send_bytes(bytes(MUCH_BYTES))  # a reset would make the next line fail
    assert read_to_fin(client) == b""


def log_of(dial: Dial, fault: Fault, arena: Site, tag: str) -> str:
    """Commit a fault and give what was logged meanwhile, to the line that ends the connection."""
    log_before = len(arena.server.log)
    client = meet(dial, fault)
    client.send_bytes(fault.data + BEHIND)
    read_to_fin(client)
    arena.server.wait_for_log(rf"INFO tina4_wsgi.connection close \w+ \S*/{tag}\b")
    return arena.server.log[log_before:]


@one_of_each
def test_a_fault_is_one_warning_with_the_address_and_the_reason(
    dial: Dial, fault: Fault, arena: Site, tag: str
) -> None:
    log = log_of(dial, fault, arena, tag)

    (line,) = [
        line
        for line in log.splitlines()
        if re.search(rf"/{tag}\b", line) and not line.startswith("INFO ")
    ]
    assert line.startswith("WARNING tina4_wsgi.connection failed ")
    assert line.endswith(f" from 127.0.0.1: {fault.code} {fault.reason}")


@one_of_each
def test_a_fault_leaves_neither_a_traceback_nor_its_payload_in_the_log(
    dial: Dial, fault: Fault, arena: Site, tag: str
) -> None:
    log = log_of(dial, fault, arena, tag)

    assert "Traceback" not in log
    assert MARKER.decode() not in log
