"""A plain client sees the same bytes on a route that keeps history as on any other."""

from __future__ import annotations

from typing import Any

import gevent
import pytest

from tests.support.engine_house import wait_until
from tests.support.kept_house import ME, Page, Worker, Workers
from tests.support.raw import BINARY, PING

OPTIONS = {
    "none": {},
    "history": {"history": 50},
    "history beside clients that mark": {"history": 50},
}


def play(connection: Any, event: str, data: Any) -> None:
    """Do all that a callback can do with messages."""
    if event == "open":
        connection.join("room")
        connection.send("welcome")
        connection.broadcast("came")
    if event == "message":
        connection.broadcast(data)
        connection.send(data)
        connection.broadcast(b"\x00\xff" * 40, exclude_self=True)
        connection.broadcast("@tab:", keep=False)
        connection.broadcast_to_room("room", f"room {data!r}")
        connection.broadcast("y" * 300)
        connection.send_json({"n": len(data)})
        if data == "close":
            connection.broadcast("last")
            connection.close(4001, "bye")


def say_all(page: Page) -> None:
    for text in ("a", "", ":", "#x.0-1:", "0-1:a", f"@{ME}:", "z" * 200, "w" * 60_000):
        page.raw.send_text(text)
        gevent.sleep(0.001)
    page.raw.send_frame(BINARY, b"bytes")
    page.raw.send_frame(PING, b"7")
    page.raw.send_text("close")


def transcript(worker: Worker, path: str, *, window_bits: int, beside: bool) -> list[bytes]:
    """Let two clients say the same things, and return all the bytes that they get."""
    if beside:
        worker.come(path)
    first = worker.let_in(path, window_bits=window_bits)
    wait_until(lambda: first.connection.rooms)
    second = worker.let_in(path, window_bits=window_bits)
    wait_until(lambda: second.connection.rooms)
    gevent.sleep(0.01)
    say_all(first)
    seen = [read_all(first)]
    second.raw.send_close()
    return [*seen, read_all(second)]


def read_all(page: Page) -> bytes:
    """Read the bytes of all frames up to the end, and answer the close frame."""
    found = bytearray()
    receive = page.raw._receive

    def receive_and_keep() -> None:
        before = len(page.raw._received)
        receive()
        found.extend(page.raw._received[before:])

    page.raw._receive = receive_and_keep  # type: ignore[method-assign]
    found.extend(page.raw._received)
    while page.raw.read_frame().opcode != 8:
        pass
    page.raw.send_close()
    page.raw.read_to_end()
    return bytes(found)


@pytest.mark.parametrize("window_bits", [0, 15])
def test_the_bytes_are_the_same_whatever_a_route_keeps(workers: Workers, window_bits: int) -> None:
    for number, options in enumerate(OPTIONS.values()):
        workers.route(f"/ws/{number}", play, max_outbound_bytes=8 << 20, **options)
    workers.router.room("kept:{id}", history=5)
    (worker,) = workers.start()

    seen = [
        transcript(worker, f"/ws/{number}", window_bits=window_bits, beside="beside" in name)
        for number, name in enumerate(OPTIONS)
    ]

    assert seen[0] == seen[1] == seen[2]
    assert len(seen[0][0]) > (1_000 if window_bits else 120_000)
    assert len(seen[0][1]) > (1_000 if window_bits else 120_000)


def test_the_bytes_are_the_same_whatever_worker_speaks(workers: Workers) -> None:
    for number, options in enumerate(({}, {"history": 50})):
        workers.route(f"/ws/{number}", play, **options)
    one, other = workers.start(2)

    seen = []
    for number in range(2):
        path = f"/ws/{number}"
        far = other.let_in(path)
        wait_until(lambda page=far: page.connection.rooms)
        near = one.let_in(path)
        wait_until(lambda page=near: page.connection.rooms)
        assert far.read(3) == ["welcome", "came", "came"]
        for text in "abc":
            one.say(path, text)
            one.finish()
        assert far.read(3) == list("abc")
        seen.append(bytes(far.raw._received))
        far.raw.send_close()
        seen.append(read_all(far))

    assert seen[:2] == seen[2:]
