"""The live page is for whom it is meant, and for nobody else."""

from __future__ import annotations

import contextlib
import http.client
from typing import Any

import flask
import pytest
from werkzeug.exceptions import Forbidden, Unauthorized
from werkzeug.utils import redirect

from tests.monitoring.conftest import COOKIE, PAGE, SOCKET, ask
from tests.support.raw import RawClient
from tina4_wsgi import App, ConfigError, Router
from tina4_wsgi.contrib.flask import wrap
from tina4_wsgi.errors import Tina4Error
from tina4_wsgi.testing import TestClient

KEY = "AAAAAAAAAAAAAAAAAAAAAA=="
FILES = ["live.css", "live.js", "chart.js", "console.js", "table.js"]


def test_in_production_there_is_none():
    with TestClient(App(router=Router())) as client:
        assert client.get(PAGE).status_code == 404
        with pytest.raises(Tina4Error, match="404"):
            client.websocket(SOCKET).__enter__()


def test_in_debug_it_is_there_for_who_follows_the_link_of_this_start():
    app = App(router=Router(), debug=True)
    with TestClient(app) as client:
        followed = client.get(app.start_link.path)

        assert (followed.status_code, followed.headers["Location"]) == (303, PAGE)
        assert "Live connections" in client.get(PAGE, buffered=True).text
        assert client.get(f"{PAGE}/live.js", buffered=True).status_code == 200
        with client.websocket(SOCKET, headers={"Origin": "http://localhost"}) as watcher:
            assert watcher.receive_json()["type"] == "history"


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param(
            {}, id="a stranger through a proxy on this machine, which sends no headers of its own"
        ),
        pytest.param({"REMOTE_ADDR": "10.0.0.9"}, id="another machine"),
        pytest.param({"HTTP_HOST": "rebound.example"}, id="a name that was pointed here"),
        pytest.param({"HTTP_X_FORWARDED_FOR": "10.0.0.9"}, id="through a proxy"),
        pytest.param({"QUERY_STRING": "token="}, id="no token"),
        pytest.param({"QUERY_STRING": "token=a-token-of-this-tes"}, id="a part of the token"),
        pytest.param({"QUERY_STRING": "token=%ff%00"}, id="bytes"),
        pytest.param({"QUERY_STRING": "other=1&xtoken=a-token-of-this-test"}, id="another field"),
        pytest.param({"HTTP_COOKIE": "tina4_live=a-token-of-this-test"}, id="the token as cookie"),
        pytest.param({"HTTP_COOKIE": "tina4_live="}, id="an empty cookie"),
    ],
)
@pytest.mark.parametrize("path", [PAGE, f"{PAGE}/", f"{PAGE}/live.js", f"{PAGE}//"])
def test_in_debug_it_is_for_nobody_else(environ, path, caplog):
    app = App(router=Router(), debug=True, live_token="a-token-of-this-test")
    with TestClient(app, use_cookies=False) as client:
        answer = client.get(path, environ_overrides=environ)

    assert (answer.status_code, "Set-Cookie" in answer.headers) == (403, False)
    assert "opened by a link with a token" in answer.text
    assert f"{PAGE}?token=a-token-of-this-test" in caplog.text
    assert "a-token-of-this-test" not in answer.text


def test_nobody_else_gets_into_the_socket_either():
    with (
        TestClient(App(router=Router(), debug=True)) as client,
        pytest.raises(Tina4Error, match="403"),
    ):
        client.websocket(SOCKET, headers={"Origin": "http://localhost"}).__enter__()


def test_the_cookies_are_for_no_script_no_other_site_and_no_other_path():
    app = App(router=Router(), debug=True, trusted_proxies="127.0.0.1")
    proxied = {
        "HTTP_X_FORWARDED_PROTO": "wss",
        "HTTP_X_FORWARDED_PREFIX": "/shop",
        "HTTP_X_FORWARDED_HOST": "a.example:8443",
    }
    with TestClient(app) as client:
        followed = client.get(app.start_link.path, environ_overrides=proxied)

    live, debug = followed.headers.getlist("Set-Cookie")
    assert followed.headers["Location"] == f"/shop{PAGE}"
    assert live.startswith("tina4_live_8443=")
    assert live.endswith(f"; Secure; HttpOnly; Path=/shop{PAGE}; SameSite=Strict")
    assert debug.startswith("tina4_debug_8443=")
    assert debug.endswith("; Secure; HttpOnly; Path=/shop; SameSite=Strict")
    assert app.start_link.token not in live + debug
    assert followed.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "prefix", ["//evil.test", "/a\r\nX: y", "https://evil.test", "/a;Domain=.test b"]
)
def test_a_forged_prefix_leads_nowhere(prefix):
    app = App(router=Router(), debug=True, trusted_proxies="127.0.0.1")
    with TestClient(app) as client:
        followed = client.get(
            app.start_link.path, environ_overrides={"HTTP_X_FORWARDED_PREFIX": prefix}
        )

    assert followed.headers["Location"] == PAGE
    assert "evil" not in str(followed.headers)


def test_each_start_has_a_link_of_its_own_and_the_cookie_of_another_one_opens_nothing():
    first, second = App(router=Router(), debug=True), App(router=Router(), debug=True)
    with TestClient(first) as client:
        client.get(first.start_link.path)
        cookie = client.get_cookie("tina4_live", path=PAGE)

    assert cookie is not None
    with TestClient(second, use_cookies=False) as client:
        assert client.get(PAGE, headers={"Cookie": f"tina4_live={cookie.value}"}).status_code == 403
        assert client.get(first.start_link.path).status_code == 403


def test_a_slash_at_the_end_leads_to_the_page_whose_links_are_relative():
    with TestClient(App(router=Router(), live=lambda request: "admin")) as client:
        answer = client.get(f"{PAGE}/")

    assert (answer.status_code, answer.headers["Location"]) == (308, "../live")


def test_in_debug_the_link_opens_tracebacks_also_where_the_live_page_is_somebodys():
    router = Router()
    router.get("/fail", lambda request, response: 1 / 0)
    app = App(
        router=router,
        debug=True,
        live=lambda request: request.query.get("token") == "of-the-app" or None,
    )
    with TestClient(app, raise_errors=False) as client:
        assert "ZeroDivisionError" not in client.get("/fail").text
        assert client.get(app.start_link.path).status_code == 303

        assert "ZeroDivisionError" in client.get("/fail").text
        assert client.get(PAGE).status_code == 401
        assert client.get(f"{PAGE}?token=of-the-app", buffered=True).status_code == 200


def test_in_debug_it_can_be_off():
    with TestClient(App(router=Router(), debug=True, live=False)) as client:
        assert client.get(PAGE).status_code == 404


@pytest.mark.parametrize("path", [PAGE, *(f"{PAGE}/{name}" for name in FILES)])
def test_who_is_not_logged_in_gets_nothing(path):
    with TestClient(App(router=Router(), live=lambda request: None)) as client:
        assert client.get(path).status_code == 401


def test_a_login_may_be_asked_for_in_the_browsers_own_way():
    def admin(request: Any) -> None:
        raise Unauthorized(www_authenticate=None, response=redirect("/login"))

    with TestClient(App(router=Router(), live=admin)) as client:
        answer = client.get(PAGE)

    assert (answer.status_code, answer.headers["Location"]) == (302, "/login")


def test_whoever_is_forbidden_is_told_so():
    def admin(request: Any) -> None:
        raise Forbidden("not you")

    with TestClient(App(router=Router(), live=admin)) as client:
        assert client.get(PAGE).status_code == 403


@pytest.mark.parametrize("live", [True, "admin"])
def test_what_is_no_callable_is_refused(live):
    with pytest.raises(ConfigError, match=r"expected a callable\(request\)"):
        App(router=Router(), live=live)


def test_an_async_callable_is_refused_for_it_would_let_everybody_in():
    async def admin(request: Any) -> None:
        return None

    with pytest.raises(ConfigError, match=r"live: .*async"):
        App(router=Router(), live=admin)


def test_a_legacy_app_does_not_hide_it_and_keeps_its_neighbours(tmp_path):
    def legacy(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"legacy"]

    with TestClient(App(legacy, router=Router(), live=lambda request: "admin")) as client:
        assert "Live connections" in client.get(PAGE, buffered=True).text
        assert client.get(f"{PAGE}/other").text == "legacy"


def test_the_page_forbids_foreign_scripts_and_frames(server):
    status, fields, text = ask(server, PAGE, Cookie=f"admin={COOKIE}")

    assert status == 200
    assert "default-src 'none'" in fields["content-security-policy"]
    assert "unsafe" not in fields["content-security-policy"]
    assert "frame-ancestors 'none'" in fields["content-security-policy"]
    assert fields["x-frame-options"] == "DENY"
    assert "<script>" not in text
    assert "style=" not in text


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        pytest.param([], 401, id="no cookie"),
        pytest.param([("Cookie", "admin=wrong")], 401, id="a wrong cookie"),
        pytest.param(
            [("Cookie", f"admin={COOKIE}"), ("Origin", "https://evil.example")],
            403,
            id="another origin",
        ),
        pytest.param([("Cookie", f"admin={COOKIE}"), ("Origin", "")], 403, id="no origin"),
        pytest.param(
            [("Cookie", f"admin={COOKIE}"), ("Origin", "null")], 403, id="a sandboxed frame"
        ),
    ],
)
def test_the_socket_refuses(server, fields, status):
    own = [("Origin", server.url)] if not any(name == "Origin" for name, _ in fields) else []

    with RawClient.dial(server.address) as client:
        assert client.ask_upgrade(SOCKET, KEY, [*own, *fields]).status == status


@pytest.mark.parametrize(("cookie", "status"), [(COOKIE, 204), ("wrong", 401)])
def test_the_page_may_ask_what_a_handshake_would_be_answered(server, cookie, status):
    probe = http.client.HTTPConnection(*server.address, timeout=10)
    # A browser says no Origin with this.
    probe.request("HEAD", SOCKET, headers={"Tina4-Probe": "1", "Cookie": f"admin={cookie}"})

    assert probe.getresponse().status == status
    probe.close()


def test_what_other_routes_allow_does_not_open_the_socket():
    app = App(router=Router(), live=lambda request: "admin", allowed_origins="*")
    with TestClient(app) as client, pytest.raises(Tina4Error, match="403"):
        client.websocket(SOCKET, headers={"Origin": "https://evil.example"}).__enter__()


def test_a_worker_that_is_full_still_lets_in_a_few_who_look_why():
    router = Router()
    router.websocket("/ws/room", lambda connection, event, data: None)
    app = App(router=router, live=lambda request: request.query.get("user"), max_connections=1)
    origin = {"Origin": "http://localhost"}
    with TestClient(app) as client, contextlib.ExitStack() as opened:
        opened.enter_context(client.websocket("/ws/room"))
        with pytest.raises(Tina4Error, match="503"):
            client.websocket("/ws/room").__enter__()
        with pytest.raises(Tina4Error, match="401"):
            client.websocket(SOCKET, headers=origin).__enter__()

        for _ in range(8):
            watcher = opened.enter_context(client.websocket(f"{SOCKET}?user=ada", headers=origin))
            assert watcher.receive_json()["type"] == "history"

        with pytest.raises(Tina4Error, match="503"):
            client.websocket(f"{SOCKET}?user=ada", headers=origin).__enter__()


def test_who_has_logged_out_kicks_nobody():
    router = Router()
    router.websocket("/ws/room", lambda connection, event, data: None)
    users = ["admin"]
    app = App(router=router, live=lambda request: users[0] if users else None)
    with TestClient(app) as client, client.websocket("/ws/room") as victim:
        watcher = client.websocket(SOCKET, headers={"Origin": "http://localhost"}).__enter__()
        users.clear()

        watcher.send_json({"do": "kick", "path": "/ws/room"})

        assert watcher.wait_closed()[0] == 4401
        assert victim.closed_with is None


def test_a_callable_around_a_flask_app_runs_in_its_context():
    shop = flask.Flask(__name__)

    def admin(request: Any) -> str | None:
        return flask.request.cookies.get("user")

    with TestClient(wrap(shop, router=Router(), live=admin)) as client:
        assert client.get(PAGE).status_code == 401
        client.set_cookie("user", "ada")
        assert "Live connections" in client.get(PAGE, buffered=True).text
        with client.websocket(SOCKET, headers={"Origin": "http://localhost"}) as watcher:
            assert watcher.receive_json()["type"] == "history"
