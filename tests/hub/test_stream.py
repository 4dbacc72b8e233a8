"""A TLS connection that is read and written like a plain socket: real records, no server."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tina4_wsgi.hub import openssl
from tina4_wsgi.hub.stream import TLSStream, reset_on_close
from tina4_wsgi.hub.tls import tls_stream

CERTIFICATE = Path(__file__).parents[1] / "server" / "localhost.pem"
WAIT_S = 5.0
RECORD_BYTES = 16_384
PLENTY = 65_536


class Line:
    """Our end of a TLS connection and the peer's; what they send arrives at once."""

    def __init__(self) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(CERTIFICATE)
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.load_verify_locations(CERTIFICATE)
        ours = server.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.peer = client.wrap_bio(self._outgoing, self._incoming, server_hostname="localhost")
        for one in (self.peer, ours, self.peer, ours):
            try:
                one.do_handshake()
            except ssl.SSLWantReadError:
                continue
        self.below, self.other = socket.socketpair()
        self.other.settimeout(WAIT_S)
        self.stream = tls_stream(self.below, ours._sslobj)

    def end(self) -> None:
        """Have the peer's TCP connection end."""
        self._incoming.write_eof()

    def cut(self) -> None:
        """Lose the last byte that was sent to us."""
        self._incoming.write(self._incoming.read()[:-1])


@pytest.fixture(params=["reading ahead", "record by record"])
def line(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    if request.param == "record by record":
        monkeypatch.setattr(openssl, "find", lambda session: None)
    line = Line()
    yield line
    line.below.close()
    line.other.close()


class Session:
    """Stands for OpenSSL where that can't be brought to do something without a full kernel."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def _fail(self, *_: object) -> Any:
        raise self._error

    read = write = shutdown = _fail


def test_several_records_are_read_as_one_piece(line: Line) -> None:
    for piece in (b"one", b"two", b"three"):
        line.peer.write(piece)

    assert line.stream.recv(PLENTY) == b"onetwothree"


def test_where_nothing_has_arrived_it_would_wait(line: Line) -> None:
    with pytest.raises(BlockingIOError):
        line.stream.recv(PLENTY)


def test_half_a_record_is_nothing_yet(line: Line) -> None:
    line.peer.write(b"whole")
    line.cut()

    with pytest.raises(BlockingIOError):
        line.stream.recv(PLENTY)


def test_a_read_takes_no_record_that_it_has_no_room_for(line: Line) -> None:
    for size in (RECORD_BYTES, RECORD_BYTES, 10):
        line.peer.write(b"x" * size)

    pieces = [line.stream.recv(2 * RECORD_BYTES), line.stream.recv(2 * RECORD_BYTES)]

    assert [len(one) for one in pieces] == [2 * RECORD_BYTES, 10]
    assert not line.stream.has_pending


@pytest.mark.parametrize("first", [1, RECORD_BYTES - 1])
def test_openssl_keeps_nothing_where_a_whole_record_would_not_fit_any_more(
    line: Line, first: int
) -> None:
    line.peer.write(b"x" * first)
    line.peer.write(b"y" * RECORD_BYTES)

    pieces = [line.stream.recv(2 * RECORD_BYTES - 2) for _ in range(2 if first > 1 else 1)]

    assert sum(map(len, pieces)) == first + RECORD_BYTES
    assert not line.stream.has_pending


def test_room_for_one_record_takes_one_and_room_for_less_leaves_the_rest_pending(
    line: Line,
) -> None:
    line.peer.write(b"x" * RECORD_BYTES)
    line.peer.write(b"y")

    assert line.stream.recv(RECORD_BYTES) == b"x" * RECORD_BYTES
    assert line.stream.recv(PLENTY) == b"y"
    line.peer.write(b"0123456789")
    assert line.stream.recv(4) == b"0123"
    assert line.stream.has_pending
    assert line.stream.recv(PLENTY) == b"456789"
    assert not line.stream.has_pending


@pytest.mark.parametrize("is_polite", [True, False])
def test_what_came_before_the_end_is_read_and_then_the_end(line: Line, is_polite: bool) -> None:
    line.peer.write(b"last")
    if is_polite:
        with pytest.raises(ssl.SSLWantReadError):
            line.peer.unwrap()
    else:
        line.end()

    assert line.stream.recv(PLENTY) == b"last"
    assert line.stream.recv(PLENTY) == b""


def test_the_peers_goodbye_behind_our_own_is_the_end_too(line: Line) -> None:
    line.stream.shutdown(socket.SHUT_WR)
    line.peer.unwrap()

    assert line.stream.recv(PLENTY) == b""


def test_a_record_that_was_changed_on_its_way_breaks_the_connection(line: Line) -> None:
    line.peer.write(b"whole")
    line.cut()
    line._incoming.write(b"?")

    with pytest.raises(OSError) as caught:
        line.stream.recv(PLENTY)
    assert not isinstance(caught.value, BlockingIOError)


def test_what_is_sent_arrives_and_its_length_is_told(line: Line) -> None:
    assert line.stream.send(memoryview(b"hello")) == 5

    assert line.peer.read() == b"hello"


@pytest.mark.parametrize("error", [ssl.SSLWantWriteError(), ssl.SSLWantReadError()])
def test_a_session_that_has_to_wait_says_so_like_a_socket(error: ssl.SSLError) -> None:
    with socket.socket() as below:
        stream = TLSStream(below, Session(error))

        with pytest.raises(BlockingIOError):
            stream.send(b"x")
        with pytest.raises(BlockingIOError):
            stream.recv(PLENTY)


def test_a_shutdown_says_goodbye_in_both_layers(line: Line) -> None:
    line.stream.shutdown(socket.SHUT_WR)

    assert line.peer.read() == b""  # a close_notify; without one it would raise
    assert line.other.recv(1) == b""


@pytest.mark.parametrize(
    "error", [ssl.SSLWantWriteError(), ssl.SSLWantReadError(), ssl.SSLError("broken")]
)
def test_a_session_that_can_not_say_goodbye_shuts_the_socket_down(
    line: Line, error: ssl.SSLError
) -> None:
    TLSStream(line.below, Session(error)).shutdown(socket.SHUT_WR)

    assert line.other.recv(1) == b""


def test_the_rest_is_the_sockets_own(line: Line) -> None:
    line.stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    assert line.below.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert line.stream.fileno() == line.below.fileno()

    line.stream.close()

    assert line.below.fileno() == -1


def test_a_connection_that_is_reset_drops_what_the_peer_has_not_read() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = socket.create_connection(listener.getsockname(), WAIT_S)
        ours, _ = listener.accept()

    with peer:
        reset_on_close(ours)
        ours.close()

        with pytest.raises(ConnectionResetError):
            peer.recv(1)
