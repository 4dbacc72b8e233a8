"""A log-out by flask-login ends the WebSockets of its session, in all workers, and no others."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Iterator
from pathlib import Path

import flask_login
import gevent
import pytest
from flask import Flask, session

from tests.contrib.flask_house import Store, ask, eventually, make_app, serving
from tests.support import servers
from tests.support.raw import RawClient
from tests.support.workers import one_on_each
from tina4_wsgi.contrib.flask import login_required, websocket

pytestmark = pytest.mark.deadline(90)

APPS = Path(__file__).parent / "apps"
CHROME, FIREFOX = ("User-Agent", "Chrome"), ("User-Agent", "Firefox")


class Workers:
    """The app under two workers of gunicorn, and browsers of its users."""

    def __init__(self, server: servers.Server) -> None:
        self.server = server

    def login(self, name: str, browser: tuple[str, str], query: str = "") -> list[tuple[str, str]]:
        """Log in, and give the browser's fields from then on."""
        cookies = self._get(f"/login/{name}{query}", [browser])
        return [browser, ("Cookie", "; ".join(cookies))]

    def logout(self, fields: list[tuple[str, str]]) -> None:
        """Log a browser out."""
        self._get("/logout", fields)

    def _get(self, path: str, fields: list[tuple[str, str]]) -> list[str]:
        connection = http.client.HTTPConnection(*self.server.address, timeout=10)
        with contextlib.closing(connection):
            connection.request("GET", path, headers=dict(fields))
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            return [one.partition(";")[0] for one in answer.headers.get_all("Set-Cookie") or ()]

    @contextlib.contextmanager
    def sockets(self, fields: list[tuple[str, str]]) -> Iterator[list[RawClient]]:
        """Open a socket on each worker, and another one."""
        with contextlib.ExitStack() as opened:
            each = one_on_each(
                2, lambda: RawClient.open(self.server.address, "/ws/live", fields), opened
            )
            another = opened.enter_context(RawClient.open(self.server.address, "/ws/live", fields))
            another.read_text()
            yield [*each.values(), another]


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    folder = tmp_path_factory.mktemp("logins")
    env = {"PYTHONPATH": str(servers.ROOT), "TINA4_WS_BUS_DIR": str(folder / "bus")}
    with servers.gunicorn("flask_logins:app", APPS, folder / "log", "-w", "2", env=env) as server:
        servers.wait_until_answering(server)
        yield Workers(server)


def is_alive(client: RawClient) -> bool:
    client.send_text("?")
    return client.read_text().isdecimal()


def test_all_sockets_of_a_session_end_in_all_workers(workers):
    browser = workers.login("ada", CHROME)
    with workers.sockets(browser) as sockets:
        workers.logout(browser)

        assert [one.read_close() for one in sockets] == [4401] * len(sockets)


def test_other_users_and_other_browsers_of_the_same_user_stay(workers):
    chrome, firefox = workers.login("ada", CHROME), workers.login("ada", FIREFOX)
    bob = workers.login("bob", CHROME)
    with (
        workers.sockets(chrome) as ended,
        workers.sockets(firefox) as others,
        workers.sockets(bob) as bobs,
    ):
        workers.logout(chrome)

        assert [one.read_close() for one in ended] == [4401] * len(ended)
        assert all(is_alive(one) for one in [*others, *bobs])


def test_a_browser_that_is_only_remembered_is_logged_out_too(workers):
    browser, cookies = workers.login("ada", CHROME, "?remember")
    remembered = next(one for one in cookies[1].split("; ") if one.startswith("remember_token"))
    fields = [browser, ("Cookie", remembered)]
    with workers.sockets(fields) as sockets:
        workers.logout(fields)

        assert [one.read_close() for one in sockets] == [4401] * len(sockets)


@pytest.fixture
def app() -> Flask:
    app = make_app()

    @app.get("/leave")
    def leave() -> str:
        flask_login.logout_user()
        return "left"

    @websocket(app, "/ws/live", auth=login_required)
    def live(connection, event, data):
        if event == "message":
            connection.send_json(flask_login.current_user.name)

    websocket(app, "/ws/open")(lambda connection, event, data: connection.send_json(event))
    return app


def leave(app: Flask, fields) -> None:
    assert app.test_client(use_cookies=False).get("/leave", headers=fields).text == "left"


def test_sessions_that_the_server_keeps_are_told_apart_also_in_the_same_kind_of_browser(app):
    app.session_interface = Store()
    with serving(app) as house:
        one, other = house.login("ada"), house.login("ada")
        ended, stays = house.connect(fields=one), house.connect(fields=other)
        leave(app, one)

        assert ended.read_close() == 4401
        assert ask(stays) == "ada"


def test_cookies_that_cannot_be_told_apart_are_taken_for_one_session(app):
    with serving(app) as house:
        clients = [house.connect(fields=house.login("ada")) for _ in range(2)]
        leave(app, house.login("ada"))

        assert [one.read_close() for one in clients] == [4401, 4401]


def test_a_session_that_has_changed_since_is_the_same_session(app):
    app.add_url_rule("/put", "put", lambda: session.update(cart=["apple"]) or "put")
    with serving(app) as house:
        browser = app.test_client()
        browser.get("/login/ada")
        client = house.connect(
            fields=[("Cookie", f"session={browser.get_cookie('session').value}")]
        )
        browser.get("/put")
        browser.get("/leave")

        assert client.read_close() == 4401


def test_a_log_out_that_changes_the_users_id_ends_sockets_of_the_old_one(app):
    with serving(app) as house:
        cookies = house.login("ada")
        client = house.connect(fields=cookies)
        house.logout(cookies)  # which gives the user another id first

        assert client.read_close() == 4401


def test_a_route_that_asks_for_no_login_ends_too_if_it_came_with_one(app):
    with serving(app) as house:
        cookies = house.login("ada")
        known, stranger = house.connect("/ws/open", cookies), house.connect("/ws/open")
        assert [known.read_text(), stranger.read_text()] == ['"open"', '"open"']
        leave(app, cookies)

        assert known.read_close() == 4401
        assert ask(stranger) == "message"


def test_a_log_out_during_the_handshake_ends_it(app):
    entered, go_on = gevent.event.Event(), gevent.event.Event()

    def slow(request):
        user = login_required(request)
        entered.set()
        go_on.wait()
        return user

    websocket(app, "/ws/slow", endpoint="slow", auth=slow)(
        lambda connection, event, data: connection.send("in")
    )
    with serving(app) as house:
        cookies = house.login("ada")
        handshake = gevent.spawn(house.connect, "/ws/slow", cookies)
        entered.wait()
        leave(app, cookies)
        go_on.set()

        assert handshake.get().read_close() == 4401


def test_who_logs_in_again_gets_in(app):
    with serving(app) as house:
        cookies = house.login("ada")
        client = house.connect(fields=cookies)
        leave(app, cookies)
        assert client.read_close() == 4401
        again = app.test_client()
        again.set_cookie("session", cookies[0][1].partition("=")[2])
        again.get("/login/bob")

        assert (
            ask(house.connect(fields=[("Cookie", f"session={again.get_cookie('session').value}")]))
            == "bob"
        )


def test_a_connection_that_ends_is_forgotten(app):
    with serving(app) as house:
        client = house.connect(fields=house.login("ada"))
        logouts = house._server.application._bridge._logouts
        eventually(lambda: logouts._logins, "it is known")
        client.send_close()
        eventually(lambda: not logouts._logins, "it is forgotten")


@pytest.mark.parametrize(
    "question",
    [
        {},
        {"ask": "flask.logout"},
        {"ask": "flask.logout", "users": "ada-0", "session": ""},
        {"ask": "flask.logout", "users": ["ada-0"], "session": 5},
        {"ask": "flask.logout", "users": [None, {}, "bob-0"], "session": "", "cookies": {}},
        {"ask": ["flask.logout"], "users": ["ada-0"], "session": ""},
    ],
)
def test_a_question_that_is_none_of_ours_ends_nobody(app, question):
    with serving(app) as house:
        client = house.connect(fields=house.login("ada"))
        house._server.application.ask_all(question)

        assert ask(client) == "ada"


def test_a_log_out_does_not_fail_where_the_other_workers_cannot_be_asked(app, monkeypatch, caplog):
    with serving(app) as house:
        cookies = house.login("ada")
        monkeypatch.setattr(house._server.application, "ask_all", lambda question: 1 / 0)
        leave(app, cookies)

    assert "could not be closed" in caplog.text
