"""Accepting connections: with no descriptor left, on a UNIX socket, over TLS, over IPv6."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import socket as native_socket
import ssl as native_ssl
from pathlib import Path

import gevent
import pytest
from gevent import socket, ssl

from tests.support.deadline import NEVER_S
from tests.support.own_server import ANSWER_S, STOP_S, dial, exchange, hello, read_answer, running
from tests.support.raw import RawClient
from tina4_wsgi.config import Config
from tina4_wsgi.server.listening import ListenAddress
from tina4_wsgi.server.server import Server

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CERTIFICATE = Path(__file__).parent / "localhost.pem"


@contextlib.contextmanager
def serving(app, **where):
    server = Server(app, config=Config(**where.pop("settings", {})), **where)
    server.start()
    try:
        yield server
    finally:
        server.stop(STOP_S)


@contextlib.contextmanager
def no_descriptor_left():
    lowest_free = os.dup(0)
    os.close(lowest_free)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


class CountingServer(Server):
    """Counts its looks at the listening socket."""

    looks = 0

    def do_read(self):
        self.looks += 1
        return super().do_read()


def test_without_descriptors_accepting_pauses_and_goes_on_later(caplog):
    server = CountingServer(hello, port=0, config=Config())
    server.start()
    # Plain sockets: the kernel completes the connections, while the server has not looked yet.
    clients = [native_socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
    try:
        with no_descriptor_left():
            gevent.sleep(0.5)

            assert 2 <= server.looks <= 10
        # Living apps of earlier tests may tell that their loop stood still meanwhile.
        told = [one for one in caplog.records if one.name != "tina4_wsgi.loop"]
        assert [one.levelname for one in told] == ["ERROR"]
        assert (
            told[0]
            .getMessage()
            .startswith("no connection can be accepted for now: Too many open files")
        )
        for client in clients:
            client.sendall(GET)
            socket.wait_read(client.fileno(), ANSWER_S)
            assert client.recv(1_000).startswith(b"HTTP/1.1 200 ")
    finally:
        for client in clients:
            client.close()
        server.stop(STOP_S)


class Aborting:
    """A listening socket whose first client has gone before it was accepted, as BSD tells it."""

    def __init__(self, sock):
        self._socket = sock
        self._has_told = False

    def __getattr__(self, name):
        return getattr(self._socket, name)

    def _accept(self):
        if not self._has_told:
            self._has_told = True
            raise OSError(errno.ECONNABORTED, "aborted")
        return self._socket._accept()


def test_a_client_that_has_gone_before_it_was_accepted_is_no_error(caplog):
    with running(hello) as server:
        server.socket = Aborting(server.socket)

        assert exchange(
            server, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        ).endswith(b"hello")

        server.socket = server.socket._socket
    assert caplog.messages == []


def test_a_burst_of_connections_is_accepted_in_few_turns():
    server = CountingServer(hello, port=0, config=Config())
    server.start()
    clients = [native_socket.create_connection(("127.0.0.1", server.port)) for _ in range(50)]
    try:
        gevent.sleep(0)
        gevent.sleep(0.01)

        assert len(server.handlers) == 50
    finally:
        for client in clients:
            client.close()
        server.stop(STOP_S)


def dial_unix(path):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(ANSWER_S)
    client.connect(str(path))
    return RawClient(client)


def test_a_unix_socket_is_served_and_removed(tmp_path):
    path = tmp_path / "web.sock"

    with serving(hello, unix_path=path), dial_unix(path) as client:
        client.send_bytes(GET)
        assert read_answer(client)[1] == b"hello"
    assert not path.exists()


def test_two_legacy_websockets_on_one_unix_socket_do_not_meet(tmp_path):
    path = tmp_path / "web.sock"
    ask = (
        b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: "
        b"Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    )
    ask += b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

    def legacy(environ, start_response):
        websocket = environ["wsgi.websocket"]
        while (message := websocket.receive()) is not None:
            websocket.send(message)
        return []

    legacy.claims_upgrade = lambda environ: False
    with serving(legacy, unix_path=path), dial_unix(path) as first, dial_unix(path) as second:
        for client in (first, second):
            client.send_bytes(ask)
            assert client.read_head().status == 101
        for client in (first, second, first):
            client.send_text("hi")
            assert client.read_text() == "hi"
        for client in (first, second):
            client.send_close()
            client.read_to_end()


def test_the_socket_file_of_a_killed_server_is_replaced(tmp_path):
    path = tmp_path / "web.sock"
    with native_socket.socket(native_socket.AF_UNIX) as killed:
        killed.bind(str(path))

    with serving(hello, unix_path=path), dial_unix(path) as client:
        client.send_bytes(GET)
        assert read_answer(client)[1] == b"hello"


def test_the_socket_file_of_a_living_server_is_left_alone(tmp_path):
    path = tmp_path / "web.sock"

    with serving(hello, unix_path=path):
        with pytest.raises(OSError, match="in use"):
            Server(hello, unix_path=path, config=Config()).start()
        with dial_unix(path) as client:
            client.send_bytes(GET)
            assert read_answer(client)[1] == b"hello"


def test_a_socket_of_another_kind_is_left_alone(tmp_path):
    path = tmp_path / "log"
    with native_socket.socket(native_socket.AF_UNIX, native_socket.SOCK_DGRAM) as other:
        other.bind(str(path))

        with pytest.raises(OSError, match="in use"):
            Server(hello, unix_path=path, config=Config()).start()

    assert path.exists()


@pytest.mark.parametrize(
    ("place", "error", "text"),
    [
        (
            ListenAddress(port=80),
            PermissionError(errno.EACCES, "no"),
            "port 80 is not open to this user; choose one of 1024",
        ),
        (
            ListenAddress(port=99),
            OSError(errno.ENOBUFS, "no room"),
            "can't listen on 127.0.0.1, port 99: no room",
        ),
        (
            ListenAddress(unix_path="/a"),
            OSError(errno.EROFS, "read-only"),
            "can't listen on /a: read-only",
        ),
    ],
)
def test_what_can_not_be_bound_is_said_in_a_sentence(place, error, text):
    assert place.why_not(error).startswith(text)


def test_a_file_that_is_no_socket_is_left_alone(tmp_path):
    path = tmp_path / "web.sock"
    path.write_text("precious")

    with pytest.raises(OSError, match="in use"):
        Server(hello, unix_path=path, config=Config()).start()

    assert path.read_text() == "precious"


def dial_tls(server):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(CERTIFICATE)
    plain = socket.create_connection(("127.0.0.1", server.port), ANSWER_S)
    return RawClient(context.wrap_socket(plain, server_hostname="localhost"))


def test_https_is_spoken_with_a_certificate():
    seen = {}

    def keep(environ, start_response):
        seen.update(environ)
        return hello(environ, start_response)

    with serving(keep, port=0, certfile=CERTIFICATE) as server, dial_tls(server) as client:
        for _ in range(2):
            client.send_bytes(GET)
            assert read_answer(client)[1] == b"hello"
    assert seen["wsgi.url_scheme"] == "https"


def test_a_refusal_arrives_over_tls_and_ends_with_a_proper_goodbye():
    with serving(hello, port=0, certfile=CERTIFICATE) as server, dial_tls(server) as client:
        client.socket.suppress_ragged_eofs = False  # an end without close_notify would raise
        client.send_bytes(b"GET /\r\n")

        assert client.read_to_end().startswith(b"HTTP/1.1 400 ")


def test_a_head_that_stalls_over_tls_is_answered_408():
    with (
        serving(
            hello, port=0, certfile=CERTIFICATE, settings={"handshake_timeout_s": 0.5}
        ) as server,
        dial_tls(server) as client,
    ):
        client.send_bytes(GET[:-2])

        assert client.read_to_end().startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"", b"\x16\x03\x01"])
def test_a_client_that_does_not_speak_tls_is_cut_and_logged_once(data, caplog):
    settings = {"handshake_timeout_s": 0.3}

    with serving(hello, port=0, certfile=CERTIFICATE, settings=settings) as server:
        exchange(server, data)
        with dial_tls(server) as client:
            client.send_bytes(GET)
            read_answer(client)

    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith("TLS handshake with 127.0.0.1 failed: ")


def test_a_client_that_never_finishes_its_tls_handshake_does_not_hold_up_the_stop(caplog):
    settings = {"handshake_timeout_s": NEVER_S, "drain_timeout_s": NEVER_S}

    with (
        serving(hello, port=0, certfile=CERTIFICATE, settings=settings) as server,
        dial(server) as client,
    ):
        client.send_bytes(b"\x16\x03\x01")
        gevent.sleep(0.05)
        server.stop()

        client.read_to_end()
    assert caplog.records == []


def test_a_certificate_that_is_none_is_an_error_at_once(tmp_path):
    path = tmp_path / "no.pem"
    path.write_text("no certificate")

    with pytest.raises(native_ssl.SSLError):
        Server(hello, port=0, certfile=path, config=Config())


def has_ipv6():
    try:
        with native_socket.create_server(("::1", 0), family=native_socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.optional("containers often have no IPv6")
@pytest.mark.skipif(not has_ipv6(), reason="there is no IPv6 here")
@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_ipv6_is_served(host):
    with (
        serving(hello, host=host, port=0) as server,
        RawClient(socket.create_connection(("::1", server.port), ANSWER_S)) as client,
    ):
        client.send_bytes(GET)

        assert read_answer(client)[1] == b"hello"


def test_a_name_is_as_good_as_an_address():
    with serving(hello, host="localhost", port=0) as server, dial(server) as client:
        client.send_bytes(GET)

        assert read_answer(client)[1] == b"hello"


def test_settings_come_from_the_application_when_it_has_some():
    class App:
        config = Config(handshake_timeout_s=3)
        __call__ = staticmethod(hello)

    class FlaskLike:
        config = dict(DEBUG=True)  # noqa: C408, RUF012  # as Flask has it
        __call__ = staticmethod(hello)

    assert Server(App(), port=0).config.handshake_timeout_s == 3
    assert isinstance(Server(FlaskLike(), port=0).config, Config)
