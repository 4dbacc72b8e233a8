"""The probe of the browser client: what would a handshake for this address be answered?"""

from __future__ import annotations

import pytest
from werkzeug.exceptions import Forbidden
from werkzeug.test import Client

from tina4_wsgi import App, Router

PROBE = {"Tina4-Probe": "1"}


def by_token(request):
    assert request.method == "GET"
    if request.query.get("token") == "mallory":
        raise Forbidden("not you")
    return request.query.get("token")


def by_subprotocol(request):
    offered = request.headers.get("Sec-WebSocket-Protocol", "").replace(" ", "").split(",")
    return "ada" if "secret" in offered else None


@pytest.fixture
def app(tmp_path):
    router = Router()
    router.websocket("/ws/open/{room}", lambda connection, event, data: None)
    router.websocket("/ws/private", lambda connection, event, data: None, auth=by_token)
    router.websocket("/ws/offered", lambda connection, event, data: None, auth=by_subprotocol)
    router.get("/page", lambda request, response: "a page")
    return App(router=router, root=tmp_path)


def probe(app, path, method="HEAD"):
    return Client(app).open(path, method=method, headers=PROBE, buffered=True)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/ws/open/general", 204),
        ("/ws/private?token=ada", 204),
        ("/ws/private", 401),
        ("/ws/private?token=mallory", 403),
        ("/ws/unknown", 404),
        ("/page", 200),
    ],
)
def test_it_is_answered_as_the_handshake_would_be(app, path, status):
    answer = probe(app, path)

    assert (answer.status_code, answer.data) == (status, b"")


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ("v1,secret", 204),
        ("secret", 204),
        ("v1, secret", 204),
        ("v1", 401),
        ("1", 401),
    ],
)
def test_auth_sees_the_subprotocols_that_the_handshake_would_offer(app, asked, status):
    answer = Client(app).head("/ws/offered", headers={"Tina4-Probe": asked})

    assert answer.status_code == status


def test_what_it_is_told_is_not_kept(app):
    assert probe(app, "/ws/open/general").headers["Cache-Control"] == "no-store"


def test_a_full_or_stopping_app_says_when_to_come_again(app):
    process = app._here()
    process.is_draining = True

    answer = probe(app, "/ws/open/general")

    process.close()
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")


def test_it_opens_nothing(app):
    probe(app, "/ws/open/general")

    assert app._runtime is None


def test_any_other_method_is_an_ordinary_request(app):
    assert probe(app, "/ws/open/general", "GET").status_code == 426


def test_the_legacy_app_answers_for_what_is_its_own(tmp_path):
    def legacy(environ, start_response):
        start_response("200 OK", [("X-From", "legacy")])
        return []

    answer = probe(App(legacy, router=Router(), root=tmp_path), "/socket")

    assert answer.headers["X-From"] == "legacy"


def test_a_path_that_is_no_utf8_is_refused(app):
    environ = {"PATH_INFO": "/\xff"}

    answer = Client(app).open(
        "/", method="HEAD", headers=PROBE, environ_overrides=environ, buffered=True
    )

    assert answer.status_code == 400
