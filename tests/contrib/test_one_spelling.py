"""What `auth` is asked about is the name that is joined: one text of a path, in every framework."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import bottle
import falcon
import flask
import pytest
from pyramid.config import Configurator
from werkzeug.routing import UnicodeConverter

from tina4_wsgi import App, Router, UsageError
from tina4_wsgi.contrib import bottle as bottle_contrib
from tina4_wsgi.contrib import falcon as falcon_contrib
from tina4_wsgi.contrib import flask as flask_contrib
from tina4_wsgi.contrib import pyramid as pyramid_contrib
from tina4_wsgi.testing import HandshakeRefused, TestClient

ID = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")
SECRET = "secret"

Make = Callable[[], App]


def tell(connection: Any, event: str, data: Any) -> None:
    if event == "open":
        connection.send_json(
            [connection.path, {name: str(value) for name, value in connection.params.items()}]
        )


def judge(params: Any) -> str | None:
    """Let nobody in to the one that is secret."""
    return None if SECRET in map(str, params.values()) else "ada"


def assert_is_as_joined(path: str) -> None:
    """See that an `auth` that looks at the path is shown the group's name, and its route's slash if
    that has one.
    """
    assert path == path.rstrip("/") + ("/" if path.startswith("/ws/ends/") else "")


def plain() -> App:
    router = Router()

    def auth(request: Any) -> Any:
        assert_is_as_joined(request.path)
        return judge(request.params)

    declare(lambda path: router.websocket(path, tell, auth=auth), "{%s}", "{%s:%s}")
    return App(router=router)


def in_flask() -> App:
    app = flask.Flask(__name__)

    def auth(request: Any) -> Any:
        # The framework's own word for it counts, too.
        assert flask.request.view_args == request.params
        assert_is_as_joined(flask.request.path)
        return judge(flask.request.view_args)

    def add(path: str) -> None:
        flask_contrib.websocket(app, path, endpoint=path.replace(".", "-"), auth=auth)(tell)

    declare(add, "<%s>", "<%s:%s>", turned=True)
    return flask_contrib.wrap(app, router=Router())


def in_bottle() -> App:
    router = Router()

    def auth(request: Any) -> Any:
        assert dict(bottle.request.url_args) == request.params
        assert_is_as_joined(bottle.request.path)
        return judge(bottle.request.url_args)

    declare(lambda path: router.websocket(path, tell, auth=auth), "{%s}", "{%s:%s}")
    return bottle_contrib.wrap(bottle.Bottle(), router=router)


def in_pyramid() -> App:
    def auth(request: Any) -> Any:
        assert_is_as_joined(request.path_info)
        return judge(request.matchdict)

    with Configurator() as config:
        config.include("tina4_wsgi.contrib.pyramid")
        declare(lambda path: config.add_websocket(path, tell, auth=auth), "{%s}", "{%s:%s}")
        return pyramid_contrib.wrap(config.make_wsgi_app(), router=Router())


def in_falcon() -> App:
    class Resource:
        def on_websocket(
            self, req: Any, connection: Any, event: str, data: Any, **params: Any
        ) -> None:
            tell(connection, event, data)

        def websocket_auth(self, req: Any, **params: Any) -> Any:
            assert_is_as_joined(req.path)
            return judge(params)

    app = falcon.App()
    declare(lambda path: app.add_route(path, Resource()), "{%s}", "{%s:%s}")
    return falcon_contrib.wrap(app, router=Router())


def declare(add: Callable[[str], object], bare: str, typed: str, *, turned: bool = False) -> None:
    """Declare the same routes in a framework's own way."""

    def part(name: str, kind: str) -> str:
        return typed % ((kind, name) if turned else (name, kind))

    add("/ws/room/" + bare % "name")
    add("/ws/doc/" + part("doc", "path"))
    add("/ws/board/" + part("number", "int"))
    add("/ws/part/" + part("weight", "float"))
    add("/ws/thing/" + part("id", "uuid"))
    add("/ws/ends/" + bare % "name" + "/")


FRAMEWORKS: dict[str, Make] = {
    "plain": plain,
    "flask": in_flask,
    "bottle": in_bottle,
    "pyramid": in_pyramid,
    "falcon": in_falcon,
}


@pytest.fixture(params=FRAMEWORKS)
def client(request: pytest.FixtureRequest) -> Iterator[TestClient]:
    with TestClient(FRAMEWORKS[request.param]()) as opened:
        yield opened


def status(client: TestClient, path: str) -> int:
    """The answer to a handshake."""
    try:
        with client.websocket(path):
            return 101
    except HandshakeRefused as refusal:
        return refusal.status


@pytest.mark.parametrize("behind", ["", "/", "//", "///", "%2F", "%2f", "/%2F/"])
@pytest.mark.parametrize("path", ["/ws/room/a", "/ws/doc/a/b", "/ws/board/7", "/ws/ends/a"])
def test_slashes_at_the_end_are_no_part_of_a_name(client, path, behind):
    with client.websocket(path + behind) as ws:
        joined, params = ws.receive_json()

    assert joined == path
    assert params in ({"name": "a"}, {"doc": "a/b"}, {"number": "7"})


@pytest.mark.parametrize(
    "path",
    [
        "/ws/doc/secret",
        "/ws/doc/secret/",
        "/ws/doc/secret//",
        "/ws/doc/secret%2F",
        "/ws/doc/secret%2f/",
        "/ws/doc/s%65cret",
        "/ws/room/secret/",
        "/ws/ends/secret",
        "/ws/ends/secret//",
    ],
)
def test_auth_is_asked_about_the_name_that_is_joined(client, path):
    assert status(client, path) == 401


@pytest.mark.parametrize(
    "path",
    [
        "/ws/doc/./secret",
        "/ws/doc/../doc/secret",
        "/ws/doc/a//secret",
        "/ws/doc/SECRET",
    ],
)
def test_what_is_no_slash_at_the_end_is_a_name_of_its_own(client, path):
    with client.websocket(path) as ws:
        joined, params = ws.receive_json()

    assert joined == "/ws/doc/" + params["doc"]
    assert not joined.endswith("/secret/")
    assert joined != "/ws/doc/secret"


@pytest.mark.parametrize(
    ("spelling", "right"),
    [
        ("board/07", "board/7"),
        ("board/007", "board/7"),
        ("board/%D9%A7", "board/7"),
        ("board/%EF%BC%97", "board/7"),
        ("board/00", "board/0"),
        ("board/07/", "board/7"),
        ("part/1.50", "part/1.5"),
        ("part/01.5", "part/1.5"),
        ("part/0.000010", "part/0.00001"),
        ("part/%D9%A1.5", "part/1.5"),
        (f"thing/{str(ID).upper()}", f"thing/{ID}"),
    ],
)
def test_a_value_has_one_spelling(client, caplog, spelling, right):
    assert status(client, f"/ws/{right}") == 101
    assert status(client, f"/ws/{spelling}") == 404

    assert f"its one spelling is '/ws/{right}'" in caplog.text


@pytest.mark.parametrize(
    "right", ["board/0", "board/10", "part/0.5", "part/10.0", "part/0.0", f"thing/{ID}"]
)
def test_the_spelling_that_the_converter_writes_passes(client, right):
    assert status(client, f"/ws/{right}") == 101


@pytest.mark.parametrize("path", ["//ws/room/a", "///ws/room/a", "/%2Fws/room/a", "//ws/board/7"])
def test_a_path_that_begins_with_two_slashes_is_no_route(client, path):
    environ = {"PATH_INFO": path.replace("%2F", "/")}
    answer = client.get(
        "/",
        headers={
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        },
        environ_overrides=environ,
    )

    assert answer.status_code in (404, 405, 501)  # where nobody has it, the framework's own answer


@pytest.mark.parametrize(
    "spelling",
    [
        "board/+7",
        "board/7_0",
        "board/-0",
        "part/1e5",
        "part/+1.5",
        "part/-0.0",
        "part/5",
        f"thing/{ID.hex}",
        f"thing/{{{ID}}}",
        f"thing/urn:uuid:{ID}",
    ],
)
def test_what_only_falcons_converters_read_is_refused_as_well(spelling):
    with TestClient(in_falcon()) as client:
        assert status(client, f"/ws/{spelling}") == 404


@pytest.mark.parametrize(
    ("template", "right", "wrong"),
    [
        ("/n/{n:int(4)}", "/n/0001", "/n/+001"),
        ("/n/{n:int(min=1, num_digits=3)}", "/n/001", "/n/1_1"),
        ("/d/{d:dt('%Y-%m-%d')}", "/d/2026-01-05", "/d/2026-1-5"),
        ("/x/{a:int}-{b:int}.json", "/x/1-2.json", "/x/1-02.json"),
    ],
)
def test_arguments_of_falcons_converters_are_obeyed(template, right, wrong):
    class Resource:
        def on_websocket(
            self, req: Any, connection: Any, event: str, data: Any, **params: Any
        ) -> None: ...

    app = falcon.App()
    app.add_route(template, Resource())
    with TestClient(falcon_contrib.wrap(app, router=Router())) as client:
        assert status(client, right) == 101
        assert status(client, wrong) == 404


class LowerCase(UnicodeConverter):
    """A converter of an app's own, which folds case, and writes what it made."""

    def to_python(self, value: str) -> str:
        return value.lower()


class OneWay(LowerCase):
    """One that nobody taught to write."""

    def to_python(self, value: str) -> Any:
        return value.split("+")

    def to_url(self, value: Any) -> str:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("kind", "path", "expected"),
    [
        (LowerCase, "/ws/ada", 101),
        (LowerCase, "/ws/Ada", 404),
        (LowerCase, "/ws/ADA/", 404),
        (OneWay, "/ws/a+b", 101),
        (OneWay, "/ws/a", 101),
    ],
)
def test_a_converter_of_an_apps_own_is_held_to_what_it_writes(kind, path, expected):
    app = flask.Flask(__name__)
    app.url_map.converters["string"] = kind
    flask_contrib.websocket(app, "/ws/<string(maxlength=9):name>", endpoint="own")(tell)
    with TestClient(flask_contrib.wrap(app, router=Router())) as client:
        assert status(client, path) == expected


def test_a_route_that_is_http_is_read_as_before():
    router = Router()
    router.get("/board/{number:int}", lambda request, response: str(request.params.number))
    with TestClient(App(router=router)) as client:
        assert [client.get(f"/board/{number}").text for number in ("7", "07", "007/")] == ["7"] * 3


def test_an_async_auth_of_falcon_or_pyramid_is_refused_when_it_is_declared():
    async def auth(*_: object, **params: object) -> str:
        return "ada"

    class Resource:
        websocket_auth = auth

        def on_websocket(self, req: Any, connection: Any, event: str, data: Any) -> None: ...

    app = falcon.App()
    app.add_route("/ws", Resource())
    with pytest.raises(UsageError, match="websocket_auth is an `async def`"):
        falcon_contrib.wrap(app)
    config = Configurator()
    config.include("tina4_wsgi.contrib.pyramid")
    with pytest.raises(UsageError, match="auth is an `async def`"):
        config.add_websocket("/ws", tell, auth=auth)
