"""Frameworks inside of WSGI middleware, as factories give them: what it puts into the environ is
there for events.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import bottle
import falcon
import pytest
from pyramid.config import Configurator
from pyramid.threadlocal import get_current_request

from tests.support.events import Connection, run_event
from tina4_wsgi import App, Router
from tina4_wsgi.contrib import bottle as with_bottle
from tina4_wsgi.contrib import falcon as with_falcon
from tina4_wsgi.contrib import pyramid as with_pyramid
from tina4_wsgi.contrib.falcon import current_request
from tina4_wsgi.errors import ConnectionClosed, Refused, UsageError
from tina4_wsgi.testing import TestClient

Environ = dict[str, Any]


class Layer:
    """Middleware as a class."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, environ: Environ, start_response: Any) -> Any:
        environ["REMOTE_USER"] = environ.get("HTTP_X_USER", "ada")
        return self.app(environ, start_response)


class OtherLayer(Layer):
    """Middleware that keeps what it wraps under another name, and leaves the environ it got as it
    is.
    """

    def __init__(self, app: Any) -> None:
        self._application = app

    def __call__(self, environ: Environ, start_response: Any) -> Any:
        return self._application({**environ, "layer": "other"}, start_response)


def iterating(app: Any) -> Any:
    """Middleware as a generator, which calls the application when the first part is asked for."""

    def call(environ: Environ, start_response: Any) -> Any:
        environ["layer"] = "generator"
        yield from app(environ, start_response)

    return call


def refusing(app: Any) -> Any:
    def call(environ: Environ, start_response: Any) -> Any:
        if environ.get("HTTP_X_USER") != "mallory":
            return app(environ, start_response)
        start_response("401 Unauthorized", [("WWW-Authenticate", "Basic")])
        return [b"who are you?"]

    return call


def of_bottle() -> tuple[Any, Callable[..., App], Callable[[], Environ]]:
    return bottle.Bottle(), with_bottle.wrap, lambda: bottle.request.environ


def of_falcon() -> tuple[Any, Callable[..., App], Callable[[], Environ]]:
    return falcon.App(), with_falcon.wrap, lambda: current_request().env


def of_pyramid() -> tuple[Any, Callable[..., App], Callable[[], Environ]]:
    return Configurator().make_wsgi_app(), with_pyramid.wrap, lambda: get_current_request().environ


FRAMEWORKS = {"bottle": of_bottle, "falcon": of_falcon, "pyramid": of_pyramid}

every_framework = pytest.mark.parametrize("framework", FRAMEWORKS)
every_event = pytest.mark.parametrize("event", ["auth", "open", "message", "close"])


def served(framework: str, *layers: Callable[[Any], Any]) -> tuple[App, Callable[[], Environ]]:
    """Wrap a framework's app inside of middleware; gives also what tells the environ that an event
    finds.
    """
    inner, wrap, environ_of = FRAMEWORKS[framework]()
    stack = functools.reduce(lambda app, layer: layer(app), layers, inner)
    router = Router()
    router.websocket("/ws/{name}", lambda connection, event, data: None)
    return wrap(stack, app=inner, router=router), environ_of


def refuse_nobody(app: App, event: str, call: Callable[[], object], **environ: Any) -> object:
    return run_event(app, event, Connection(), call, **environ)


@every_event
@every_framework
@pytest.mark.parametrize("layer", [OtherLayer, iterating])
def test_an_event_passes_each_layer(framework, event, layer):
    app, environ_of = served(framework, layer, Layer)

    found = refuse_nobody(app, event, lambda: dict(environ_of()))

    assert found["REMOTE_USER"] == "ada"
    assert found["layer"] == ("generator" if layer is iterating else "other")


@every_framework
def test_what_a_layer_knows_is_of_the_moment(framework):
    app, environ_of = served(framework, Layer)

    found = [
        refuse_nobody(app, "auth", lambda: environ_of()["REMOTE_USER"], HTTP_X_USER=user)
        for user in "ab"
    ]

    assert found == ["a", "b"]


@every_framework
def test_a_layer_refuses_before_the_101_with_its_status_and_later_by_closing(framework):
    app, _ = served(framework, refusing)
    connection = Connection()

    with pytest.raises(Refused) as refused:
        run_event(app, "auth", connection, lambda: "ada", HTTP_X_USER="mallory")
    with pytest.raises(ConnectionClosed):
        run_event(app, "message", connection, lambda: None, HTTP_X_USER="mallory")

    assert (refused.value.status, refused.value.headers) == (401, (("WWW-Authenticate", "Basic"),))
    assert connection.closed_with == 4401


@every_framework
def test_close_runs_though_a_layer_refuses_it(framework):
    app, environ_of = served(framework, refusing)

    found = refuse_nobody(app, "close", lambda: environ_of()["PATH_INFO"], HTTP_X_USER="mallory")

    assert found == "/ws/x"


@every_framework
def test_a_layer_that_calls_twice_runs_an_event_once(framework):
    def twice(app: Any) -> Any:
        def call(environ: Environ, start_response: Any) -> Any:
            list(app(dict(environ), start_response))
            return app(environ, start_response)

        return call

    app, _ = served(framework, twice)
    calls: list[int] = []

    refuse_nobody(app, "message", lambda: calls.append(1))

    assert calls == [1]


@every_framework
def test_an_answer_without_end_that_is_not_the_events_is_not_read_to_its_end(framework):
    closed: list[bool] = []

    def endless(app: Any) -> Any:
        def call(environ: Environ, start_response: Any) -> Any:
            start_response("200 OK", [])
            try:
                while True:
                    yield b"on and on"
            finally:
                closed.append(True)

        return call

    app, _ = served(framework, endless)

    with pytest.raises(Refused) as refused:
        refuse_nobody(app, "auth", lambda: "ada")

    assert (refused.value.status, closed) == (403, [True])


@every_framework
def test_pages_pass_the_stack_as_before(framework):
    app, _ = served(framework, Layer)

    with TestClient(app) as client:
        assert client.get("/nowhere").status_code == 404


@pytest.mark.parametrize(
    ("layers", "where"),
    [
        ((Layer,), r"\.app"),
        ((Layer, OtherLayer), r"\._application\.app"),
        ((Layer, Layer, Layer), r"\.app\.app\.app"),
    ],
)
@every_framework
def test_a_stack_without_its_app_is_told_where_that_is(framework, layers, where):
    inner, wrap, _ = FRAMEWORKS[framework]()
    stack = functools.reduce(lambda app, layer: layer(app), layers, inner)

    with pytest.raises(UsageError, match=rf"wrap\(stack, app=stack{where}\)"):
        wrap(stack)


@every_framework
def test_what_is_no_app_of_the_framework_is_told_what_to_write(framework):
    _, wrap, _ = FRAMEWORKS[framework]()

    with pytest.raises(UsageError, match=r"wrap\(stack, app=the_.* tina4_wsgi\.App"):
        wrap(lambda environ, start_response: [])
    with pytest.raises(UsageError, match="expected"):
        wrap(Layer(None), app="nothing of the kind")


@pytest.mark.usefixtures("django_programs")
def test_django_is_found_inside_of_its_stack(tmp_path):
    from tests.contrib.django_program import printed_by

    lines = printed_by("""
        class Layer:
            def __init__(self, app):
                self.app = app
            def __call__(self, environ, start_response):
                return self.app({**environ, "REMOTE_USER": "ada"}, start_response)

        def closing_over(app):
            def call(environ, start_response):
                environ["layer"] = "function"
                yield from app(environ, start_response)
            return call

        def act(data):
            from tina4_wsgi.contrib.django import request
            return request().META["REMOTE_USER"], request().environ["layer"], request().resolver_match.route

        ordinary = make
        def make(wsgi_app):
            return ordinary(Layer(closing_over(wsgi_app)))

        def main():
            with client.websocket("/ws/news/7") as ws:
                ws.receive()
                ws.send("go")
                print(ws.receive(), client.get("/nowhere").status_code)
    """)

    assert lines == ["('ada', 'function', '/ws/news/{number:int}') 404"]


@pytest.mark.usefixtures("django_programs")
def test_django_may_be_named_where_it_can_not_be_found():
    from tests.contrib.django_program import printed_by

    lines = printed_by("""
        class Hidden:
            __slots__ = ("inner",)
            def __init__(self, inner):
                self.inner = inner
            def __call__(self, environ, start_response):
                return self.inner({**environ, "REMOTE_USER": "ada"}, start_response)

        def act(data):
            from tina4_wsgi.contrib.django import request
            return request().META["REMOTE_USER"]

        ordinary = make
        def make(wsgi_app):
            try:
                ordinary(Hidden(wsgi_app), app=Hidden(wsgi_app))
            except ValueError as exc:
                print("expected what get_wsgi_application() gave" in str(exc))
            return ordinary(Hidden(wsgi_app), app=wsgi_app)

        def main():
            with client.websocket("/ws/news/7") as ws:
                ws.receive()
                ws.send("go")
                print(ws.receive())
    """)

    assert lines == ["True", "ada"]


def vendored_module(name: str, source: Path, folder: Path) -> ModuleType:
    """Import a copy of a module under a name of a project's own."""
    (folder / "copy.py").write_bytes(source.read_bytes())
    spec = importlib.util.spec_from_file_location(name, folder / "copy.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["shop._vendor.bottle", "pypi.bottle_wrapper", "bottle_0_13"])
def test_a_copy_of_bottle_is_served_with_its_own_request(name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    copied = vendored_module(name, Path(bottle.__file__), tmp_path)
    app = copied.Bottle()
    router = Router()
    router.websocket("/ws/{name}", lambda connection, event, data: None)
    wrapped = with_bottle.wrap(app, router=router)

    def abort() -> None:
        copied.abort(401)

    assert (
        run_event(wrapped, "message", Connection(), lambda: copied.request.url_args["name"]) == "x"
    )
    with pytest.raises(Refused) as refused:
        run_event(wrapped, "auth", Connection(), abort)
    assert refused.value.status == 401


@pytest.mark.parametrize("name", ["shop._vendor.falcon", "fork_of_falcon"])
def test_a_copy_of_falcon_is_served_with_its_own_errors(name, monkeypatch):
    copied = ModuleType(name)
    vars(copied).update({**vars(falcon), "__name__": name})
    monkeypatch.setitem(sys.modules, name, copied)
    app_class = type("App", (falcon.App,), {"__module__": f"{name}.app"})
    router = Router()
    router.websocket("/ws/{name}", lambda connection, event, data: None)
    wrapped = with_falcon.wrap(app_class(), router=router)

    def refuse() -> None:
        raise copied.HTTPForbidden

    with pytest.raises(Refused) as refused:
        run_event(wrapped, "auth", Connection(), refuse)
    assert refused.value.status == 403


def test_a_class_that_only_has_the_name_is_none(tmp_path):
    class Bottle:
        def __call__(self, environ: Environ, start_response: Any) -> Any:
            return []

    with pytest.raises(UsageError, match=r"no bottle\.Bottle"):
        with_bottle.wrap(Bottle())
