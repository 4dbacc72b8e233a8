"""`close_on_logout` closes the WebSockets of a session that any application logs out."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import servers
from tests.support.raw import RawClient
from tests.support.workers import one_on_each
from tina4_wsgi import App, ConnectionClosed, Router, UsageError
from tina4_wsgi.contrib.logout import close_on_logout
from tina4_wsgi.testing import TestClient, WebSocket

APPS = Path(__file__).parent / "apps"
ADA, BOB = "the-session-of-ada-1", "the-session-of-bob-1"


class Legacy:
    """An application whose answer to /logout is at hand."""

    def __init__(self) -> None:
        self.status = "302 Found"
        self.fields = [("Set-Cookie", "session=; Max-Age=0; Path=/"), ("Location", "/")]

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response(self.status, list(self.fields))
        return [b""]


@pytest.fixture
def legacy() -> Legacy:
    return Legacy()


def make(legacy: Any, *paths: str, **options: Any) -> App:
    router = Router()

    @router.websocket("/ws/live", auth=lambda request: request.cookies.get("session"))
    def live(connection: Any, event: str, data: Any) -> None:
        if event == "message":
            connection.send("here")

    app = App(legacy, router=router)
    close_on_logout(app, *(paths or ("/logout",)), **options)
    return app


def browser(app: App, session: str, **cookies: str) -> TestClient:
    client = TestClient(app)
    for name, value in {"session": session, **cookies}.items():
        client.set_cookie(name, value)
    return client


def code_of(ws: WebSocket) -> int:
    with pytest.raises(ConnectionClosed) as closed:
        ws.receive()
    return closed.value.code


def is_alive(ws: WebSocket) -> bool:
    ws.send("?")
    return ws.receive() == "here"


def test_all_websockets_of_the_session_are_closed_and_no_others(legacy):
    app = make(legacy)
    with browser(app, ADA) as ada, browser(app, BOB) as bob:
        hers, his = [ada.websocket("/ws/live") for _ in range(2)], bob.websocket("/ws/live")
        assert ada.post("/logout").status_code == 302

        assert [code_of(one) for one in hers] == [4401, 4401]
        assert is_alive(his)


@pytest.mark.parametrize(
    ("path", "status"), [("/elsewhere", "302 Found"), ("/logout", "403 Forbidden")]
)
def test_another_request_and_a_log_out_that_fails_close_nothing(legacy, path, status):
    legacy.status = status
    with browser(make(legacy), ADA) as ada:
        ws = ada.websocket("/ws/live")
        ada.post(path)

        assert is_alive(ws)


@pytest.mark.parametrize("path", ["/logout/", "/admin/logout"])
def test_each_of_several_addresses_logs_out_with_or_without_a_slash(legacy, path):
    with browser(make(legacy, "/logout", "/admin/logout/"), ADA) as ada:
        ws = ada.websocket("/ws/live")
        ada.post(path)

        assert code_of(ws) == 4401


def test_a_cookie_that_others_have_too_is_no_session(legacy):
    legacy.fields = [("Set-Cookie", "language=en"), *legacy.fields]
    app = make(legacy)
    with browser(app, ADA, language="en") as ada, browser(app, BOB, language="en") as bob:
        his = bob.websocket("/ws/live")
        ada.post("/logout")

        assert is_alive(his)


def test_the_cookie_of_the_session_may_be_named(legacy):
    legacy.fields = [("Location", "/")]
    with browser(make(legacy, cookies=["session"]), "ada") as ada:
        ws = ada.websocket("/ws/live")
        ada.post("/logout")

        assert code_of(ws) == 4401


def test_an_answer_that_replaces_no_cookie_is_told_once(legacy, caplog):
    legacy.fields = []
    with browser(make(legacy), ADA) as ada:
        ws = ada.websocket("/ws/live")
        ada.post("/logout")
        ada.post("/logout")

        assert is_alive(ws)
    assert caplog.text.count("replaces none of the cookies session") == 1


def test_all_connections_of_a_user_may_be_meant_instead(legacy):
    app = make(legacy, auth=lambda environ: environ["HTTP_COOKIE"].partition("=")[2])
    with browser(app, ADA) as ada, browser(app, BOB) as bob:
        hers, his = ada.websocket("/ws/live"), bob.websocket("/ws/live")
        ada.post("/logout")

        assert code_of(hers) == 4401
        assert is_alive(his)


def test_an_error_does_not_fail_the_log_out(legacy, caplog):
    app = make(legacy, auth=lambda environ: environ["no.such.key"])
    with browser(app, ADA) as ada:
        assert ada.post("/logout").status_code == 302

    assert "could not be closed" in caplog.text


@pytest.mark.parametrize("paths", [(), ("logout",)])
def test_without_a_path_it_is_refused(legacy, paths):
    with pytest.raises(UsageError, match="expected paths, as in /logout"):
        close_on_logout(App(legacy, router=Router()), *paths)


def test_an_app_that_wraps_nothing_is_refused():
    with pytest.raises(UsageError, match="this app wraps no other one"):
        close_on_logout(App(router=Router()), "/logout")


# -- in several workers


@pytest.fixture(scope="module", params=["gevent", "sync"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[servers.Server]:
    folder = tmp_path_factory.mktemp("logouts")
    env = {"PYTHONPATH": str(servers.ROOT), "TINA4_WS_BUS_DIR": str(folder / "bus")}
    with servers.gunicorn(
        "pyramid_logout:app", APPS, folder / "log", "-w", "2", worker_class=request.param, env=env
    ) as running:
        servers.wait_until_answering(running)
        yield running
        running.end()


def ask(server: servers.Server, path: str, cookie: str = "") -> str:
    connection = http.client.HTTPConnection(*server.address, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", path, headers={"Cookie": cookie})
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        return (answer.headers["Set-Cookie"] or "").partition(";")[0]


@pytest.mark.deadline(60)
def test_a_pyramid_app_logs_out_in_all_workers(server):
    ada, bob = ask(server, "/login/ada"), ask(server, "/login/bob")
    fields = [("Cookie", ada)]
    with contextlib.ExitStack() as opened:
        hers = one_on_each(2, lambda: RawClient.open(server.address, "/ws/live", fields), opened)
        his = opened.enter_context(RawClient.open(server.address, "/ws/live", [("Cookie", bob)]))
        his.read_text()
        ask(server, "/logout", ada)

        assert [one.read_close() for one in hers.values()] == [4401, 4401]
        his.send_text("?")
        assert his.read_text().isdecimal()
