"""Where a server listens, and what is said about it."""

from __future__ import annotations

import errno
import socket

import pytest

from tina4_wsgi.server.listening import ListenAddress, listen


def test_an_address_is_shown_for_http_and_for_websocket():
    place = ListenAddress()

    assert place.addresses(("127.0.0.1", 7148), "/shop").splitlines() == [
        "HTTP server running at http://127.0.0.1:7148/shop",
        "WebSocket server running at ws://127.0.0.1:7148/shop",
    ]


def test_tls_and_ipv6_stand_in_the_url():
    place = ListenAddress("[::1]", is_secure=True)

    assert place.url(("::1", 8443, 0, 0)) == "https://[::1]:8443"


def test_behind_a_unix_socket_only_the_path_of_pages_is_known():
    place = ListenAddress(unix_path="/run/shop.sock")

    assert place.url("/run/shop.sock", "/shop") == "/shop"
    assert place.addresses("/run/shop.sock") == (
        "HTTP and WebSocket server running at unix:/run/shop.sock"
    )


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EADDRINUSE, "port 80 on shop is already in use"),
        (errno.EACCES, "port 80 is not open to this user"),
        (errno.EADDRNOTAVAIL, "shop is no address of this machine"),
        (errno.EIO, "can't listen on shop, port 80: strange"),
    ],
)
def test_a_reason_says_what_is_wrong(number, said):
    place = ListenAddress("shop", 80)

    assert place.why_not(OSError(number, "strange")).startswith(said)


def test_the_socket_file_of_a_killed_server_is_replaced(tmp_path):
    path = str(tmp_path / "shop.sock")
    listen(socket.AF_UNIX, path).close()  # as a killed server, it leaves the file

    with listen(socket.AF_UNIX, path) as listener, socket.socket(socket.AF_UNIX) as client:
        client.connect(path)

        assert listener.getsockname() == path


def test_the_socket_file_of_a_living_server_is_left_alone(tmp_path):
    path = str(tmp_path / "shop.sock")

    with listen(socket.AF_UNIX, path), pytest.raises(OSError) as caught:
        listen(socket.AF_UNIX, path)

    assert caught.value.errno == errno.EADDRINUSE


def test_a_file_that_is_no_socket_is_left_alone(tmp_path):
    path = tmp_path / "shop.sock"
    path.write_text("mine")

    with pytest.raises(OSError):
        listen(socket.AF_UNIX, str(path))

    assert path.read_text() == "mine"
