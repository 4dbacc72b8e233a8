"""Taking a connection from servers behind middlewares, and from those that have answered already."""

from __future__ import annotations

import io
from types import SimpleNamespace

import gevent
import pytest
from gevent import socket

from tests.support.raw import MASK, TEXT, RawClient, client_frame
from tina4_wsgi import App, Router, upgrade
from tina4_wsgi.errors import Refused

HANDSHAKE = {
    "REQUEST_METHOD": "GET",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "PATH_INFO": "/ws/echo",
    "HTTP_HOST": "a",
    "HTTP_CONNECTION": "Upgrade",
    "HTTP_UPGRADE": "websocket",
    "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
}


class GunicornResponse:
    """As much of gunicorn's response, before version 24, as an upgrade touches."""

    def __init__(self, sock):
        self.chunked = self.headers_sent = False
        self._sock = sock

    def start_response(self, status, headers, exc_info=None):
        self._head = [status, *(f"{name}: {value}" for name, value in headers)]
        self.chunked = True  # no Content-Length
        return self.write

    def write(self, data):
        lines = [f"HTTP/1.1 {self._head[0]}", *self._head[1:]]
        if self.chunked:
            lines.append("Transfer-Encoding: chunked")
        self._sock.sendall("\r\n".join([*lines, "", ""]).encode())


def gunicorn_input(early=b""):
    """What gunicorn hands out as wsgi.input."""
    return SimpleNamespace(reader=SimpleNamespace(unreader=SimpleNamespace(buf=io.BytesIO(early))))


def gws_environ(sock, address="", clients=None):
    """What an application gets of gevent-websocket's worker, which keys its clients by their address."""
    server = SimpleNamespace(clients={address: object()} if clients is None else clients)
    rfile = io.BufferedReader(io.BytesIO())
    handler = SimpleNamespace(socket=sock, rfile=rfile, client_address=address, server=server)
    return {**HANDSHAKE, "wsgi.websocket": SimpleNamespace(handler=handler)}


@pytest.fixture
def wire():
    """Both ends of a connection: the server's, and a client's."""
    server_end, client_end = socket.socketpair()
    client = RawClient(client_end)
    yield server_end, client
    client.close()
    server_end.close()


def behind_a_middleware(start_response):
    """Wrap `start_response` as a session middleware does, which adds a cookie."""

    def start_and_add(status, headers, exc_info=None):
        return start_response(status, [*headers, ("Set-Cookie", "a=b")], exc_info)

    return start_and_add


@pytest.mark.parametrize("wrap", [lambda start: start, behind_a_middleware], ids=["bare", "behind a middleware"])
def test_a_101_of_an_old_gunicorn_announces_no_body(wire, wrap):
    server_end, client = wire
    response = GunicornResponse(server_end)
    environ = {"gunicorn.socket": server_end, "wsgi.input": gunicorn_input()}

    taken = upgrade.take_over(upgrade.find_place(environ), environ, wrap(response.start_response), [])

    taken.stream.send(taken.head)
    head = client.read_head()
    taken.stream.close()
    assert head.status == 101
    assert "transfer-encoding" not in head.headers


@pytest.mark.parametrize("software", ["gunicorn/27.0.1", "gevent/26.9 Python/3.11"])
def test_a_middleware_that_replaces_the_input_is_named_before_anything_is_answered(wire, software):
    environ = {"wsgi.input": io.BytesIO(), "SERVER_SOFTWARE": software}
    if software.startswith("gunicorn"):
        environ["gunicorn.socket"] = wire[0]

    with pytest.raises(Refused, match="has replaced wsgi") as refused:
        upgrade.find_place(environ)

    assert refused.value.status == 501


def test_what_a_host_did_not_say_in_its_101_is_not_agreed_on(wire, tmp_path):
    server_end, client = wire
    router, seen = Router(), []

    @router.websocket("/ws/echo", subprotocols=("chat.v2",), deflate=True)
    def echo(connection, event, data):
        if event == "open":
            seen.append(connection.subprotocol)
        if event == "message":
            connection.send(data)

    app = App(router=router, root=tmp_path)
    environ = {
        **gws_environ(server_end),
        "HTTP_SEC_WEBSOCKET_EXTENSIONS": "permessage-deflate",
        "HTTP_SEC_WEBSOCKET_PROTOCOL": "chat.v2",
    }

    app(environ, lambda status, headers, exc_info=None: None)
    client.send_frame(TEXT, b"a" * 5_000)

    assert client.read_text() == "a" * 5_000
    assert seen == [None]
    client.send_close()
    assert client.read_close() == 1000
    app.drain(1)


def test_what_was_not_agreed_on_is_refused_when_it_comes(wire, tmp_path):
    server_end, client = wire
    router = Router()
    router.websocket("/ws/echo", lambda connection, event, data: None, deflate=True)
    app = App(router=router, root=tmp_path)
    environ = {
        **gws_environ(server_end),
        "HTTP_SEC_WEBSOCKET_EXTENSIONS": "permessage-deflate",
    }

    app(environ, lambda status, headers, exc_info=None: None)
    client.send_bytes(b"\xc1" + client_frame(TEXT, b"", mask=MASK)[1:])

    assert client.read_close() == 1002
    app.drain(1)


def gone(wire):
    """Let the client go; gives the server's end."""
    server_end, client = wire
    client.reset()
    return server_end


def test_a_client_that_has_gone_before_a_late_refusal_is_no_error(wire, tmp_path):
    app = App(router=Router(), root=tmp_path)
    server_end = gone(wire)

    assert list(app(gws_environ(server_end), lambda status, headers, exc_info=None: None)) == []

    assert server_end.fileno() == -1


def test_a_client_that_has_gone_amid_its_upgrade_is_found_out_by_its_transport(wire, tmp_path):
    router, ends = Router(), []

    @router.websocket("/ws/echo")
    def echo(connection, event, data):
        if event == "close":
            ends.append(connection.close_code)

    app = App(router=router, root=tmp_path)
    wire[0].sendall(b"unread, so that its end is a reset")
    server_end = gone(wire)
    environ = gws_environ(server_end)
    environ["wsgi.websocket"].handler.rfile = server_end.makefile("rb")

    app(environ, lambda status, headers, exc_info=None: None)
    with gevent.Timeout(5):
        while not ends:
            gevent.sleep(0.002)

    assert ends == [1006]
    app.drain(1)


def test_clients_of_a_unix_socket_who_have_no_address_are_told_apart(wire):
    server_end, _ = wire
    clients = {"": object()}
    first, second = gws_environ(server_end, clients=clients), gws_environ(socket.socket(), clients=clients)

    taken = [upgrade.take_over(upgrade.find_place(environ), environ, None, []) for environ in (first, second)]

    for environ, one in zip((first, second), taken, strict=True):
        one.stream.close()
        del clients[environ["wsgi.websocket"].handler.client_address]  # as gevent-websocket does at the end
    assert clients == {}


def test_a_client_with_an_address_keeps_it(wire):
    server_end, _ = wire
    environ = gws_environ(server_end, ("192.0.2.1", 4711))

    upgrade.take_over(upgrade.find_place(environ), environ, None, []).stream.close()

    assert list(environ["wsgi.websocket"].handler.server.clients) == [("192.0.2.1", 4711)]
