"""What a server's native socket becomes when its connection is taken, plain and over TLS."""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tina4_wsgi.hosting import native_shell
from tina4_wsgi.hub.stream import Stream

CERTIFICATE = Path(__file__).parents[1] / "server" / "localhost.pem"
ANSWER_S = 10.0
HEAD_101 = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket"


class Wire:
    """Both ends of a connection: the server's socket, which is taken, and the client's."""

    def __init__(self, server: socket.socket, client: socket.socket) -> None:
        self.server = server
        self.client = client

    def read(self, count: int) -> bytes:
        """Read so much at the client's end."""
        got = b""
        while len(got) < count:
            part = self.client.recv(count - len(got))
            assert part, f"the stream ended behind {got!r}"
            got += part
        return got


class Heard:
    """What a door tells."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.others: list[bytes] = []


def plain_pair() -> Wire:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname(), ANSWER_S)
        server, _ = listener.accept()
    return Wire(server, client)


def tls_pair() -> Wire:
    wire = plain_pair()
    context = ssl.create_default_context(cafile=str(CERTIFICATE))
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(CERTIFICATE)
    sides: list[ssl.SSLSocket] = []
    accepting = threading.Thread(
        target=lambda: sides.append(theirs.wrap_socket(wire.server, server_side=True))
    )
    accepting.start()
    client = context.wrap_socket(wire.client, server_hostname="localhost")
    accepting.join()
    return Wire(sides[0], client)


@pytest.fixture(params=[plain_pair, tls_pair], ids=["plain", "tls"])
def wire(request: pytest.FixtureRequest) -> Iterator[Wire]:
    made = request.param()
    yield made
    made.client.close()
    made.server.close()


def read_some(stream: Stream) -> bytes:
    """Read from a stream that doesn't wait, once there is something."""
    with selectors.DefaultSelector() as selector:
        selector.register(stream.fileno(), selectors.EVENT_READ)
        while selector.select(ANSWER_S):
            with contextlib.suppress(BlockingIOError):  # a TLS ticket alone is nothing to read
                return stream.recv(65_536)
    raise AssertionError("nothing came")


def test_what_was_taken_talks_to_the_client(wire):
    stream = native_shell.detach(wire.server, is_prompt=False)
    try:
        assert stream.send(b"to the client") == 13
        assert wire.read(13) == b"to the client"
        wire.client.sendall(b"to the server")
        assert read_some(stream) == b"to the server"
        with pytest.raises(BlockingIOError):
            stream.recv(65_536)
    finally:
        stream.close()


def test_what_the_server_does_afterwards_reaches_nobody(wire):
    reader = wire.server.makefile("rb")
    stream = native_shell.detach(wire.server, is_prompt=True)
    try:
        wire.server.sendall(b"lost")
        assert wire.server.send(b"lost") == 4
        assert wire.server.recv(10) == b""
        assert reader.read() == b""
        wire.server.settimeout(3)
        wire.server.setblocking(True)
        wire.server.shutdown(socket.SHUT_RDWR)
        reader.close()
        wire.server.close()
        with pytest.raises(OSError, match="not connected"):
            wire.server.getpeername()
        assert wire.server.fileno() == -1

        stream.send(b"still here")
        assert wire.read(10) == b"still here"
    finally:
        stream.close()


def test_a_closed_stream_ends_at_the_client_and_leaves_no_descriptor(wire):
    stream = native_shell.detach(wire.server, is_prompt=True)
    stream.shutdown(socket.SHUT_WR)
    stream.close()

    assert wire.client.recv(1) == b""
    assert stream.fileno() == -1


def test_a_server_that_polls_sees_the_end_of_the_stream_and_no_byte_of_the_client(wire):
    stream = native_shell.detach(wire.server, is_prompt=True, is_polled=True)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(wire.server, selectors.EVENT_READ)
            assert selector.select(0) != []
            assert wire.server.recv(10) == b""

        wire.client.sendall(b"a frame")
        assert read_some(stream) == b"a frame"
    finally:
        stream.close()


def place_door(wire: Wire) -> tuple[Heard, Callable[[], None]]:
    heard = Heard()
    return heard, native_shell.place_door(wire.server, heard.heads.append, heard.others.append)


@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
def test_a_101_opens_the_door_and_does_not_pass(wire, version):
    heard, _ = place_door(wire)
    head = HEAD_101.replace(b"HTTP/1.1", version)

    wire.server.sendall(head)
    assert heard.heads == []
    wire.server.sendall(b"\r\n\r\n")

    assert heard.heads == [head]
    assert heard.others == []
    assert native_shell.fits(wire.server)  # until it is taken
    wire.server.sendall(b"first")
    assert wire.read(5) == b"first"


@pytest.mark.parametrize("pieces", [1, 2])
def test_a_door_lets_another_answer_pass_whole(wire, pieces):
    heard, _ = place_door(wire)
    answer = b"HTTP/1.1 403 Forbidden\r\n\r\nno"

    for part in (answer,) if pieces == 1 else (answer[:20], answer[20:]):
        wire.server.sendall(part)

    assert wire.read(len(answer)) == answer
    assert heard.others == [answer if pieces == 1 else answer[:20]]
    assert heard.heads == []
    assert not native_shell.is_taken(wire.server)


def test_a_door_lets_an_interim_answer_pass_and_stays(wire):
    heard, _ = place_door(wire)
    hints = b"HTTP/1.1 103 Early Hints\r\n\r\n"

    wire.server.sendall(hints)
    assert wire.read(len(hints)) == hints
    assert native_shell.is_taken(wire.server)
    assert wire.server.send(HEAD_101 + b"\r\n\r\n") == len(HEAD_101) + 4

    assert heard.heads == [HEAD_101]


@pytest.mark.parametrize("how", ["close", "shutdown"])
def test_a_server_that_closes_without_an_answer_has_answered_nothing(wire, how):
    heard, _ = place_door(wire)

    if how == "close":
        wire.server.close()
    else:
        wire.server.shutdown(socket.SHUT_WR)

    assert heard.others == [b""]
    assert wire.client.recv(1) == b""


def test_a_door_that_is_removed_leaves_the_socket_as_it_was(wire):
    before = type(wire.server)
    heard, remove = place_door(wire)
    remove()
    remove()

    assert type(wire.server) is before
    wire.server.sendall(HEAD_101)
    assert wire.read(len(HEAD_101)) == HEAD_101
    assert heard.heads == heard.others == []


def test_a_connection_is_taken_once(wire):
    assert native_shell.fits(wire.server)
    assert not native_shell.is_taken(wire.server)
    _, remove = place_door(wire)
    assert native_shell.is_taken(wire.server)
    remove()

    stream = native_shell.detach(wire.server, is_prompt=True)
    try:
        assert native_shell.is_taken(wire.server)
        assert not native_shell.fits(wire.server)
    finally:
        stream.close()


def test_a_socket_of_gevents_is_none_of_these():
    from gevent import socket as gevent_socket

    with gevent_socket.socket() as sock:
        assert not native_shell.fits(sock)
        assert not native_shell.is_taken(sock)
