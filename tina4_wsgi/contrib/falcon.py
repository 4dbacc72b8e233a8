"""WebSocket routes of a Falcon app (WSGI): resources with `on_websocket`, on the app's own routes.

    class Board:
        def on_websocket(self, req, connection, event, data, board_id): ...

    app.add_route("/boards/{board_id:int}/live", Board())
    app = wrap(app)

Each event has a `req` of its own and goes through the app's middleware: `process_request` and `process_resource` ahead
of it, `process_response` behind it, however it ended. What middleware, resource or an error handler of the app answers
with 401 or 403 refuses: before the 101 with that status, afterwards with 4401 or 4403.

A resource may also have:
`websocket_auth(self, req, **params)`: gives `connection.auth`; what isn't true refuses. Without it that is the
`req.context` that the middleware filled, None where it is empty.
`websocket_options`: a dict of settings for its routes, such as `{"reauth_every": 30}`.
`websocket_subprotocols`: those that it speaks.
"""

from __future__ import annotations

import ast
import inspect
import logging
import string
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

import falcon

from .. import callbacks, spelling
from ..app import App
from ..config import Config
from ..errors import ConfigError, RouteError, UsageError
from ..params import Params
from ..paths import normal_path
from ..router import Match, Route
from ..service import ANONYMOUS, Bridge, Environ, refuse

if TYPE_CHECKING:
    from datetime import datetime

    from _typeshed.wsgi import WSGIApplication

__all__ = ["current_request", "wrap"]

logger = logging.getLogger("tina4_wsgi.contrib.falcon")

FalconApp = Any  # a falcon.App: what is needed here of one, its types keep to themselves

_ARGUMENTS = ("req", "connection", "event", "data")


def wrap(app: FalconApp, *, middleware_per_event: bool = True, **settings: Any) -> App:
    """Serve a Falcon app together with the WebSocket routes of its resources and those of the `Router`.

    Args:
        app: a WSGI `falcon.App`.
        middleware_per_event: whether its middleware runs for each event; without, only before the 101 and when
            it is asked again who this is.
        settings: keywords of `App`.
    Raises:
        UsageError: it is something else.
        RouteError: an `on_websocket` can't be called as a WebSocket route needs it, or its options are wrong.
    """
    if not isinstance(app, falcon.App) or inspect.iscoroutinefunction(type(app).__call__):
        raise UsageError(f"{app!r} is no WSGI app of Falcon, expected a falcon.App and not one of falcon.asgi")
    bridge = _FalconBridge(app, middleware_per_event)
    bridge.check_routes()
    return App(cast("WSGIApplication", app), bridge=bridge, **settings)


def current_request() -> Any:  # Any: the app's own request class
    """Give the `req` of the event that runs, for callbacks of the `Router`.

    Raises:
        UsageError: none does.
    """
    passage = _current.get()
    if passage is None:
        raise UsageError("no WebSocket event runs here, and only in one there is a current request")
    return passage.req


class _Passage:
    """One event on its way through an app.

    Attributes:
        params: of the path; middleware may change them, and the resource gets what they are then.
    """

    def __init__(self, app: FalconApp, environ: Environ) -> None:
        match: Match = environ["tina4_wsgi.match"]
        self.req = app._request_type(environ, options=app.req_options)
        self.resp = app._response_type(options=app.resp_options)
        self.params = dict(match.params)
        self.req.uri_template = match.route.path
        endpoint = match.route.callback
        self.resource = endpoint.resource if isinstance(endpoint, _Endpoint) else None


_current: ContextVar[_Passage | None] = ContextVar("tina4_wsgi.contrib.falcon", default=None)


class _Endpoint:
    """An `on_websocket` for a route: without the request."""

    def __init__(self, responder: Callable[..., object], resource: object) -> None:
        self.resource = resource
        self._responder = responder

    def __call__(self, connection: Any, event: str, data: Any) -> None:  # Any: a Connection, and its messages
        passage = _current.get()
        assert passage is not None
        self._responder(passage.req, connection, event, data, **passage.params)

    def auth(self, _: object) -> object:
        """Ask the resource who this is; the middleware has been asked already."""
        passage = _current.get()
        assert passage is not None
        websocket_auth = getattr(self.resource, "websocket_auth", None)
        if websocket_auth is None:
            return passage.req.context or ANONYMOUS  # the middleware lets in, and may know nobody in particular
        return websocket_auth(passage.req, **passage.params)


class _FalconBridge(Bridge):
    def __init__(self, app: FalconApp, middleware_per_event: bool) -> None:
        self._app = app
        self._middleware_per_event = middleware_per_event
        self._routes: dict[tuple[str, Callable[..., object]], Route] = {}

    def check_routes(self) -> None:
        """See that what has been added so far can be served; a router of the app's own is only asked later."""
        for _ in self.routes():
            pass

    def routes(self) -> Iterator[Route]:
        """Give the routes of the resources with `on_websocket`, as far as Falcon's own router has them."""
        for node in _walk(getattr(self._app._router, "_roots", ())):
            if node.resource is not None:
                route = self._route_of(node.resource, node.method_map, node.uri_template)
                if route is not None:
                    yield route

    def match(self, path: str) -> Match | None:
        """Find a resource with `on_websocket` on the app's routes."""
        if self._app.req_options.strip_url_path_trailing_slash and path != "/":
            path = path.rstrip("/")
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
        """Refuse "01" for the number 1: a path that Falcon reads like another one, but that is another group's name.

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
        if responder is None or responder.__module__ == "falcon.responders":  # its own, which answers 405
            return None
        route = self._routes.get((uri_template, responder))
        if route is None:
            route = self._routes[uri_template, responder] = _make_route(resource, responder, uri_template)
        return route

    def admit(self, environ: Environ, match: Match) -> None:
        """Ask the middleware where no `auth` will."""
        if match.route.auth is None:
            environ["tina4_wsgi.match"] = match
            with self.context(environ, "auth"):
                pass

    @contextmanager
    def context(self, environ: Environ, event: str) -> Iterator[Any]:
        """Make a request, and take it through the middleware and back."""
        passage = _Passage(self._app, environ)
        token = _current.set(passage)
        try:
            with ExitStack() as stack:
                if event == "auth" or self._middleware_per_event:
                    self._enter(passage, stack, event)
                yield passage.req
        except Exception as exc:
            status = self._status_of(exc, passage)
            connection = environ.get("tina4_wsgi.connection")
            if status is not None and (connection is None or status in (401, 403)):
                refuse(status, connection)
            raise
        finally:
            _current.reset(token)

    def _enter(self, passage: _Passage, stack: ExitStack, event: str) -> None:
        """Do as `falcon.App.__call__` does ahead of a responder, and have `stack` do what it does behind."""
        req, resp = passage.req, passage.resp
        request_methods, resource_methods, response_methods = self._app._middleware
        for method in reversed(response_methods):  # they come in the order in which they run
            _call_behind(stack, method, passage)
        for methods in request_methods:
            before, behind = (methods, None) if self._app._independent_middleware else methods
            if before is not None:
                _ask(event, resp, before, req, resp)
            if behind is not None:
                _call_behind(stack, behind, passage)
        if passage.resource is not None:
            for method in resource_methods:
                _ask(event, resp, method, req, resp, passage.resource, passage.params)

    def _status_of(self, exc: Exception, passage: _Passage) -> int | None:
        """Give the status that the app answers an exception with; None for one that nobody expects."""
        handler = self._app._find_error_handler(exc)
        if not isinstance(exc, falcon.HTTPError | falcon.HTTPStatus):
            if handler is None or handler == self._app._python_error_handler:
                return None
            try:
                handler(passage.req, passage.resp, exc, passage.params)
            except (falcon.HTTPError, falcon.HTTPStatus) as answer:
                exc = answer
            else:
                return _code(passage.resp.status)
        return _code(exc.status)


def _code(status: Any) -> int:  # Any: "401 Unauthorized", 401 or an HTTPStatus of the standard library
    return int(falcon.http_status_to_code(status))


def _call_behind(stack: ExitStack, process_response: Callable[..., object], passage: _Passage) -> None:
    def call(kind: object, *_: object) -> None:
        process_response(passage.req, passage.resp, passage.resource, kind is None)

    stack.push(call)


def _ask(event: str, resp: Any, method: Callable[..., object], *arguments: object) -> None:
    try:
        method(*arguments)
        if resp.complete:  # it has answered, so there is nothing left to do for a responder
            raise falcon.HTTPStatus(resp.status)
    except Exception as exc:
        if event != "close":
            raise
        # "close" runs whatever happens: it takes a user who may not be here any more off the lists.
        if not isinstance(exc, falcon.HTTPError | falcon.HTTPStatus):
            logger.exception("middleware raised at 'close'")


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
    """Give the first argument of a converter as a template has it, as 4 for "int(4)"; None where it has none."""
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
    return Route(uri_template, uri_template, "websocket", frozenset({"GET"}), endpoint, endpoint.auth, names, options,
                 where)


def _check(responder: Callable[..., object], uri_template: str) -> None:
    callbacks.check_is_no_generator(responder)
    names = [name for _, name, _, _ in string.Formatter().parse(uri_template) if name]
    try:
        # Partial: a parameter that the template lacks may come from middleware.
        inspect.signature(responder).bind_partial(*_ARGUMENTS, **dict.fromkeys(names))
    except TypeError as exc:
        expected = ", ".join((*_ARGUMENTS, *names))
        raise UsageError(f"on_websocket takes {inspect.signature(responder)}, expected ({expected})") from exc
