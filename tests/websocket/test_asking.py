"""`auth=ask(path)` asks the wrapped application who connects."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tina4_wsgi import App, ConnectionClosed, Router, UsageError, ask
from tina4_wsgi.testing import HandshakeRefused, TestClient

JSON = ("Content-Type", "application/json")
TEXT = ("Content-Type", "text/plain; charset=utf-8")


class Legacy:
    """An application that knows its users by a cookie.

    Attributes:
        answer: of /api/me where that isn't to depend on the cookie: status, fields and body.
        asked: the environs of all requests.
    """

    def __init__(self) -> None:
        self.answer: tuple[str, list[tuple[str, str]], list[bytes]] | None = None
        self.asked: list[dict[str, Any]] = []
        self.is_closed = 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        self.asked.append(environ)
        if self.answer is not None:
            status, fields, body = self.answer
        elif environ.get("HTTP_COOKIE") == "session=ada":
            status, fields, body = "200 OK", [JSON], [b'{"name":', b' "ada"}']
        else:
            status, fields, body = "401 Unauthorized", [TEXT], [b"who are you?"]
        start_response(status, fields)
        return self._body(body)

    def _body(self, pieces: list[bytes]) -> Any:
        try:
            yield from pieces
        finally:
            self.is_closed += 1


@pytest.fixture
def legacy() -> Legacy:
    return Legacy()


def served(legacy: Any, auth: Any, path: str = "/ws/live", **options: Any) -> App:
    router = Router()

    @router.websocket(path, auth=auth, **options)
    def live(connection: Any, event: str, data: Any) -> None:
        if event == "open":
            connection.send_json(connection.auth)
        if event == "message":
            connection.refresh_auth()

    return App(legacy, router=router)


def user(legacy: Any, auth: Any, path: str = "/ws/live", route: str = "/ws/live") -> Any:
    """The user whom a handshake lets in."""
    with browser(served(legacy, auth, route)) as client, client.websocket(path) as ws:
        return ws.receive_json()


def browser(app: App, cookie: str = "ada", **options: Any) -> TestClient:
    """A client with the cookie of a session."""
    client = TestClient(app, **options)
    client.set_cookie("session", cookie)
    return client


def refused(legacy: Any, auth: Any, route: str = "/ws/live", path: str = "/ws/live") -> Any:
    """The refusal of a handshake without a cookie."""
    client = TestClient(served(legacy, auth, route), raise_errors=False)
    with client, pytest.raises(HandshakeRefused) as refusal:
        client.websocket(path)
    return refusal.value


# -- the question


def test_the_json_that_it_answers_is_the_user(legacy):
    assert user(legacy, ask("/api/me")) == {"name": "ada"}


def test_it_is_asked_by_a_get_with_the_cookies_and_fields_of_the_handshake(legacy):
    with browser(served(legacy, ask("/api/me?full=1"))) as client:
        client.websocket(
            "/ws/live?x=2",
            headers={
                "Authorization": "Bearer key",
                "Origin": "http://localhost",
                "Range": "bytes=0-1",
                "If-None-Match": "*",
                "X-Hop": "1",
                "Connection": "Upgrade, X-Hop",
            },
            environ_overrides={"waitress.client_disconnected": object()},
        )

    (asked,) = legacy.asked
    assert (asked["REQUEST_METHOD"], asked["PATH_INFO"], asked["QUERY_STRING"]) == (
        "GET",
        "/api/me",
        "full=1",
    )
    assert asked["HTTP_COOKIE"] == "session=ada"
    assert asked["HTTP_AUTHORIZATION"] == "Bearer key"
    assert asked["HTTP_ACCEPT"].startswith("application/json")
    assert asked["wsgi.input"].read() == b""
    assert [
        name
        for name in asked
        if name.startswith(("HTTP_SEC_", "HTTP_UPGRADE", "HTTP_CONN", "tina4_wsgi.", "HTTP_IF"))
        or name in ("HTTP_RANGE", "HTTP_X_HOP", "waitress.client_disconnected", "CONTENT_LENGTH")
    ] == []


def test_a_strict_application_is_asked_as_a_server_would(legacy):
    from wsgiref.validate import validator

    def strict(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [JSON])
        return [b'"ada"']

    assert user(validator(strict), ask("/api/me")) == "ada"


def test_a_path_is_sent_as_it_is_written_and_decoded_as_servers_do(legacy):
    user(legacy, ask("/k%C3%A4se/me"))

    assert legacy.asked[0]["PATH_INFO"].encode("latin-1").decode() == "/käse/me"


def test_parameters_of_the_route_stand_in_the_path(legacy):
    user(legacy, ask("/api/{team}/me?board={board}"), "/ws/r%26d/7", "/ws/{team}/{board:int}")

    (asked,) = legacy.asked
    assert (asked["PATH_INFO"], asked["QUERY_STRING"]) == ("/api/r&d/me", "board=7")


@pytest.mark.parametrize("name", ["a/me", "../me", ".."])
def test_a_parameter_never_leads_to_another_address(legacy, name):
    refusal = refused(legacy, ask("/api/{name}/x"), "/ws/{name:path}", f"/ws/{name}")

    assert (refusal.status, legacy.asked) == (404, [])


def test_the_prefix_below_which_it_is_served_stays(legacy):
    app = served(legacy, ask("/api/me"))
    with browser(app) as client:
        client.websocket("/ws/live", environ_overrides={"SCRIPT_NAME": "/shop"})

    assert legacy.asked[0]["SCRIPT_NAME"] == "/shop"


def test_routes_of_ours_are_never_asked(legacy):
    app = served(legacy, ask("/ws/live"))
    app.router.get("/api/me")(lambda request, response: {"name": "mallory"})

    with browser(app) as client:
        client.websocket("/ws/live")

    assert [one["PATH_INFO"] for one in legacy.asked] == ["/ws/live"]


def test_each_body_is_closed(legacy):
    user(legacy, ask("/api/me"))
    refused(legacy, ask("/api/me"))

    assert legacy.is_closed == 2


def test_an_application_that_writes_is_understood():
    def writes(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [JSON])(b'"ada"')
        return []

    assert user(writes, ask("/api/me")) == "ada"


# -- the answer


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (("200 OK", [JSON], [b"17"]), 17),
        (("200 OK", [("content-type", "application/hal+json")], [b'{"a": 1}']), {"a": 1}),
        (("200 OK", [TEXT], ["zoë\n".encode()]), "zoë"),
        (("204 No Content", [], []), True),
    ],
)
def test_a_good_answer_names_the_user(legacy, answer, expected):
    legacy.answer = answer

    assert user(legacy, ask("/api/me")) == expected


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (("200 OK", [JSON], [b"null"]), 401),
        (("200 OK", [JSON], [b"{}"]), 401),
        (("200 OK", [TEXT], [b" \n"]), 401),
        (("200 OK", [("Content-Type", "text/html")], [b"<form>"]), 401),
        (("200 OK", [], [b"ada"]), 401),
        (("302 Found", [("Location", "/login")], [b""]), 401),
        (("401 Unauthorized", [], []), 401),
        (("403 Forbidden", [], []), 403),
        (("404 Not Found", [], []), 500),
        (("405 Method Not Allowed", [], []), 500),
        (("429 Too Many Requests", [], []), 503),
        (("503 Service Unavailable", [], []), 503),
        (("200 OK", [JSON], [b"{"]), 500),
        (("200 OK", [TEXT], [b"\xff"]), 500),
        (("200 OK", [JSON], [b'"', b"x" * 70_000, b'"']), 500),
    ],
)
def test_any_other_answer_refuses(legacy, answer, status):
    legacy.answer = answer

    assert refused(legacy, ask("/api/me")).status == status


def test_an_endless_answer_is_read_up_to_its_bound():
    pieces = []

    def endless(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [JSON])
        while True:
            pieces.append(b"x" * 1_000)
            yield pieces[-1]

    assert refused(endless, ask("/api/me")).status == 500
    assert len(pieces) == 66


def test_a_redirect_is_logged_with_its_target(legacy, caplog):
    legacy.answer = ("302 Found", [("Location", "/login?next=/api/me")], [])

    refused(legacy, ask("/api/me"))

    assert "/api/me answered 302 to '/login?next=/api/me'" in caplog.text


def test_how_to_log_in_is_told_to_the_client(legacy):
    legacy.answer = ("401 Unauthorized", [("WWW-Authenticate", "Basic"), ("X-Own", "1")], [])

    refusal = refused(legacy, ask("/api/me"))

    assert refusal.headers["WWW-Authenticate"] == "Basic"
    assert "X-Own" not in refusal.headers


def test_an_application_that_raises_is_logged_and_answered_500(caplog):
    def broken(environ: dict[str, Any], start_response: Any) -> Any:
        raise RuntimeError("no database")

    assert refused(broken, ask("/api/me")).status == 500
    assert "no database" in caplog.text


def test_a_function_makes_the_user_of_the_answer(legacy):
    legacy.answer = ("200 OK", [JSON], [json.dumps({"user": None}).encode()])
    of_session = ask("/api/session", lambda found: found["user"])

    assert refused(legacy, of_session).status == 401

    legacy.answer = ("200 OK", [JSON], [json.dumps({"user": "ada"}).encode()])
    assert user(legacy, of_session) == "ada"


def test_an_auth_of_the_apps_own_may_ask(legacy):
    me = ask("/api/me")

    assert user(legacy, lambda request: me(request)["name"]) == "ada"


def test_the_live_page_may_ask(legacy):
    app = App(legacy, router=Router(), live=ask("/api/me"))
    pages = [
        browser(app, name).get("/__tina4/live", buffered=True).status_code
        for name in ("ada", "bob")
    ]

    assert pages == [200, 401]


# -- asked again


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (("302 Found", [("Location", "/login")], []), 4401),
        (("401 Unauthorized", [], []), 4401),
        (("403 Forbidden", [], []), 4403),
    ],
)
def test_a_client_that_is_logged_out_is_closed_when_it_is_asked_again(legacy, answer, code):
    with browser(served(legacy, ask("/api/me"))) as client:
        ws = client.websocket("/ws/live")
        ws.receive_json()
        legacy.answer = answer
        ws.send("ask again", wait=False)

        with pytest.raises(ConnectionClosed) as closed:
            ws.receive()

    assert closed.value.code == code
    assert [one["HTTP_COOKIE"] for one in legacy.asked] == ["session=ada"] * 2


@pytest.mark.parametrize("status", ["404 Not Found", "429 Too Many Requests", "500 Oops"])
def test_a_client_stays_while_the_application_cannot_tell(legacy, status):
    with browser(served(legacy, ask("/api/me")), raise_errors=False) as client:
        ws = client.websocket("/ws/live")
        ws.receive_json()
        legacy.answer = (status, [], [])
        ws.send("ask again")

        assert "open" in repr(ws)


# -- mistakes


def test_without_a_wrapped_application_nobody_is_let_in(caplog):
    assert refused(None, ask("/api/me")).status == 500
    assert "ask('/api/me') has nobody to ask, expected App(wsgi_app)" in caplog.text


def test_a_parameter_that_the_route_lacks_is_told(legacy, caplog):
    assert refused(legacy, ask("/api/{team}/me")).status == 500
    assert "names {team}, expected a parameter of the route" in caplog.text


@pytest.mark.parametrize("path", ["api/me", "//evil/me", "/api/me#x", "/a\nb", "", None])
def test_what_is_no_path_is_refused_at_once(path):
    with pytest.raises(UsageError, match="expected a path of the wrapped app"):
        ask(path)


def test_a_user_that_is_no_function_is_refused_at_once():
    with pytest.raises(UsageError, match="expected a function of the answer"):
        ask("/api/me", "name")
