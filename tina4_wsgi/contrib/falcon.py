"""WebSocket routes of a Falcon app (WSGI): resources with `on_websocket`, on the app's own routes.

    class Board:
        def on_websocket(self, req, connection, event, data, board_id): ...

    app.add_route("/boards/{board_id:int}/live", Board())
    app = wrap(app)

Each event goes through the app as a request does, with a `req` of its own: `process_request` and
`process_resource` run ahead of it, `process_response` behind it, however it ended, and error
handlers get what is raised. Middleware, a resource or an error handler that answers 401 or 403
refuses: before the 101 with that status, afterwards with 4401 or 4403.

A resource may also have:
`websocket_auth(self, req, **params)`: returns `connection.auth`; what isn't true refuses. Without
it that is the `req.context` that the middleware filled, None where it is empty.
`websocket_options`: a dict of settings for its routes, such as `{"reauth_every": 30}`.
`websocket_subprotocols`: those that it speaks.

How it works. The app finds its responders by `_router_search`, and the bridge replaces it: for an
event, which lies in the environ, it returns a responder that runs the event. Nothing here imports
Falcon at run time: an app may have brought a copy of its own.
"""

from __future__ import annotations

import ast
import copy
import inspect
import json
import logging
import string
import sys
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
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

    from _typeshed.wsgi import WSGIApplication
    from falcon import Request, Response
    from falcon.routing.compiled import CompiledRouterNode
    from typing_extensions import Unpack

    from ..routing.params import Value
    from ..settings import RouterSettings

    Found = tuple[object, Mapping[str, Callable[..., object]], dict[str, object], str | None]
    Handler = Callable[[Request, Response, Exception, dict[str, object]], None]
    Prepared = tuple[object, object, object]
    from ..websocket.connection import Connection

__all__ = ["current_request", "wrap"]

logger = logging.getLogger("tina4_wsgi.contrib.falcon")

FalconApp = Any  # a `falcon.App`, of any copy; its types hide the attributes that are used here
Package = Any  # `falcon`, or a copy of it

_ARGUMENTS = ("req", "connection", "event", "data")


def wrap(
    stack: FalconApp | WSGIApplication,
    *,
    app: FalconApp | None = None,
    middleware_per_event: bool = True,
    **settings: Unpack[RouterSettings],
) -> App:
    """Serve a Falcon app with the WebSocket routes of its resources and those of the `Router`.

    Args:
        stack: a WSGI `falcon.App`; or WSGI middleware around one.
        app: the `falcon.App` inside `stack`, where that is middleware: events pass the middleware,
            too.
        middleware_per_event: whether Falcon's middleware runs for each event; if not, it runs only
            before the 101 and at each re-check of `auth`.
        settings: keywords of `App`.
    Raises:
        UsageError: `stack` or `app` is something else.
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


def _package_of(app: object) -> Package | None:
    """Return the package of an app's class: `falcon`, or a project's copy; None for other apps."""
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


def current_request() -> Request:
    """Return the `req` of the event that is running, for callbacks of the `Router`.

    Raises:
        UsageError: no event is running here.
    """
    passage = _current.get()
    if passage is None:
        raise UsageError("no WebSocket event runs here, and only in one there is a current request")
    return passage.req


class _Passage(NamedTuple):
    """An event at its responder.

    Attributes:
        req: of the app's own request class.
        params: of the path; middleware may have changed them.
    """

    req: Request
    params: dict[str, object]


_current: ContextVar[_Passage | None] = ContextVar("tina4_wsgi.contrib.falcon", default=None)


class _NoResource:
    """Stands in for the resource of a `Router`'s route; being false, to Falcon it is none."""

    def __bool__(self) -> bool:
        return False


class _OnWebsocket:
    """An `on_websocket` as a route's callback, which gets no request."""

    def __init__(self, responder: Callable[..., object], resource: object) -> None:
        self.resource = resource
        self._responder = responder

    def __call__(self, connection: Connection, event: callbacks.Event, data: str | bytes) -> None:
        passage = _current.get()
        assert passage is not None
        self._responder(passage.req, connection, event, data, **passage.params)

    def auth(self, _: object) -> object:
        """Ask the resource who the user is; the middleware has been asked already."""
        passage = _current.get()
        assert passage is not None
        websocket_auth = getattr(self.resource, "websocket_auth", None)
        if websocket_auth is None:
            # The middleware let the client in, and may know no user.
            return passage.req.context or ANONYMOUS
        return websocket_auth(passage.req, **passage.params)


class _FalconBridge(PassingBridge):
    def __init__(
        self,
        stack: FalconApp | WSGIApplication,
        app: FalconApp,
        package: Package,
        middleware_per_event: bool,
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
        # Falcon's own handler only logs, and so does the caller that gets the exception.
        if default == app._python_error_handler:
            app.add_error_handler(Exception, _noting(default))

    def check_routes(self) -> None:
        """Check the routes so far; a router of the app's own is only asked at handshakes."""
        for _ in self.routes():
            pass

    def routes(self) -> Iterator[Route]:
        """Yield the routes with `on_websocket` that Falcon's own router has."""
        for node in _walk(getattr(self._app._router, "_roots", ())):
            if node.resource is None or node.method_map is None or node.uri_template is None:
                continue
            route = self._route_of(node.resource, node.method_map, node.uri_template)
            if route is not None:
                yield route

    def routes_mark(self) -> object:
        """Return what Falcon finds its routes by: a function, compiled anew with each route."""
        return getattr(self._app._router, "_find", None)

    def match(self, path: str) -> Match | None:
        """Find a resource with `on_websocket` on the app's routes."""
        # Only a path with a final slash finds a template with one.
        found = self._app._router.find(path) or self._app._router.find(f"{path}/")
        if found is None:
            return None

        resource, method_map, params, uri_template = found
        route = self._route_of(resource, method_map, uri_template or path)
        if route is None:
            return None
        self._check_spelling(path, uri_template or path, params)
        return Match(route, Params(params))

    def _check_spelling(self, path: str, uri_template: str, params: dict[str, object]) -> None:
        """Refuse "01" for the number 1: to Falcon one path, but two names of groups.

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

    def _route_of(
        self, resource: object, method_map: Mapping[str, Callable[..., object]], uri_template: str
    ) -> Route | None:
        responder = method_map.get("WEBSOCKET")
        # Falcon's own responder answers 405.
        if responder is None or responder.__module__ == self._responders:
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
        """Send an event through the app; "close" whatever its middleware raises."""
        if event.name == "close" and self._stack is self._app:
            event.pass_through(self._with_middleware(_hindering_nothing(self._app)), environ)
        elif event.name == "auth" or self._middleware_per_event:
            event.pass_through(self._stack, environ)
        else:
            event.pass_through(self._with_middleware(((), (), ())), environ)

    def run_unhindered(self, event: Event, environ: Environ) -> None:
        """Run "close" whatever the app's middleware raises."""
        event.pass_through(self._with_middleware(_hindering_nothing(self._app)), environ)
        event.run()

    def _with_middleware(self, middleware: Prepared) -> WSGIApplication:
        """Return a copy of the app as it is now, with other middleware."""
        other = copy.copy(self._app)
        other._middleware = middleware
        return cast("WSGIApplication", other)

    def _search(
        self, search: Callable[..., Found | None], path: str, req: Request | None = None
    ) -> Found | None:
        """Stand in for `_router_search`, by which the app finds a resource and its responders."""
        event: Event | None = None if req is None else req.env.get(KEY)
        if event is None:
            return search(path, req=req)

        route, params = event.match
        endpoint = route.callback
        resource = endpoint.resource if isinstance(endpoint, _OnWebsocket) else _NoResource()
        return resource, {"GET": _respond}, dict(params), route.path


def _respond(req: Request, resp: Response, **params: object) -> None:
    """Run the event of a request; a responder of Falcon's."""
    token = _current.set(_Passage(req, params))
    try:
        req.env[KEY].run()
    finally:
        _current.reset(token)
    resp.status = 204


def _answer_quietly(req: Request, resp: Response, ex: Exception, params: dict[str, object]) -> None:
    """Answer an exception that is no error to the app; an error handler of Falcon's."""
    resp.status = 204


def _noting(default: Handler) -> Handler:
    """Return an error handler that tells an event of the exception.

    Falcon's own handler writes it to `wsgi.errors`.
    """

    def handle(req: Request, resp: Response, ex: Exception, params: dict[str, object]) -> None:
        event: Event | None = req.env.get(KEY)
        if event is None:
            default(req, resp, ex, params)
            return
        if ex is not event.error:
            event.failure = ex
        resp.status = 500

    return handle


def _hindering_nothing(app: FalconApp) -> Prepared:
    """Return the middleware of an app, made to ignore what it raises or answers before "close"."""
    ahead, resource, behind = app._middleware
    if app._independent_middleware:
        requests: list[object] = [_unhindering(method) for method in ahead]
    else:
        requests = [(before and _unhindering(before), after) for before, after in ahead]
    return requests, [_unhindering(method) for method in resource], behind


def _unhindering(method: Callable[..., object]) -> Callable[..., None]:
    def call(req: Request, resp: Response, *more: object) -> None:
        try:
            method(req, resp, *more)
        except Exception as exc:
            # Falcon's own exceptions are answers, and nobody waits for one here.
            if not hasattr(exc, "status"):
                logger.exception("middleware raised at 'close'")
        resp.complete = False

    return call


def _spell(uri_template: str, params: dict[str, object]) -> str:
    """Return a path as Falcon's converters would write it, if they could write."""
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


def _argument(specification: str, name: str) -> Value:
    """Return the first argument of a converter in a template, as 4 for "int(4)"; None without."""
    call = ast.parse(specification, mode="eval").body
    if not isinstance(call, ast.Call):
        return None
    found = call.args or [one.value for one in call.keywords if one.arg == name]
    return ast.literal_eval(found[0]) if found else None


def _walk(nodes: Iterable[CompiledRouterNode]) -> Iterator[CompiledRouterNode]:
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

    endpoint = _OnWebsocket(responder, resource)
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
        # Middleware may add a parameter that the template lacks.
        inspect.signature(responder).bind_partial(*_ARGUMENTS, **dict.fromkeys(names))
    except TypeError as exc:
        expected = ", ".join((*_ARGUMENTS, *names))
        raise UsageError(
            f"on_websocket takes {inspect.signature(responder)}, expected ({expected})"
        ) from exc
