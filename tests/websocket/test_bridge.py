"""What a bridge does that overrides nothing, and what it refuses by."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest

from tina4_wsgi import Bridge
from tina4_wsgi.config import Config
from tina4_wsgi.errors import ConnectionClosed, Refused
from tina4_wsgi.websocket.bridge import bodiless, encoder_of, refuse


def test_the_plain_bridge_changes_nothing():
    bridge, environ = Bridge(), {"PATH_INFO": "/ws", "wsgi.url_scheme": "http"}

    assert bridge.seen(environ) is environ
    assert bridge.with_page_schemes(environ) is environ
    assert (bridge.find(environ, "/ws"), list(bridge.routes())) == (None, [])
    assert (bridge.names_host(environ), bridge.answer({"what": "x"})) == (False, {})
    assert bridge.run(environ, "open", lambda: 7) == 7


def test_it_holds_the_origin_policy():
    environ = {"HTTP_ORIGIN": "http://a.test", "HTTP_HOST": "shop.example"}

    with pytest.raises(Refused, match="403"):
        Bridge().check_origin(environ, "shop.example", Config())

    Bridge().check_origin(environ, "shop.example", Config(allowed_origins=("http://a.test",)))


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (401, 401),
        (404, 404),
        (302, 403),
        (200, 403),
        (399, 403),
        (400, 400),
        (599, 599),
        (600, 403),
    ],
)
def test_before_the_101_a_framework_refuses_by_its_status(status, told):
    with pytest.raises(Refused) as raised:
        refuse(status)

    assert raised.value.status == told


@pytest.mark.parametrize(("status", "code"), [(401, 4401), (403, 4403), (302, 4403), (500, 4403)])
def test_afterwards_it_refuses_by_a_close_code(status, code):
    closed: list[int] = []
    connection = SimpleNamespace(close=lambda code, reason: closed.append(code))

    with pytest.raises(ConnectionClosed):
        refuse(status, connection)  # type: ignore[arg-type]  # all that it calls

    assert closed == [code]


def test_a_copy_without_a_body_leaves_the_first_frames_where_they_are():
    body = io.BytesIO(b"frames")

    copy = bodiless({"wsgi.input": body, "PATH_INFO": "/ws"})

    assert (copy["wsgi.input"].read(), copy["PATH_INFO"], body.read()) == (b"", "/ws", b"frames")


def test_types_of_the_app_are_written_by_the_framework():
    class Points(Bridge):
        def json_default(self, value):
            return str(value) if isinstance(value, complex) else super().json_default(value)

    assert encoder_of(Points())(1j) == '"1j"'
    with pytest.raises(TypeError):
        encoder_of(Points())(object())
    with pytest.raises(TypeError):
        encoder_of(None)(1j)
