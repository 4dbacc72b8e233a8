"""All listeners of a worker: addresses of every kind, and TLS as gunicorn has it."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl

import pytest

from tests.support.front_worker import CERTIFICATE, KEY, ask, serving
from tests.support.raw import CLOSE, RawClient

HOOK = """
import ssl

def ssl_context(conf, default_ssl_context_factory):
    context = default_ssl_context_factory()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context
"""


def dial_tls(server, **limits):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(CERTIFICATE)
    for name, value in limits.items():
        setattr(context, name, value)
    plain = socket.create_connection(server.address, 10)
    try:
        return RawClient(context.wrap_socket(plain, server_hostname="localhost"))
    except BaseException:
        plain.close()
        raise


@pytest.fixture(scope="module")
def secret(tmp_path_factory):
    options = ("--certfile", str(CERTIFICATE), "--worker-connections", "2")
    options += ("--access-logfile", "-")
    with serving(tmp_path_factory.mktemp("secret"), *options, conf=HOOK) as server:
        yield server


def test_it_speaks_tls(secret):
    with dial_tls(secret) as client:
        assert [ask(client)[1] for _ in range(2)] == ["hello"] * 2
        client.upgrade("/ws/red")
        client.read_text()
        client.send_text("hi")
        assert client.read_text() == "hi"
    secret.wait_for_log(r'"GET / HTTP/1\.1" 200 5')
    secret.wait_for_log(r'"GET /ws/red HTTP/1\.1" 101 0')


def test_gunicorns_hook_makes_the_context(secret):
    with pytest.raises(ssl.SSLError):
        dial_tls(secret, maximum_version=ssl.TLSVersion.TLSv1_2)


def test_over_tls_too_clients_wait_beyond_worker_connections(secret):
    with contextlib.ExitStack() as opened:
        held = [opened.enter_context(dial_tls(secret)) for _ in range(2)]
        for client in held:
            client.send_bytes(b"GET / HTTP/1.1\r\n")
        late = opened.enter_context(socket.create_connection(secret.address, 10))
        held[0].close()

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(CERTIFICATE)
        client = RawClient(context.wrap_socket(late, server_hostname="localhost"))
        opened.enter_context(client)
        assert ask(client)[1] == "hello"


def test_over_tls_the_scheme_is_https(secret):
    with dial_tls(secret) as client:
        assert ask(client, "/scheme")[1] == "https"


@pytest.mark.parametrize(("further", "status"), [("127.0.0.1:0", 421), ("unix:{0}/web.sock", 101)])
def test_a_page_may_have_any_name_where_a_listener_is_on_more_than_loopback(
    tmp_path, further, status
):
    fields = [("Host", "shop.example"), ("Origin", "http://shop.example")]
    with (
        serving(tmp_path, "--bind", further.format(tmp_path)) as server,
        RawClient.dial(server.address) as client,
    ):
        assert client.ask_upgrade("/ws/red", KEY, fields).status == status


def test_websockets_of_all_listeners_hear_1001(tmp_path):
    unix = f"{tmp_path}/web.sock"
    with serving(tmp_path, "--bind", f"unix:{unix}", "--bind", "[::1]:0") as server:
        port = int(server.wait_for_log(r"http://\[::1\]:(\d+)")[1])
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(10)
        sock.connect(unix)
        with (
            RawClient.open(server.address, "/ws/red") as first,
            RawClient(socket.create_connection(("::1", port), 10)) as second,
            RawClient(sock) as third,
        ):
            second.ask_upgrade("/ws/red", KEY, [("Host", "[::1]")])
            assert ask(third, "/")[1] == "hello"
            first.read_text()
            second.read_text()

            server.process.terminate()

            for client in (first, second):
                assert client.read_close() == 1001
                client.send_frame(CLOSE, b"\x03\xe9")
            server.stop()
    assert re.findall("left with 1001", server.log) == ["left with 1001"] * 2
