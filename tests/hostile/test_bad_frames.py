"""A client that breaks the protocol gets the one right close frame, and all of it; nobody else
notices.

All faults are met at once: a test for each of them, on each kind of server, took minutes.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable

from tests.support.faults import DEFLATE_OFFER, FAULTS, ONE_OF_EACH, Fault
from tests.support.hostile import MARKER, close_frame, read_to_fin
from tests.support.raw import PING, TEXT, RawClient, client_frame
from tests.support.site import Site

Dial = Callable[..., RawClient]

BEHIND = client_frame(TEXT, MARKER) + client_frame(PING, MARKER)
MUCH_BYTES = 65_536

Answers = dict[str, bytes]  # by the name of the fault


def offer(fault: Fault) -> list[tuple[str, str]]:
    """The fields of the handshake after which a fault is one."""
    return [DEFLATE_OFFER] if fault.route == "deflate" else []


def meet(dial: Dial, faults: tuple[Fault, ...]) -> dict[str, RawClient]:
    """Open a connection for each fault."""
    return {fault.name: dial(fault.route, *offer(fault)) for fault in faults}


def expected(faults: tuple[Fault, ...]) -> Answers:
    """The one right close frame for each fault."""
    return {fault.name: close_frame(fault.code, fault.reason) for fault in faults}


def read_all(clients: dict[str, RawClient]) -> Answers:
    """Read each stream to its end. What goes wrong stands in place of the answer, so that a test
    tells of every fault.
    """
    answers = {}
    for name, client in clients.items():
        try:
            answers[name] = read_to_fin(client)
        except OSError as exc:
            answers[name] = repr(exc).encode()
    return answers


def test_a_fault_is_answered_by_its_close_frame_and_the_end_of_the_stream(dial: Dial) -> None:
    clients = meet(dial, FAULTS)

    for fault in FAULTS:
        clients[fault.name].send_bytes(fault.data)

    assert read_all(clients) == expected(FAULTS)


def test_nothing_that_follows_a_fault_is_answered(dial: Dial) -> None:
    clients = meet(dial, ONE_OF_EACH)

    for fault in ONE_OF_EACH:
        clients[fault.name].send_bytes(fault.data + BEHIND)
        clients[fault.name].send_bytes(BEHIND)

    assert read_all(clients) == expected(ONE_OF_EACH)


def test_the_close_frame_arrives_although_the_client_goes_on_sending(dial: Dial) -> None:
    clients, answers = meet(dial, ONE_OF_EACH), expected(ONE_OF_EACH)

    for fault in ONE_OF_EACH:
        clients[fault.name].send_bytes(fault.data + bytes(MUCH_BYTES))

    read = {name: client.read_exactly(len(answers[name])) for name, client in clients.items()}
    assert read == answers
    for client in clients.values():
        client.send_bytes(bytes(MUCH_BYTES))  # a reset would make the next line fail
    assert read_all(clients) == dict.fromkeys(clients, b"")


def log_of_faults(arena: Site, tag: str) -> str:
    """Commit one fault of each kind, number 7 at `TAG-7`, and give what was logged meanwhile, to the
    line that ends the last of their connections.
    """
    log_before = len(arena.server.log)
    with contextlib.ExitStack() as opened:
        clients = {}
        for number, fault in enumerate(ONE_OF_EACH):
            path = f"/ws/{fault.route}/{tag}-{number}"
            clients[number] = opened.enter_context(
                RawClient.open(arena.address, path, offer(fault))
            )
            clients[number].send_bytes(fault.data + BEHIND)
        for number, client in clients.items():
            read_to_fin(client)
            arena.server.wait_for_log(rf"INFO tina4_wsgi.connection close \w+ \S*/{tag}-{number}\b")
    return arena.server.log[log_before:]


def test_a_fault_is_one_warning_with_the_address_and_the_reason(arena: Site, tag: str) -> None:
    lines = log_of_faults(arena, tag).splitlines()

    for number, fault in enumerate(ONE_OF_EACH):
        (line,) = [
            line
            for line in lines
            if re.search(rf"/{tag}-{number}\b", line) and not line.startswith("INFO ")
        ]
        assert line.startswith("WARNING tina4_wsgi.connection failed ")
        assert line.endswith(f" from 127.0.0.1: {fault.code} {fault.reason}")


def test_a_fault_leaves_neither_a_traceback_nor_its_payload_in_the_log(
    arena: Site, tag: str
) -> None:
    log = log_of_faults(arena, tag)

    assert "Traceback" not in log
    assert MARKER.decode() not in log
