"""A publisher on the bus: whom it tells, and what may go wrong at the other end."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tina4_wsgi.backplane.bus.directory import BusDirectory, socket_name
from tina4_wsgi.backplane.bus.outside import BusOutsider
from tina4_wsgi.backplane.envelope import EnvelopeReader, Kind, pack_json, sized
from tina4_wsgi.errors import BackplaneError

WAIT_S = 5.0
SENDER = bytes(range(16))
HELLO = b"\x81\x05hello"


class Listener:
    """A process on the bus, whose every answer is given here: one for each message of a outsider."""

    def __init__(
        self, directory: BusDirectory, answer: Callable[[socket.socket, int], None]
    ) -> None:
        self.name = socket_name(0)
        self._directory = directory
        raw = directory.listen(self.name)
        self._socket = socket.socket(fileno=raw.detach())
        self._socket.settimeout(WAIT_S)
        self._answer = answer
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        reader, found = EnvelopeReader(), []
        line, _ = self._socket.accept()
        with line:
            line.settimeout(WAIT_S)
            while data := line.recv(65_536):
                reader.feed(data, found)
                for envelope in found:
                    if envelope.kind is Kind.PATH:
                        try:
                            self._answer(line, envelope.number)
                        except BrokenPipeError:
                            return  # the line was shut down behind the last answer
                found.clear()

    def leave(self) -> None:
        self._directory.unlink(self.name)
        self._thread.join(WAIT_S)
        self._socket.close()


@pytest.fixture
def directory() -> Iterator[BusDirectory]:
    with tempfile.TemporaryDirectory(prefix="t4") as name:
        directory = BusDirectory(str(Path(name) / "bus"))
        directory.make()
        yield directory


@pytest.fixture
def listen(directory: BusDirectory) -> Iterator[Callable[..., Listener]]:
    listeners: list[Listener] = []

    def listen(answer: Callable[[socket.socket, int], None]) -> Listener:
        listeners.append(Listener(directory, answer))
        return listeners[-1]

    yield listen
    for listener in listeners:
        listener.leave()


@pytest.fixture
def outsider(
    listen, directory: BusDirectory
) -> Iterator[BusOutsider]:  # closed before the listeners leave
    outsider = BusOutsider(directory)
    yield outsider
    outsider.close()


def ack(count: object, number: int, body: bytes | None = None) -> bytes:
    data = pack_json(Kind.ACK, "", {"clients": count}, SENDER, number)
    return sized(data if body is None else data[: data.index(b"{")] + body)


def test_other_answers_before_the_right_one_are_passed_over(listen, outsider):
    listen(
        lambda line, number: line.sendall(ack(1, number + 1) + ack(9, number - 1) + ack(3, number))
    )

    assert outsider.carry(Kind.PATH, "/x", HELLO) == (1, 3)


def test_an_answer_in_pieces_is_waited_for(listen, outsider):
    def answer(line, number):
        for byte in ack(3, number):
            line.sendall(bytes([byte]))

    listen(answer)

    assert outsider.carry(Kind.PATH, "/x", HELLO) == (1, 3)


@pytest.mark.parametrize(
    "answer",
    [
        lambda line, number: line.shutdown(socket.SHUT_RDWR),
        lambda line, number: line.sendall(b"\xff" * 100),
        lambda line, number: line.sendall(ack("three", number)),
        lambda line, number: line.sendall(ack(0, number, b"{no JSON")),
    ],
    ids=["none", "garbage", "no number", "no JSON"],
)
def test_who_gives_no_answer_that_can_be_read_has_not_taken_the_message(listen, outsider, answer):
    first = listen(answer)

    with pytest.raises(BackplaneError, match="nobody took the message"):
        outsider.carry(Kind.PATH, "/x", HELLO)

    first.leave()
    listen(lambda line, number: line.sendall(ack(3, number)))
    assert outsider.carry(Kind.PATH, "/x", HELLO) == (1, 3)


def test_who_has_left_since_the_last_message_is_told_no_more(listen, outsider):
    first = listen(lambda line, number: line.sendall(ack(3, number)))
    listen(lambda line, number: line.sendall(ack(4, number)))
    assert outsider.carry(Kind.PATH, "/x", HELLO) == (2, 7)

    os.unlink(Path(outsider._directory.path) / first.name)

    assert outsider.carry(Kind.PATH, "/x", HELLO) == (1, 4)


def test_who_ended_since_the_last_message_is_dropped(listen, outsider):
    def answer_once(line, number):
        line.sendall(ack(3, number))
        line.shutdown(socket.SHUT_RDWR)

    listen(answer_once)
    listen(lambda line, number: line.sendall(ack(4, number)))
    assert outsider.carry(Kind.PATH, "/x", HELLO) == (2, 7)

    assert outsider.carry(Kind.PATH, "/x", HELLO) == (1, 4)


def test_the_socket_of_a_process_that_died_is_unlinked_and_not_waited_for(
    listen, outsider, directory
):
    dead = socket_name(0)
    directory.listen(dead).close()
    listen(lambda line, number: line.sendall(ack(3, number)))

    assert outsider.carry(Kind.PATH, "/x", HELLO) == (1, 3)
    assert dead not in directory.names()


def test_who_leaves_while_a_publisher_greets_is_dropped(listen, outsider, directory):
    name = socket_name(0)
    raw = directory.listen(name)
    real_connect = directory.connect

    def connect_and_lose(wanted, sock):
        is_connected = real_connect(wanted, sock)
        raw.close()  # resets whoever waits to be accepted
        return is_connected

    directory.connect = connect_and_lose

    with pytest.raises(BackplaneError, match="nobody took the message"):
        outsider.carry(Kind.PATH, "/x", HELLO)


def test_an_app_reaches_the_same_app_of_other_processes_and_a_script_reaches_all(directory):
    own, other = os.getpid(), os.getppid()
    names = [
        f"{app}-{pid}-{number:032x}.sock"
        for number, (app, pid) in enumerate([(0, own), (0, other), (1, other)])
    ]
    raws = [directory.listen(name) for name in names]
    app, script = BusOutsider(directory, 0), BusOutsider(directory)

    for outsider in (app, script):
        outsider._look_around()

    assert list(app._lines) == [names[1]]
    assert sorted(script._lines) == sorted(names)
    for closable in (app, script, *raws):
        closable.close()
