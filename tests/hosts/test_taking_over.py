"""Taking a connection from servers behind middlewares, and from those that have answered
already.
"""

from __future__ import annotations

import io
from types import SimpleNamespace

import gevent
import pytest
from gevent import socket

from tests.support.raw import MASK, TEXT, RawClient, client_frame
from tina4_wsgi import App, Router
from tina4_wsgi.errors import Refused
from tina4_wsgi.hosting import takeover

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


def gunicorn_input(early=b""):
    """What gunicorn hands out as wsgi.input."""
    return SimpleNamespace(reader=SimpleNamespace(unreader=SimpleNamespace(buf=io.BytesIO(early))))


def gws_environ(sock, address="", clients=None):
    """What an application gets of gevent-websocket's worker, which keys its clients by their
    address.
    """
    server = SimpleNamespace(clients={address: object()} if clients is None else clients)
    rfile = io.BufferedReader(io.BytesIO())
    handler = SimpleNamespace(socket=sock, rfile=rfile, client_address=address, server=server)
    return {**HANDSHAKE, "wsgi.websocket": SimpleNamespace(handler=handler)}


class Keeper:
    """Keeps what is taken."""

    def __init__(self):
        self.taken, self.answers = [], []

    def take(self, taken):
        self.taken.append(taken)

    def give_up(self, answer, nearest):
        self.answers.append(answer)


def take_over(environ, start_response):
    """Take one connection, and give it."""
    keeper = Keeper()
    takeover.take_over(takeover.find_place(environ), start_response, [], keeper)
    (taken,) = keeper.taken
    return taken


def ignore(status, headers, exc_info=None):
    """Be gevent-websocket's `start_response` of an upgrade."""
    return []


@pytest.fixture
def wire():
    """Both ends of a connection: the server's, and a client's."""
    server_end, client_end = socket.socketpair()
    client = RawClient(client_end)
    yield server_end, client
    client.close()
    server_end.close()


@pytest.mark.parametrize("software", ["gunicorn/27.0.1", "gevent/26.9 Python/3.11"])
def test_a_middleware_that_replaces_the_input_is_named_before_anything_is_answered(wire, software):
    environ = {"wsgi.input": io.BytesIO(), "SERVER_SOFTWARE": software}
    if software.startswith("gunicorn"):
        environ["gunicorn.socket"] = wire[0]

    with pytest.raises(Refused, match="has replaced wsgi") as refused:
        takeover.find_place(environ)

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

    app(environ, ignore)
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

    app(environ, ignore)
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

    assert list(app(gws_environ(server_end), ignore)) == [b""]

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

    app(environ, ignore)
    with gevent.Timeout(5):
        while not ends:
            gevent.sleep(0.002)

    assert ends == [1006]
    app.drain(1)


def test_clients_of_a_unix_socket_who_have_no_address_are_told_apart(wire):
    server_end, _ = wire
    clients = {"": object()}
    first, second = (
        gws_environ(server_end, clients=clients),
        gws_environ(socket.socket(), clients=clients),
    )

    taken = [take_over(environ, ignore) for environ in (first, second)]

    for environ, one in zip((first, second), taken, strict=True):
        one.stream.close()
        del clients[
            environ["wsgi.websocket"].handler.client_address
        ]  # as gevent-websocket does at the end
    assert clients == {}


def test_a_client_with_an_address_keeps_it(wire):
    server_end, _ = wire
    environ = gws_environ(server_end, ("192.0.2.1", 4711))

    take_over(environ, ignore).stream.close()

    assert list(environ["wsgi.websocket"].handler.server.clients) == [("192.0.2.1", 4711)]
