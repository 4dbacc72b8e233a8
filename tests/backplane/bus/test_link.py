"""One link of the bus, and one line of a guest: what may go wrong at the other end, and at ours."""

from __future__ import annotations

import errno
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from tina4_wsgi.backplane.bus.directory import BusDirectory, socket_name
from tina4_wsgi.backplane.bus.link import Link
from tina4_wsgi.backplane.envelope import Envelope, Kind, Reader, pack, pack_json, sized
from tina4_wsgi.backplane.outside import BusOutsider
from tina4_wsgi.errors import BackplaneError

WAIT_S = 5.0
SENDER = bytes(range(16))
HELLO = b"\x81\x05hello"
MESSAGE = sized(pack(Kind.PATH, "/x", HELLO, SENDER, 7))
LARGE = sized(
    pack(Kind.PATH, "/x", b"\x82\x7f" + (1 << 20).to_bytes(8, "big") + bytes(1 << 20), SENDER, 7)
)


class Ear:
    """An owner that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[Any] = []
        self.error: BaseException | None = None

    def received(self, link: Link, envelopes: list[Envelope]) -> None:
        self.told += [one.name for one in envelopes]
        if self.error is not None:
            raise self.error

    def ended(self, link: Link, reason: str) -> None:
        self.told.append(("ended", reason))

    def wait_for(self, count: int) -> None:
        with gevent.Timeout(WAIT_S, AssertionError(f"only {self.told}")):
            while len(self.told) < count:
                gevent.sleep(0.001)


@pytest.fixture
def pair() -> Iterator[tuple[Link, Ear, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    ear = Ear()
    link = Link(ours, gevent.get_hub().loop, ear, 4 << 20)
    yield link, ear, theirs
    link.close()
    theirs.close()


def test_a_peer_that_left_is_found_out_by_writing(pair):
    link, ear, theirs = pair
    theirs.close()

    link.write(MESSAGE)

    assert (ear.told, link.is_open) == ([("ended", "")], False)


def test_a_peer_that_leaves_with_a_backlog_is_found_out(pair):
    link, ear, theirs = pair
    link.write(LARGE)
    assert link.queued_bytes
    link._watcher.stop()  # so that the write watcher alone finds out

    theirs.close()
    ear.wait_for(1)

    assert (ear.told, link.queued_bytes) == ([("ended", "")], 0)


def test_a_peer_that_takes_nothing_yet_gets_all_of_it_later(pair):
    link, _, theirs = pair
    link._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_608)
    while not link.queued_bytes:
        link.write(MESSAGE)
    count = 1
    theirs.setblocking(False)
    reader, found = Reader(), []
    with gevent.Timeout(WAIT_S, AssertionError("it has no end")):
        while link.queued_bytes or count:
            try:
                reader.feed(theirs.recv(65_536), found)
            except BlockingIOError:
                count = link.queued_bytes
                gevent.sleep(0.001)

    assert {one.number for one in found} == {7}


def test_a_link_that_has_ended_takes_nothing_and_ends_no_more(pair):
    link, ear, _ = pair
    link.close("enough")

    link.write(MESSAGE)
    link.close("again")
    link._on_readable()
    link._on_writable()

    assert ear.told == [("ended", "enough")]


def test_a_wake_up_without_anything_to_do_does_nothing(pair):
    link, ear, _ = pair
    link._on_readable()
    link._on_writable()
    link.write(LARGE)
    queued_bytes = link.queued_bytes

    link._on_writable()

    assert (ear.told, link.queued_bytes, link.is_open) == ([], queued_bytes, True)


def test_an_error_of_ours_cuts_the_link_and_says_which(pair):
    _, ear, theirs = pair
    ear.error = LookupError("a mistake of ours")

    theirs.sendall(MESSAGE)
    ear.wait_for(2)

    assert ear.told == [
        "/x",
        ("ended", "is cut off, since handling what it sent raised LookupError"),
    ]


def test_a_child_leaves_the_link_of_its_parent_alone(pair):
    link, ear, theirs = pair
    link._pid = os.getpid() + 1  # as a fork finds it

    theirs.sendall(MESSAGE)
    link._on_readable()
    assert (ear.told, theirs.send(b"")) == ([], 0)

    link._pid = os.getpid()
    link._watcher.start(link._on_readable)
    ear.wait_for(1)
    assert ear.told == ["/x"]


# -- a guest


class Listener:
    """A process on the bus, whose every answer is given here: one for each message of a guest."""

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
        reader, found = Reader(), []
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
def guest(
    listen, directory: BusDirectory
) -> Iterator[BusOutsider]:  # closed before the listeners leave
    guest = BusOutsider(directory)
    yield guest
    guest.close()


def ack(count: object, number: int, body: bytes | None = None) -> bytes:
    data = pack_json(Kind.ACK, "", {"clients": count}, SENDER, number)
    return sized(data if body is None else data[: data.index(b"{")] + body)


def test_other_answers_before_the_right_one_are_passed_over(listen, guest):
    listen(
        lambda line, number: line.sendall(ack(1, number + 1) + ack(9, number - 1) + ack(3, number))
    )

    assert guest.carry(Kind.PATH, "/x", HELLO) == (1, 3)


def test_an_answer_in_pieces_is_waited_for(listen, guest):
    def answer(line, number):
        for byte in ack(3, number):
            line.sendall(bytes([byte]))

    listen(answer)

    assert guest.carry(Kind.PATH, "/x", HELLO) == (1, 3)


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
def test_who_gives_no_answer_that_can_be_read_has_not_taken_the_message(listen, guest, answer):
    first = listen(answer)

    with pytest.raises(BackplaneError, match="nobody took the message"):
        guest.carry(Kind.PATH, "/x", HELLO)

    first.leave()
    listen(lambda line, number: line.sendall(ack(3, number)))
    assert guest.carry(Kind.PATH, "/x", HELLO) == (1, 3)


def test_who_has_left_since_the_last_message_is_told_no_more(listen, guest):
    first = listen(lambda line, number: line.sendall(ack(3, number)))
    listen(lambda line, number: line.sendall(ack(4, number)))
    assert guest.carry(Kind.PATH, "/x", HELLO) == (2, 7)

    os.unlink(Path(guest._directory.path) / first.name)

    assert guest.carry(Kind.PATH, "/x", HELLO) == (1, 4)


def test_who_ended_since_the_last_message_is_dropped(listen, guest):
    def answer_once(line, number):
        line.sendall(ack(3, number))
        line.shutdown(socket.SHUT_RDWR)

    listen(answer_once)
    listen(lambda line, number: line.sendall(ack(4, number)))
    assert guest.carry(Kind.PATH, "/x", HELLO) == (2, 7)

    assert guest.carry(Kind.PATH, "/x", HELLO) == (1, 4)


def test_the_socket_of_a_process_that_died_is_unlinked_and_not_waited_for(listen, guest, directory):
    dead = socket_name(0)
    directory.listen(dead).close()
    listen(lambda line, number: line.sendall(ack(3, number)))

    assert guest.carry(Kind.PATH, "/x", HELLO) == (1, 3)
    assert dead not in directory.names()


def test_who_leaves_while_a_guest_greets_is_dropped(listen, guest, directory):
    name = socket_name(0)
    raw = directory.listen(name)
    real_connect = directory.connect

    def connect_and_lose(wanted, sock):
        is_connected = real_connect(wanted, sock)
        raw.close()  # resets whoever waits to be accepted
        return is_connected

    directory.connect = connect_and_lose

    with pytest.raises(BackplaneError, match="nobody took the message"):
        guest.carry(Kind.PATH, "/x", HELLO)


# -- the directory


@pytest.fixture
def file_in_the_way(tmp_path: Path) -> Path:
    (tmp_path / "file").write_text("")
    return tmp_path / "file" / "bus"


def test_a_folder_that_can_not_be_made_is_named(file_in_the_way):
    with pytest.raises(BackplaneError, match=r"^bus directory .*/file/bus can't be made: "):
        BusDirectory(str(file_in_the_way)).make()


def test_a_folder_that_can_not_be_looked_at_is_named(file_in_the_way):
    with pytest.raises(
        BackplaneError, match=r"^bus directory .*/file/bus can't be used: Not a directory"
    ):
        BusDirectory(str(file_in_the_way)).exists()


def test_a_socket_that_can_not_be_opened_leaves_no_descriptor(directory):
    os.rmdir(directory.path)

    with pytest.raises(OSError, match="No such file"):
        directory.listen(socket_name(0))


def test_a_name_that_goes_while_it_is_looked_at_is_no_error(directory):
    with socket.socket(socket.AF_UNIX) as sock:
        assert directory.connect(socket_name(0), sock) is False
    directory.unlink(socket_name(0))
    directory._forget_unfinished(f"{directory.path}/.0-1-ab.new")

    assert directory.names() == []


def test_what_a_process_left_that_died_before_it_listened_is_removed_after_a_while(directory):
    unfinished = Path(directory.path) / ".0-1-00000000000000000000000000000000.new"
    unfinished.touch()
    assert (directory.names(), unfinished.exists()) == ([], True)

    long_ago_s = time.time() - 100
    os.utime(unfinished, (long_ago_s, long_ago_s))

    assert (directory.names(), unfinished.exists()) == ([], False)


def test_a_process_that_is_too_busy_keeps_its_name(directory, monkeypatch):
    name = socket_name(0)
    raw = directory.listen(name)

    class Busy:
        def connect(self, address):
            raise OSError(errno.EAGAIN, "try again")

    assert directory.connect(name, Busy()) is False
    assert directory.names() == [name]
    raw.close()
