"""WebSockets over TLS, whose records don't end where frames or reads do."""

from __future__ import annotations

import contextlib
import socket as native_socket
import struct
from pathlib import Path

import gevent
import pytest
from gevent import socket, ssl

from tests.support.own_server import ANSWER_S, STOP_S
from tests.support.raw import BINARY, CLOSE, TEXT, RawClient, client_frame, request_head
from tina4_wsgi import App, Router
from tina4_wsgi.config import Config
from tina4_wsgi.server.server import Server

CERTIFICATE = Path(__file__).parent / "localhost.pem"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


class Site:
    """An application over TLS; `ends` has the close code of each connection that is over."""

    def __init__(self) -> None:
        self.connections = []
        self.ends = []
        router = Router()
        router.websocket("/ws/echo", self.echo, max_inbound_messages=2)
        router.websocket("/ws/slow", self.echo, max_outbound_bytes=65_536)
        router.websocket(
            "/ws/lossy",
            self.echo,
            max_outbound_bytes=500_000,
            on_slow="drop_oldest",
            send_timeout_s=60,
        )
        self.server = Server(App(router=router), port=0, config=Config(), certfile=CERTIFICATE)

    def echo(self, connection, event, data):
        if event == "open":
            self.connections.append(connection)
        elif event == "message":
            connection.send(f"{len(data)}")
        else:
            self.ends.append(connection.close_code)

    def dial(self, receive_buffer=0):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(CERTIFICATE)
        plain = socket.socket()
        plain.settimeout(ANSWER_S)
        if receive_buffer:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        plain.connect(("127.0.0.1", self.server.port))
        return RawClient(context.wrap_socket(plain, server_hostname="localhost"))

    def connect(self, path="/ws/echo", early=b"", receive_buffer=0):
        client = self.dial(receive_buffer)
        client.send_bytes(request_head(path, f"localhost:{self.server.port}", KEY) + early)
        assert client.read_head().status == 101
        return client


@pytest.fixture
def site():
    site = Site()
    site.server.start()
    yield site
    site.server.stop(STOP_S)


def wait_until(is_so):
    with gevent.Timeout(ANSWER_S, AssertionError("it did not become so")):
        while not is_so():
            gevent.sleep(0.002)


@pytest.mark.parametrize("size", [100, 7_900, 8_100, 12_000, 15_000, 40_000])
def test_a_message_in_one_record_with_the_handshake_is_answered(site, size):
    with site.connect(early=client_frame(TEXT, b"a" * size)) as client:
        assert client.read_text() == f"{size}"


def test_many_messages_in_one_record_with_the_handshake_are_answered(site):
    with site.connect(early=client_frame(TEXT, b"a") * 2_000) as client:
        assert [client.read_text() for _ in range(2_000)] == ["1"] * 2_000


def test_half_a_record_is_waited_for(site):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(CERTIFICATE)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(("127.0.0.1", site.server.port), ANSWER_S) as plain:

        def until_done(step):
            while True:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    plain.sendall(outgoing.read())
                    incoming.write(plain.recv(65_536))

        until_done(session.do_handshake)
        session.write(request_head("/ws/echo", f"localhost:{site.server.port}", KEY))
        assert until_done(lambda: session.read(12)) == b"HTTP/1.1 101"
        wait_until(lambda: site.connections)
        (connection,) = site.connections
        session.write(client_frame(TEXT, b"a" * 1_000))
        record = outgoing.read()
        plain.sendall(record[:500])
        gevent.sleep(0.05)
        assert connection._lifecycle.transport.received_bytes == 0

        outgoing.write(record[500:])
        answer = b""
        while not answer.endswith(b"\x81\x041000"):
            answer += until_done(lambda: session.read(4_096))


def test_a_message_that_the_kernel_does_not_take_at_once_arrives_whole(site):
    with site.connect(receive_buffer=4_096) as client:
        wait_until(lambda: site.connections)
        (connection,) = site.connections
        connection.broadcast(b"x" * 3_000_000)
        wait_until(lambda: connection._lifecycle.transport.stalled_since_s is not None)

        assert client.read_frame() == (0x80 | BINARY, b"x" * 3_000_000)


def test_a_slow_reader_is_told_so(site):
    with site.connect("/ws/slow", receive_buffer=4_096) as client:
        wait_until(lambda: site.connections)
        (connection,) = site.connections
        while not connection.closed:
            connection.broadcast(b"y" * 4_000)
            gevent.sleep(0)

        frames = [client.read_frame()]
        while frames[-1].opcode != CLOSE:
            frames.append(client.read_frame())

    assert frames[-1].close_code == 1013
    assert {frame.payload for frame in frames[:-1]} == {b"y" * 4_000}


def test_a_slow_reader_that_may_lose_broadcasts_gets_whole_ones(site):
    with site.connect("/ws/lossy", receive_buffer=4_096) as client:
        wait_until(lambda: site.connections)
        (connection,) = site.connections
        connection._lifecycle.transport._stream.setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDBUF, 4_608
        )
        sizes = [70_000 + 1_000 * number for number in range(60)]
        for size in sizes[:30]:  # nobody reads: more than fits
            connection.broadcast(b"z" * size)
            gevent.sleep(0)
        reader = gevent.spawn(heard_until, client, b"direct")
        for size in sizes[30:]:
            connection.broadcast(b"z" * size)
            gevent.sleep(0.002)
        connection.send(b"direct")

        heard = reader.get(timeout=ANSWER_S)
    assert len(heard) < len(sizes)
    assert heard == sorted(set(heard) & set(sizes))


def heard_until(client, last):
    sizes = []
    while (payload := client.read_frame().payload) != last:
        assert payload == b"z" * len(payload)
        sizes.append(len(payload))
    return sizes


def test_a_client_that_says_goodbye_in_tls_alone_is_gone(site):
    with site.connect() as client:
        client.send_text("a")
        assert client.read_text() == "1"

        client.socket.unwrap()  # sends close_notify, and waits for that of the server

        wait_until(lambda: site.ends)
    assert site.ends == [1006]


def test_a_goodbye_of_both_layers_is_answered_in_both(site):
    with site.connect() as client:
        client.send_close()
        assert client.read_close() == 1000

        client.socket.unwrap()

        wait_until(lambda: site.ends)
    assert site.ends == [1000]


def test_a_client_that_leaves_without_a_goodbye_is_gone(site):
    client = site.connect()
    wait_until(lambda: site.connections)

    with contextlib.closing(client):
        pass

    wait_until(lambda: site.ends)
    assert site.ends == [1006]


def leave_unheard(server, data=b""):
    """Connect, send and reset before the server has had a look: this greenlet doesn't wait."""
    with native_socket.create_connection(("127.0.0.1", server.port), ANSWER_S) as sock:
        sock.sendall(data)
        sock.setsockopt(native_socket.SOL_SOCKET, native_socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.filterwarnings(
    "ignore:unclosed:ResourceWarning"
)  # of gevent, whose half-made SSLSocket closes itself
@pytest.mark.parametrize("data", [b"", b"\x16\x03\x01"], ids=["nothing said", "a beginning"])
def test_a_client_that_has_gone_before_its_tls_handshake_is_no_error(site, data, capfd):
    for _ in range(5):
        leave_unheard(site.server, data)
    with site.connect() as client:  # the others have been handled before
        client.send_text("a")
        assert client.read_text() == "1"

    assert "Traceback" not in capfd.readouterr().err


def test_who_is_accepted_as_the_server_stops_makes_no_tls_handshake(site, caplog):
    with native_socket.create_connection(("127.0.0.1", site.server.port), ANSWER_S) as sock:
        site.server.do_handle(*site.server.do_read())

        site.server.stop(STOP_S)

        assert sock.recv(1) == b""
    assert "TLS handshake" not in caplog.text
