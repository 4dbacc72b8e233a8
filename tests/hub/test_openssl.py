"""Reading ahead in OpenSSL: real sessions on real sockets, and what must be left alone."""

from __future__ import annotations

import _ssl
import ctypes
import fcntl
import socket
import ssl
import struct
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from tina4_wsgi.hub import openssl
from tina4_wsgi.hub.stream import TLSStream
from tina4_wsgi.hub.tls import tls_stream

CERTIFICATE = Path(__file__).parents[1] / "server" / "localhost.pem"
PLENTY = 65_536


class Ends:
    """Both ends of a TLS connection; what the client says crosses when it is let through."""

    def __init__(self, version: ssl.TLSVersion) -> None:
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(CERTIFICATE)
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.load_verify_locations(CERTIFICATE)
        client.minimum_version = client.maximum_version = version

        below, self.wire = socket.socketpair()
        below.setblocking(False)
        self.wire.setblocking(False)
        self.ours = server.wrap_socket(below, server_side=True, do_handshake_on_connect=False)
        self.session: Any = self.ours._sslobj  # Any: its class has no public name
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.peer = client.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost")
        self._shake_hands()

    def _shake_hands(self) -> None:
        waiting: list[ssl.SSLObject | ssl.SSLSocket] = [self.peer, self.ours]
        while waiting:
            for end in list(waiting):
                try:
                    end.do_handshake()
                    waiting.remove(end)
                except ssl.SSLWantReadError:
                    pass
                self.let_through()

    def let_through(self, most_bytes: int = PLENTY) -> None:
        """Carry what was said to the other end, the client's up to a number of bytes."""
        if said := self._outgoing.read(most_bytes):
            self.wire.sendall(said)
        try:
            self._incoming.write(self.wire.recv(PLENTY))
        except BlockingIOError:
            pass

    @property
    def in_kernel_bytes(self) -> int:
        """How much has arrived at our end that OpenSSL hasn't read."""
        (size,) = struct.unpack("i", fcntl.ioctl(self.ours.fileno(), termios.FIONREAD, bytes(4)))
        return int(size)

    def close(self) -> None:
        self.ours.close()
        self.wire.close()


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    ends = Ends(request.param)
    yield ends
    ends.close()


def test_one_read_takes_all_records_from_the_kernel(ends: Ends) -> None:
    assert openssl.find(ends.session) is not None
    for piece in (b"one", b"two", b"three"):
        ends.peer.write(piece)
    ends.let_through()

    assert ends.session.read(PLENTY) == b"one"
    assert not ends.in_kernel_bytes
    assert ends.session.read(PLENTY) + ends.session.read(PLENTY) == b"twothree"


def test_half_a_record_waits_for_the_rest(ends: Ends) -> None:
    stream = tls_stream(ends.ours, ends.session)
    ends.peer.write(b"whole")
    ends.peer.write(b"halved")
    ends.let_through(most_bytes=40)

    assert stream.recv(PLENTY) == b"whole"
    with pytest.raises(BlockingIOError):
        stream.recv(PLENTY)
    assert stream.has_pending
    assert not ends.in_kernel_bytes

    ends.let_through()
    assert stream.recv(PLENTY) == b"halved"
    assert not stream.has_pending


@pytest.mark.parametrize("size_bytes", [1, 16_384, 16_385, 300_000])
def test_messages_of_all_sizes_arrive_whole_and_leave_nothing_behind(
    ends: Ends, size_bytes: int
) -> None:
    stream, arrived = tls_stream(ends.ours, ends.session), bytearray()
    message = bytes(number % 251 for number in range(size_bytes))
    ends.peer.write(message)

    while len(arrived) < size_bytes:
        ends.let_through()
        try:
            arrived += stream.recv(PLENTY)
        except BlockingIOError:
            continue

    assert arrived == message
    assert not stream.has_pending
    assert not ends.in_kernel_bytes


def test_the_clients_goodbye_behind_a_message_is_the_end(ends: Ends) -> None:
    stream = tls_stream(ends.ours, ends.session)
    ends.peer.write(b"last")
    with pytest.raises(ssl.SSLWantReadError):
        ends.peer.unwrap()
    ends.let_through()

    assert stream.recv(PLENTY) == b"last"
    assert stream.recv(PLENTY) == b""


def test_a_connection_that_was_reset_is_broken_for_reading_and_for_writing(ends: Ends) -> None:
    stream = tls_stream(ends.ours, ends.session)
    ends.wire.close()

    assert stream.recv(PLENTY) == b""
    with pytest.raises(OSError) as caught:
        stream.send(b"lost")
    assert not isinstance(caught.value, BlockingIOError)


@pytest.mark.parametrize("error", [ssl.SSLEOFError, BrokenPipeError, ConnectionResetError])
def test_what_came_ahead_of_a_reset_is_read(ends: Ends, error: type[OSError]) -> None:
    class Session:
        """Gives a message, and finds the line broken behind it."""

        def __init__(self) -> None:
            self.parts = [b"last"]

        def read(self, size_bytes: int) -> bytes:
            if not self.parts:
                raise error
            return self.parts.pop()

    stream = TLSStream(ends.ours, cast("Any", Session()), lambda: 1)

    assert stream.recv(PLENTY) == b"last"
    assert stream.recv(PLENTY) == b""


def test_what_the_kernel_does_not_take_waits_and_arrives_in_order(ends: Ends) -> None:
    stream, arrived = tls_stream(ends.ours, ends.session), bytearray()
    message = bytes(number % 251 for number in range(1_000_000))
    rest, waits = memoryview(message), 0

    while len(arrived) < len(message):
        try:
            rest = rest[stream.send(rest) :] if rest else rest
        except BlockingIOError:
            waits += 1
        ends.let_through()
        try:
            arrived += ends.peer.read(PLENTY)
        except ssl.SSLWantReadError:
            continue

    assert arrived == message
    assert waits


def test_nothing_to_send_is_sent_at_once(ends: Ends) -> None:
    assert tls_stream(ends.ours, ends.session).send(b"") == 0


class NotASession:
    """Has what a session of `_ssl` has, and isn't one."""

    context = None


@pytest.mark.parametrize("other", [None, NotASession(), object()])
def test_what_is_no_session_of_pythons_is_left_alone(other: object) -> None:
    assert openssl.find(other) is None


def test_a_session_laid_out_in_another_way_is_left_alone(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    for shift in (-8, 8):
        monkeypatch.setattr(openssl, "_HEAD_BYTES", object.__basicsize__ + shift)
        assert openssl.find(ends.session) is None
    ends.peer.write(b"one")
    ends.let_through()

    stream = tls_stream(ends.ours, ends.session)
    assert stream.recv(PLENTY) == b"one"


@pytest.mark.parametrize("name", ["SSL_set_read_ahead", "SSL_has_pending", "SSL_get_ex_data"])
def test_a_python_that_hides_openssls_names_reads_record_by_record(
    ends: Ends, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hiding(ctypes.PyDLL):
        def __getattr__(self, wanted: str) -> object:
            if wanted == name:
                raise AttributeError(wanted)
            return super().__getattr__(wanted)

    monkeypatch.setattr(ctypes, "PyDLL", Hiding)
    openssl._library.cache_clear()
    try:
        assert openssl.find(ends.session) is None
    finally:
        openssl._library.cache_clear()


def test_a_python_with_openssl_inside_reads_record_by_record(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(_ssl, "__file__")
    openssl._library.cache_clear()
    try:
        assert openssl.find(ends.session) is None
    finally:
        openssl._library.cache_clear()
