"""WebSocket routes of a Falcon app (WSGI): resources with `on_websocket`, on the app's own routes.

    class Board:
        def on_websocket(self, req, connection, event, data, board_id): ...

    app.add_route("/boards/{board_id:int}/live", Board())
    app = wrap(app)

Each event goes through the app as a request does, with a `req` of its own: `process_request` and
`process_resource` ahead of it, `process_response` behind it, however it ended, and error handlers
for what is raised. What middleware, resource or an error handler answers with 401 or 403 refuses:
before the 101 with that status, afterwards with 4401 or 4403.

A resource may also have:
`websocket_auth(self, req, **params)`: gives `connection.auth`; what isn't true refuses. Without it
that is the `req.context` that the middleware filled, None where it is empty. `websocket_options`: a
dict of settings for its routes, such as `{"reauth_every": 30}`. `websocket_subprotocols`: those
that it speaks.

How it works. The app finds its responders by `_router_search`, which gets a stand-in: for an event,
which lies in the environ, it gives a responder that runs it. Nothing here imports Falcon: an app
may have brought a copy of its own.
"""

from __future__ import annotations

import ast
import copy
import inspect
import json
import logging
import string
import sys
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ..app import App
from ..config import Config
from ..errors import ConfigError, RouteError, UsageError
from ..routing import callbacks, spelling
from ..routing.params import Params
from ..routing.paths import normal_path
from ..routing.router import Match, Route
from ..websocket.bridge import ANONYMOUS, Environ
from .passage import KEY, QUIET, Event, PassingBridge, class_named, path_to

if TYPE_CHECKING:
    from datetime import datetime

    from _typeshed.wsgi import WSGIApplication
    from typing_extensions import Unpack

    from ..settings import RouterSettings
    from ..websocket.connection import Connection

__all__ = ["current_request", "wrap"]

logger = logging.getLogger("tina4_wsgi.contrib.falcon")

# A `falcon.App`, perhaps of a copy of that package; its types keep to themselves what is needed.
FalconApp = Any

_ARGUMENTS = ("req", "connection", "event", "data")


def wrap(
    stack: Any,
    *,
    app: FalconApp | None = None,
    middleware_per_event: bool = True,
    **settings: Unpack[RouterSettings],
) -> App:
    """Serve a Falcon app together with the WebSocket routes of its resources and those of the
    `Router`.

    Args:
        stack: a WSGI `falcon.App`; or WSGI middleware around one.
        app: the `falcon.App` inside of `stack`, where that is middleware: events pass the
            middleware, too.
        middleware_per_event: whether middleware runs for each event; without, only before the 101
            and when it is asked again who this is.
        settings: keywords of `App`.
    Raises:
        UsageError: it is something else.
        RouteError: an `on_websocket` can't be called as a WebSocket route needs it, or its options
            are wrong.
    """
    inner = stack if app is None else app
    package = _package_of(inner)
    if package is None:
        raise UsageError(_no_falcon(inner, is_stack=app is None))
    bridge = _FalconBridge(stack, inner, package, middleware_per_event)
    bridge.check_routes()
    return App(cast("WSGIApplication", stack), bridge=bridge, **settings)


def _is_falcon(app: object) -> bool:
    return _package_of(app) is not None


def _package_of(app: object) -> Any | None:
    """Find the package that an app was made with: `falcon`, or a copy that a project has
    brought.
    """
    members = ("_router_search", "_error_handlers", "_middleware")
    found = None
    if not isinstance(app, type) and not inspect.iscoroutinefunction(type(app).__call__):
        found = class_named(app, "App", *members) or class_named(app, "API", *members)
    package = None if found is None else sys.modules.get(found.__module__.rpartition(".")[0])
    return package if hasattr(package, "HTTPStatus") else None


def _no_falcon(given: object, *, is_stack: bool) -> str:
    where = path_to(given, _is_falcon) if is_stack else None
    if where is not None:
        return (
            f"{given!r} is middleware around a Falcon app, expected that too: wrap(stack, "
            f"app=stack{where})"
        )
    return (
        f"{given!r} is no WSGI app of Falcon, expected a falcon.App and not one of falcon.asgi, or "
        "wrap(stack, app=the_falcon_app) for middleware around one; for any other WSGI app there "
        "is tina4_wsgi.App"
    )


def current_request() -> Any:  # Any: the app's own request class
    """Give the `req` of the event that runs, for callbacks of the `Router`.

    Raises:
        UsageError: none does.
    """
    passage = _current.get()
    if passage is None:
        raise UsageError("no WebSocket event runs here, and only in one there is a current request")
    return passage.req


class _Passage(NamedTuple):
    """An event at its responder.

    Attributes:
        req: the app's own kind of request.
        params: of the path; middleware may have changed them.
    """

    req: Any
    params: dict[str, Any]


_current: ContextVar[_Passage | None] = ContextVar("tina4_wsgi.contrib.falcon", default=None)


class _NoResource:
    """Stands where a route of the `Router` has no resource; for Falcon that is as if none was
    found.
    """

    def __bool__(self) -> bool:
        return False


class _Endpoint:
    """An `on_websocket` for a route: without the request."""

    def __init__(self, responder: Callable[..., object], resource: object) -> None:
        self.resource = resource
        self._responder = responder

    def __call__(self, connection: Connection, event: callbacks.Event, data: str | bytes) -> None:
        passage = _current.get()
        assert passage is not None
        self._responder(passage.req, connection, event, data, **passage.params)

    def auth(self, _: object) -> object:
        """Ask the resource who this is; the middleware has been asked already."""
        passage = _current.get()
        assert passage is not None
        websocket_auth = getattr(self.resource, "websocket_auth", None)
        if websocket_auth is None:
            return (
                passage.req.context or ANONYMOUS
            )  # the middleware lets in, and may know nobody in particular
        return websocket_auth(passage.req, **passage.params)


class _FalconBridge(PassingBridge):
    def __init__(
        self, stack: Any, app: FalconApp, package: Any, middleware_per_event: bool
    ) -> None:
        super().__init__(stack, (package.HTTPError, package.HTTPStatus))
        self._app = app
        self._responders = f"{package.__name__}.responders"
        self._middleware_per_event = middleware_per_event
        self._routes: dict[tuple[str, Callable[..., object]], Route] = {}
        app._router_search = partial(self._search, app._router_search)
        for kind in QUIET:
            app.add_error_handler(kind, _answer_quietly)
        default = app._error_handlers.get(Exception)
        if (
            default == app._python_error_handler
        ):  # it only logs, and so will whoever gets the exception from us
            app.add_error_handler(Exception, _noting(default))

    def check_routes(self) -> None:
        """See that what has been added so far can be served; a router of the app's own is only
        asked later.
        """
        for _ in self.routes():
            pass

    def routes(self) -> Iterator[Route]:
        """Give the routes of the resources with `on_websocket`, as far as Falcon's own router has
        them.
        """
        for node in _walk(getattr(self._app._router, "_roots", ())):
            if node.resource is not None:
                route = self._route_of(node.resource, node.method_map, node.uri_template)
                if route is not None:
                    yield route

    def match(self, path: str) -> Match | None:
        """Find a resource with `on_websocket` on the app's routes."""
        # A template that ends with a slash is found by no other path.
        found = self._app._router.find(path) or self._app._router.find(f"{path}/")
        if found is None:
            return None
        resource, method_map, params, uri_template = found
        route = self._route_of(resource, method_map, uri_template or path)
        if route is None:
            return None
        self._check_spelling(path, uri_template or path, params)
        return Match(route, Params(params))

    def _check_spelling(self, path: str, uri_template: str, params: dict[str, Any]) -> None:
        """Refuse "01" for the number 1: a path that Falcon reads like another one, but that is
        another group's name.

        Raises:
            Refused: 404.
        """
        try:
            spelled = _spell(uri_template, params)
        except (AttributeError, KeyError, SyntaxError, TypeError, ValueError):
            return  # a router of the app's own, with templates that mean something else
        if normal_path(spelled) == path:
            return
        found = self._app._router.find(spelled)
        if found is not None and found[3] == uri_template and found[2] == params:
            spelling.refuse(normal_path(spelled))

    def _route_of(self, resource: object, method_map: Any, uri_template: str) -> Route | None:
        responder = method_map.get("WEBSOCKET")
        if (
            responder is None or responder.__module__ == self._responders
        ):  # its own, which answers 405
            return None
        route = self._routes.get((uri_template, responder))
        if route is None:
            route = self._routes[uri_template, responder] = _make_route(
                resource, responder, uri_template
            )
        return route

    def json_default(self, value: object) -> object:
        """Ask the app's media handler for JSON."""
        handler = self._app.resp_options.media_handlers["application/json"]
        return json.loads(handler.serialize(value, "application/json"))

    def send(self, event: Event, environ: Environ) -> None:
        """Send an event through the app; "close" past what its middleware raises."""
        if event.name == "close" and self._stack is self._app:
            event.pass_through(self._with_middleware(_hindering_nothing(self._app)), environ)
        elif event.name == "auth" or self._middleware_per_event:
            event.pass_through(self._stack, environ)
        else:
            event.pass_through(self._with_middleware(((), (), ())), environ)

    def run_unhindered(self, event: Event, environ: Environ) -> None:
        """Send it past what the app's middleware raises."""
        event.pass_through(self._with_middleware(_hindering_nothing(self._app)), environ)
        event.run()

    def _with_middleware(self, middleware: tuple[Any, Any, Any]) -> WSGIApplication:
        """Give the app as it is now, but for its middleware."""
        other = copy.copy(self._app)
        other._middleware = middleware
        return cast("WSGIApplication", other)

    def _search(self, search: Callable[..., Any], path: str, req: Any = None) -> Any:
        """Stand in the place of `_router_search`, by which the app finds a resource and its
        responders.
        """
        event: Event | None = None if req is None else req.env.get(KEY)
        if event is None:
            return search(path, req=req)
        route, params = event.match
        endpoint = route.callback
        resource = endpoint.resource if isinstance(endpoint, _Endpoint) else _NoResource()
        return resource, {"GET": _respond}, dict(params), route.path


def _respond(req: Any, resp: Any, **params: Any) -> None:
    """Run the event of a request; a responder of Falcon's."""
    token = _current.set(_Passage(req, params))
    try:
        req.env[KEY].run()
    finally:
        _current.reset(token)
    resp.status = 204


def _answer_quietly(req: Any, resp: Any, ex: Exception, params: dict[str, Any]) -> None:
    """Answer what is no error to the app; an error handler of Falcon's."""
    resp.status = 204


def _noting(default: Callable[..., None]) -> Callable[..., None]:
    """Make an error handler that tells an event of the exception, where Falcon's own writes it to
    `wsgi.errors`.
    """

    def handle(req: Any, resp: Any, ex: Exception, params: dict[str, Any]) -> None:
        event: Event | None = req.env.get(KEY)
        if event is None:
            default(req, resp, ex, params)
            return
        if ex is not event.error:
            event.failure = ex
        resp.status = 500

    return handle


def _hindering_nothing(app: FalconApp) -> tuple[Any, Any, Any]:
    """Give the middleware of an app such that what it raises or answers ahead of "close" is passed
    over.
    """
    ahead, resource, behind = app._middleware
    if app._independent_middleware:
        requests: list[Any] = [_unhindering(method) for method in ahead]
    else:
        requests = [(before and _unhindering(before), after) for before, after in ahead]
    return requests, [_unhindering(method) for method in resource], behind


def _unhindering(method: Callable[..., object]) -> Callable[..., None]:
    def call(req: Any, resp: Any, *more: Any) -> None:
        try:
            method(req, resp, *more)
        except Exception as exc:
            # Those of Falcon are answers; nobody waits for one here.
            if not hasattr(exc, "status"):
                logger.exception("middleware raised at 'close'")
        resp.complete = False

    return call


def _spell(uri_template: str, params: dict[str, Any]) -> str:
    """Write a path as Falcon's converters would, if they wrote: each value as text."""
    return "".join(
        literal + ("" if name is None else _written(params[name], specification or ""))
        for literal, name, specification, _ in string.Formatter().parse(uri_template)
    )


def _written(value: object, specification: str) -> str:
    if specification.startswith("dt"):
        form = _argument(specification, "format_string") or "%Y-%m-%dT%H:%M:%S%z"
        return cast("datetime", value).strftime(form)
    digits = _argument(specification, "num_digits") if specification.startswith("int") else 0
    return spelling.written(value, digits or 0)


def _argument(specification: str, name: str) -> Any:  # Any: text or a number
    """Give the first argument of a converter as a template has it, as 4 for "int(4)"; None where it
    has none.
    """
    call = ast.parse(specification, mode="eval").body
    if not isinstance(call, ast.Call):
        return None
    found = call.args or [one.value for one in call.keywords if one.arg == name]
    return ast.literal_eval(found[0]) if found else None


def _walk(nodes: Iterable[Any]) -> Iterator[Any]:
    for node in nodes:
        yield node
        yield from _walk(node.children)


def _make_route(resource: object, responder: Callable[..., object], uri_template: str) -> Route:
    where = callbacks.location(responder)
    options = dict(getattr(resource, "websocket_options", {}))
    try:
        _check(responder, uri_template)
        callbacks.check_is_no_coroutine(getattr(resource, "websocket_auth", None), "websocket_auth")
        Config().for_route(options)
    except (UsageError, ConfigError) as exc:
        raise RouteError(f"{where}: route {uri_template!r} refused: {exc}") from exc
    endpoint = _Endpoint(responder, resource)
    names = tuple(getattr(resource, "websocket_subprotocols", ()))
    return Route(
        uri_template,
        uri_template,
        "websocket",
        frozenset({"GET"}),
        endpoint,
        endpoint.auth,
        names,
        options,
        where,
    )


def _check(responder: Callable[..., object], uri_template: str) -> None:
    callbacks.check_is_no_generator(responder)
    names = [name for _, name, _, _ in string.Formatter().parse(uri_template) if name]
    try:
        # Partial: a parameter that the template lacks may come from middleware.
        inspect.signature(responder).bind_partial(*_ARGUMENTS, **dict.fromkeys(names))
    except TypeError as exc:
        expected = ", ".join((*_ARGUMENTS, *names))
        raise UsageError(
            f"on_websocket takes {inspect.signature(responder)}, expected ({expected})"
        ) from exc
