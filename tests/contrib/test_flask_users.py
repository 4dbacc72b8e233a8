"""Who may connect to a Flask app's WebSockets, before the tunnel opens, and who may stay."""

from __future__ import annotations

import flask_login
import pytest
from flask import Blueprint, Flask, Response, abort, redirect, request

from tests.contrib.flask_house import Store, ask, make_app, serving
from tests.support.raw import CLOSE
from tina4_wsgi.contrib.flask import login_required, websocket

RECHECK_S = 0.1


@pytest.fixture
def app() -> Flask:
    app = make_app()

    @websocket(app, "/ws/live", auth=login_required)
    def live(connection, event, data):
        if event == "message":
            connection.send_json([connection.auth.name, flask_login.current_user.name])

    return app


def test_nobody_is_refused_with_401_before_the_tunnel_opens(app):
    with serving(app) as house:
        assert house.refusal() == (401, "this WebSocket route asks for a login\n")


def test_a_user_is_let_in_and_is_the_auth_of_the_connection(app):
    with serving(app) as house:
        assert ask(house.connect(fields=house.login("ada"))) == ["ada", "ada"]


def test_a_deactivated_user_is_refused(app):
    with serving(app) as house:
        cookies = house.login("ada")
        app.users["ada"].is_enabled = False

        assert house.refusal(fields=cookies)[0] == 401


def test_who_logs_out_is_closed_at_the_next_check_and_others_stay(app):
    with serving(app, reauth_every=RECHECK_S) as house:
        cookies = house.login("ada")
        ada, tab, bob = (
            house.connect(fields=cookies),
            house.connect(fields=cookies),
            house.connect(fields=house.login("bob")),
        )
        house.logout(cookies)

        assert [ada.read_close(), tab.read_close()] == [4401, 4401]
        assert ask(bob) == ["bob", "bob"]


def test_who_is_deactivated_is_closed_at_the_next_check(app):
    with serving(app, reauth_every=RECHECK_S) as house:
        client = house.connect(fields=house.login("ada"))
        app.users["ada"].is_enabled = False

        assert client.read_close() == 4401


def test_who_stays_logged_in_stays_connected_over_many_checks(app):
    checks = []
    load = app.login_manager._user_callback
    app.login_manager.user_loader(lambda token: checks.append(token) or load(token))
    with serving(app, reauth_every=RECHECK_S) as house:
        client = house.connect(fields=house.login("ada"))
        while len(checks) < 6:
            assert ask(client) == ["ada", "ada"]

    assert set(checks) == {"ada-0"}


def test_a_log_out_of_a_session_that_the_server_keeps_closes_it_whatever_its_users_id(app):
    app.session_interface = Store()

    @app.get("/forget")
    def forget() -> str:
        flask_login.logout_user()  # nothing about the user changes
        return "forgotten"

    with serving(app, reauth_every=RECHECK_S) as house:
        cookies = house.login("ada")
        client, other = house.connect(fields=cookies), house.connect(fields=house.login("ada"))
        app.test_client(use_cookies=False).get("/forget", headers=cookies)

        assert client.read_close() == 4401
        assert ask(other) == ["ada", "ada"]  # another browser of the same user


def test_a_callback_can_ask_again_now(app):
    @websocket(app, "/ws/careful", auth=login_required)
    def careful(connection, event, data):
        if event == "message" and connection.refresh_auth():
            connection.send(connection.auth.name)

    with serving(app) as house:
        cookies = house.login("ada")
        client = house.connect("/ws/careful", cookies)
        client.send_text("who?")
        assert client.read_text() == "ada"
        house.logout(cookies)
        client.send_text("who?")

        assert client.read_close() == 4401


def test_asking_again_does_not_trust_what_the_callback_has_seen_before(app):
    @websocket(app, "/ws/careful", auth=login_required)
    def careful(connection, event, data):
        if event == "message":
            name = flask_login.current_user.name
            app.users[name].number += 1  # logged out elsewhere, while this runs
            may_stay = connection.refresh_auth()
            seen.append((may_stay, flask_login.current_user.name))

    seen = []
    with serving(app) as house:
        client = house.connect("/ws/careful", house.login("ada"))
        client.send_text("who?")

        assert client.read_close() == 4401
    assert seen == [(False, "ada")]  # and the callback's own context is as it was


def test_a_database_that_is_gone_for_a_moment_sends_nobody_away(app, caplog):
    failures = []
    load = app.login_manager._user_callback

    def flaky(token):
        if len(failures) < 3 and request.path == "/ws/live" and is_open:
            failures.append(token)
            raise ConnectionError("the database is gone")
        return load(token)

    is_open = False
    app.login_manager.user_loader(flaky)
    with serving(app, reauth_every=RECHECK_S) as house:
        client = house.connect(fields=house.login("ada"))
        is_open = True
        while len(failures) < 3:
            client.send_frame(0x9)  # a ping: its pong lets the server run
            assert client.read_frame().opcode != CLOSE

        assert ask(client) == ["ada", "ada"]
    assert "the database is gone" in caplog.text


def refuse_by_abort():
    abort(403, "not from here")


def refuse_by_answer():
    return Response("closed on Sundays", 503)


def refuse_by_redirect():
    return redirect("/login/ada")


def refuse_by_own_error():
    raise PermissionError("own error")


@pytest.mark.parametrize(
    ("hook", "status", "said"),
    [
        (refuse_by_abort, 403, "not from here"),
        (refuse_by_answer, 503, "the application refuses"),
        (refuse_by_redirect, 403, "the application refuses"),
        (refuse_by_own_error, 418, "the application refuses"),
    ],
)
def test_a_before_request_function_refuses_before_the_tunnel_opens(app, hook, status, said):
    app.before_request(hook)
    app.register_error_handler(PermissionError, lambda error: ("no tea for you", 418))
    with serving(app, run_before_request=True) as house:
        assert house.refusal() == (status, said + "\n")


def test_a_before_request_function_that_fails_is_answered_500(app, caplog):
    app.before_request(lambda: 1 / 0)
    with serving(app, run_before_request=True) as house:
        assert house.refusal()[0] == 500

    assert "ZeroDivisionError" in caplog.text


def test_a_before_request_function_sees_where_the_request_goes_and_may_let_it_pass(app):
    seen = []
    app.before_request(lambda: seen.append((request.endpoint, request.method)))
    with serving(app, run_before_request=True) as house:
        cookies = house.login("ada")
        seen.clear()
        assert ask(house.connect(fields=cookies)) == ["ada", "ada"]

    assert seen == [("live", "GET")]  # once, at the handshake


def test_before_request_functions_of_a_blueprint_are_asked_for_its_routes_only(app):
    blueprint = Blueprint("admin", __name__, url_prefix="/admin")
    blueprint.before_request(refuse_by_abort)
    websocket(blueprint, "/ws", endpoint="ws")(lambda connection, event, data: None)
    app.register_blueprint(blueprint)
    with serving(app, run_before_request=True) as house:
        assert house.refusal("/admin/ws")[0] == 403
        assert ask(house.connect(fields=house.login("ada"))) == ["ada", "ada"]


def test_before_request_functions_are_not_asked_unless_wanted(app):
    cookies = []
    app.before_request(lambda: abort(403) if cookies else None)
    with serving(app) as house:
        cookies = house.login("ada")

        assert ask(house.connect(fields=cookies)) == ["ada", "ada"]


def test_a_host_that_flask_does_not_trust_is_refused():
    app = make_app(TRUSTED_HOSTS=["shop.example"])
    websocket(app, "/ws/live")(lambda connection, event, data: connection.send("in"))
    with serving(app) as house:
        assert house.refusal(fields=[("Host", "evil.example")])[0] == 400
        assert house.connect(fields=[("Host", "shop.example")]).read_text() == "in"
