"""Receiving and sending on a bare descriptor. `tests/compiled` runs these tests on the module that
is written for C.
"""

from __future__ import annotations

import os
import resource
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tina4_wsgi.hub.syscalls import (
    BROKEN,
    FIRST_READ_BYTES,
    READ_BYTES,
    WOULD_WAIT,
    Inbox,
    accept,
    close_descriptor,
    send,
    set_reset_on_close,
    shut_down_writing,
)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname(), 5)
        ours, _ = listener.accept()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def arrive(ours: socket.socket, size: int) -> None:
    """Wait until `size` bytes are there to be received."""
    ours.setblocking(True)
    while len(ours.recv(size, socket.MSG_PEEK | socket.MSG_WAITALL)) < size:
        pass
    ours.setblocking(False)


def reset(ours: socket.socket, theirs: socket.socket) -> None:
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    theirs.close()
    ours.setblocking(True)
    with pytest.raises(ConnectionResetError):
        ours.recv(1)
    ours.setblocking(False)


@pytest.mark.parametrize("size", [1, 125, 16_384, 65_536])
def test_what_has_arrived_is_received(pair: tuple[socket.socket, socket.socket], size: int) -> None:
    ours, theirs = pair
    theirs.sendall(b"x" * size)
    arrive(ours, size)

    assert Inbox().receive(ours.fileno(), READ_BYTES) == size


def test_no_more_is_received_than_asked_for(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall(b"x" * 100)
    arrive(ours, 100)
    inbox = Inbox()

    assert [inbox.receive(ours.fileno(), 60) for _ in range(2)] == [60, 40]


def test_nothing_there_is_told_apart_from_the_end(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    inbox = Inbox()
    assert inbox.receive(ours.fileno(), READ_BYTES) == WOULD_WAIT

    theirs.close()
    ours.setblocking(True)
    ours.recv(1)  # waits for the end
    ours.setblocking(False)

    assert inbox.receive(ours.fileno(), READ_BYTES) == 0


def test_a_broken_connection_is_told(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    reset(ours, theirs)

    assert send(ours.fileno(), b"x") == BROKEN
    assert Inbox().receive(-1, READ_BYTES) == BROKEN


def test_all_is_sent_that_the_kernel_takes(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair

    assert send(ours.fileno(), b"hello") == 5
    assert theirs.recv(10) == b"hello"


def test_a_full_kernel_takes_a_part_and_then_nothing(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, _ = pair
    plenty = b"x" * 20_000_000

    taken = [send(ours.fileno(), plenty)]
    while taken[-1] > 0:
        taken.append(send(ours.fileno(), plenty))

    assert 0 < taken[0] < len(plenty)
    assert taken[-1] == WOULD_WAIT


def test_a_socket_that_would_wait_is_not_waited_for(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, _ = pair

    assert Inbox().receive(ours.fileno(), FIRST_READ_BYTES) == WOULD_WAIT


def test_what_was_sent_before_the_writing_end_is_shut_still_arrives(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    send(ours.fileno(), b"last words")

    shut_down_writing(ours.fileno())

    assert [theirs.recv(100), theirs.recv(100)] == [b"last words", b""]
    theirs.send(b"heard")
    arrive(ours, 5)
    assert Inbox().receive(ours.fileno(), READ_BYTES) == 5


def test_a_broken_connection_can_not_be_shut(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    reset(ours, theirs)

    with pytest.raises(OSError, match="not connected"):
        shut_down_writing(ours.fileno())


def test_a_connection_is_reset_on_close_when_it_was_asked_for(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair

    set_reset_on_close(ours.fileno())
    ours.close()

    with pytest.raises(ConnectionResetError):
        theirs.recv(1)


PATCHING = "from gevent import monkey; monkey.patch_all()"
IMPORTING = "from tina4_wsgi.hub.syscalls import close_descriptor"
CLOSING = """
import os, gevent
gevent.sleep(0)
read_end, write_end = os.pipe()
close_descriptor(read_end)
assert os.dup(write_end) == read_end, "it isn't free yet"
"""


@pytest.mark.parametrize("lines", [[PATCHING, IMPORTING], [IMPORTING, PATCHING]])
def test_a_descriptor_is_free_at_once_in_a_patched_process(lines: list[str]) -> None:
    program = "\n".join([*lines, CLOSING])

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=False
    )

    assert done.stderr == ""


def test_closing_what_is_closed_is_harmless(pair: tuple[socket.socket, socket.socket]) -> None:
    descriptor = os.dup(pair[0].fileno())

    close_descriptor(descriptor)
    close_descriptor(descriptor)


def test_what_is_no_socket_takes_the_wish_for_a_reset_in_silence() -> None:
    read_end, write_end = os.pipe()

    set_reset_on_close(write_end)

    os.close(read_end)
    os.close(write_end)


def test_what_stands_in_the_place_of_a_number_of_bytes_is_none() -> None:
    assert len({WOULD_WAIT, BROKEN, *range(READ_BYTES + 1)}) == READ_BYTES + 3


def listen(family: int, where: object) -> socket.socket:
    listener = socket.socket(family)
    listener.bind(where)
    listener.listen()
    listener.setblocking(False)
    return listener


@pytest.mark.parametrize(
    ("family", "where"), [(socket.AF_INET, ("127.0.0.1", 0)), (socket.AF_INET6, ("::1", 0))]
)
def test_an_accepted_client_has_the_address_that_python_gives_it(
    family: int, where: object
) -> None:
    with listen(family, where) as listener, socket.socket(family) as client:
        client.connect(listener.getsockname())

        accepted = accept(listener)

        assert accepted is not None
        with socket.socket(fileno=accepted[0]) as sock:
            assert accepted[1] == sock.getpeername() == client.getsockname()


@pytest.mark.parametrize("name", ["", "client.sock", "\0tina4 client"])
def test_a_client_of_a_unix_socket_has_its_own_name_if_any(tmp_path: Path, name: str) -> None:
    with (
        listen(socket.AF_UNIX, str(tmp_path / "web.sock")) as listener,
        socket.socket(socket.AF_UNIX) as client,
    ):
        if name:
            client.bind(f"{name}{os.getpid()}" if name[0] == "\0" else str(tmp_path / name))
        client.connect(str(tmp_path / "web.sock"))

        accepted = accept(listener)

        assert accepted is not None
        with socket.socket(fileno=accepted[0]):
            assert accepted[1] == client.getsockname()


def test_an_accepted_descriptor_does_not_wait_and_is_not_inherited() -> None:
    with listen(socket.AF_INET, ("127.0.0.1", 0)) as listener, socket.socket() as client:
        client.connect(listener.getsockname())
        accepted = accept(listener)
        assert accepted is not None

        with socket.socket(fileno=accepted[0]) as sock:
            assert (os.get_blocking(sock.fileno()), os.get_inheritable(sock.fileno())) == (
                False,
                False,
            )


def test_nobody_is_accepted_where_nobody_waits() -> None:
    with listen(socket.AF_INET, ("127.0.0.1", 0)) as listener:
        assert accept(listener) is None


def test_a_listener_that_is_closed_is_an_error() -> None:
    listener = listen(socket.AF_INET, ("127.0.0.1", 0))
    listener.close()

    with pytest.raises(OSError, match="Bad file descriptor"):
        accept(listener)


def test_without_a_descriptor_left_accepting_says_so() -> None:
    with listen(socket.AF_INET, ("127.0.0.1", 0)) as listener, socket.socket() as client:
        client.connect(listener.getsockname())
        lowest_free = os.dup(0)
        os.close(lowest_free)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, limits[1]))
        try:
            with pytest.raises(OSError, match="Too many open files"):
                accept(listener)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
