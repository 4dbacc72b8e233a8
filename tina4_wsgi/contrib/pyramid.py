"""WebSocket routes of a Pyramid app: a request and a transaction for each event, ACLs at the door.

    config.include("tina4_wsgi.contrib.pyramid")
    config.add_websocket("/ws/board/{id:int}", board, permission="view")
    app = wrap(config.make_wsgi_app())

An event goes the way of a request, and the callback stands where a view would: execution policy,
tweens, `NewRequest` and its followers, route factory, exception views, finished callbacks. With
pyramid_tm included, `request.tm` commits when the callback returns and aborts when it raises. No
client gets the response, so cookies that it would set are lost.

How it works. The bridge replaces `routes_mapper` of the wrapped router: for an event, which lies in
the environ, it returns a route of the event's own, and the one view of all such routes runs the
event.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, cast

import venusian
from gevent import monkey
from gevent.local import local as greenlet_local
from pyramid.httpexceptions import HTTPException
from pyramid.interfaces import (
    IDefaultPermission,
    IExceptionViewClassifier,
    IRendererFactory,
    IRequest,
    IRouteRequest,
    IView,
    IViewClassifier,
)
from pyramid.request import Request, route_request_iface
from pyramid.response import Response
from pyramid.router import Router as PyramidApp
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.threadlocal import get_current_request, manager
from pyramid.urldispatch import Route as PyramidRoute
from zope.interface import Interface, implementedBy

from ..app import App
from ..errors import ConfigError, Refused, UsageError
from ..routing import callbacks
from ..routing.router import Match, Route, Router
from ..websocket.bridge import ANONYMOUS, Environ
from .passage import KEY, QUIET, Event, PassingBridge, path_to, plain

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication
    from pyramid.config import Configurator
    from pyramid.registry import Registry
    from typing_extensions import Unpack

    from ..settings import RouterSettings, RouteSettings
    from ..websocket.connection import Connection

    Callback = (
        callbacks.WebsocketCallback
        | Callable[[Request, Connection, callbacks.Event, str | bytes], callbacks.Ignored]
    )

    class Declaration(RouteSettings, total=False):
        """The keywords of `add_websocket`."""

        permission: str | None
        factory: Factory | str | None
        auth: Auth | str | None
        subprotocols: Iterable[str]


__all__ = [
    "add_websocket",
    "includeme",
    "login_required",
    "permission_required",
    "websocket_config",
    "wrap",
]

Declared = TypeVar("Declared", bound="Callback")
Auth = Callable[[Any], object]  # Any: a request, of ours or of Pyramid's
Factory = Callable[[Request], object]

_KEY = "tina4_wsgi.routes"
_ARGUMENTS = ("request", "connection", "event", "data")


def wrap(
    stack: WSGIApplication, *, app: PyramidApp | None = None, **settings: Unpack[RouterSettings]
) -> App:
    """Serve a Pyramid app together with its WebSocket routes and those of the `Router`.

    Args:
        stack: what `config.make_wsgi_app()` returned; or middleware around that.
        app: what `config.make_wsgi_app()` returned, where `stack` is middleware: events pass the
            middleware, too.
        settings: keywords of `App`.
    Raises:
        UsageError: `stack` or `app` is something else.
    """
    inner = stack if app is None else app
    if not isinstance(inner, PyramidApp):
        raise UsageError(_no_pyramid(inner, is_stack=app is None))
    return App(stack, bridge=_PyramidBridge(stack, inner), **settings)


def _no_pyramid(given: object, *, is_stack: bool) -> str:
    where = path_to(given, lambda one: isinstance(one, PyramidApp)) if is_stack else None
    if where is not None:
        return (
            f"{given!r} is middleware around a Pyramid app, expected that too: wrap(stack, "
            f"app=stack{where})"
        )

    return (
        f"{given!r} is no Pyramid app, expected what config.make_wsgi_app() gives, or "
        "wrap(stack, app=the_pyramid_app) for middleware around it; for any other WSGI app there "
        "is tina4_wsgi.App"
    )


def includeme(config: Configurator) -> None:
    """Add the directive `config.add_websocket`."""
    config.add_directive("add_websocket", add_websocket)


def add_websocket(
    config: Configurator,
    path: str,
    callback: Callback | str,
    *,
    permission: str | None = None,
    factory: Factory | str | None = None,
    auth: Auth | str | None = None,
    subprotocols: Iterable[str] = (),
    **options: Unpack[RouteSettings],
) -> None:
    """Serve a path as a WebSocket; the directive `config.add_websocket`.

    Args:
        path: as in `Router.websocket`; the route prefix of an `include` is put before it.
        callback: `callback(request, connection, event, data)`, or without the request; or its
            dotted name.
        permission: what the request needs on the context before the 101; by default the default
            permission.
        factory: makes the context (`request.context`) of the request; by default the app's root
            factory.
        auth: `auth(request)` returns `connection.auth`, and what isn't true refuses; by default
            that is `request.identity`.
        subprotocols, options: as in `Router.websocket`.
    Raises:
        CallbackError: the callback can't be called so. Any other mistake is a
            ConfigurationExecutionError at the commit, with the line of the call.
    """
    path = "/".join(["", *filter(None, [(config.route_prefix or "").strip("/")]), path.lstrip("/")])
    endpoint = _WithoutRequest(*map(config.maybe_dotted, (callback, factory, auth)))

    def register() -> None:
        # Wait for the commit: the default permission may be set after this call.
        needed = (
            config.registry.queryUtility(IDefaultPermission) if permission is None else permission
        )
        endpoint.permission = None if needed == NO_PERMISSION_REQUIRED else needed
        router = config.registry.setdefault(_KEY, Router())
        router.websocket(path, endpoint, auth=endpoint.auth, subprotocols=subprotocols, **options)

    config.action(("tina4_wsgi.websocket", path), register)


class websocket_config:
    """Declare a callback as a WebSocket route for `config.scan()`; arguments as `add_websocket`."""

    def __init__(self, path: str, **settings: Unpack[Declaration]) -> None:
        self.path = path
        self.settings = settings

    def __call__(self, callback: Declared) -> Declared:
        """Remember the callback; it stays as it is."""

        def register(scanner: venusian.Scanner, name: str, found: Callback) -> None:
            scanner.config.add_websocket(self.path, found, **self.settings)

        venusian.attach(callback, register, category="pyramid")
        return callback


def login_required(request: object) -> object:
    """Return the identity by the app's security policy; an `auth` for `Router.websocket`."""
    return get_current_request().identity


def permission_required(permission: str) -> Auth:
    """Return an `auth` for `Router.websocket` that wants a permission on the root of the app."""

    def auth(request: object) -> object:
        return _identity_with(get_current_request(), permission)

    return auth


class _WithoutRequest:
    """A callback of `add_websocket` as the router calls it: without the request."""

    def __init__(self, callback: Callback, factory: Factory | None, auth: Auth | None) -> None:
        self.permission: str | None = None
        self.factory = factory
        self._auth = auth
        self._callback: Callable[..., object] = callback
        self._takes_request = _takes_request(callback)
        callbacks.check_is_no_generator(callback)
        callbacks.check_is_no_coroutine(auth, "auth")
        self.__wrapped__ = callback  # the router's messages name it
        self.__signature__ = inspect.signature(_WithoutRequest.__call__.__get__(self))

    def __call__(self, connection: Connection, event: callbacks.Event, data: str | bytes) -> None:
        if self._takes_request:
            self._callback(get_current_request(), connection, event, data)
        else:
            self._callback(connection, event, data)

    def auth(self, _: object) -> object:
        """Ask for the permission, then who the user is."""
        request = get_current_request()
        identity = _identity_with(request, self.permission)
        return identity if self._auth is None else self._auth(request)


def _takes_request(callback: object) -> bool:
    try:
        callbacks.check(callback, _ARGUMENTS)
    except callbacks.CallbackError:
        try:
            callbacks.check(callback, _ARGUMENTS[1:])
        except callbacks.CallbackError:
            pass
        else:
            return False
        raise

    return True


def _identity_with(request: Request, permission: str | None) -> object:
    if permission is not None and not request.has_permission(permission, request.context):
        raise Refused(
            403 if request.is_authenticated else 401, "the permission for this WebSocket is missing"
        )
    # The permission has decided: a client without an identity may have it.
    return request.identity or ANONYMOUS


class _PyramidBridge(PassingBridge):
    def __init__(self, stack: WSGIApplication, app: PyramidApp) -> None:
        super().__init__(stack, (HTTPException,))
        self._app = app
        self._registry: Registry = app.registry
        self._iface = route_request_iface("tina4_wsgi")
        self._routes: dict[Route, PyramidRoute] = {}
        self._find_ordinary = app.routes_mapper or _find_nothing
        app.routes_mapper = self._find

        adapters = self._registry.registerAdapter
        adapters(_view, (IViewClassifier, self._iface, Interface), IView, name="")
        for kind in QUIET:
            for iface in (IRequest, self._iface.combined):
                adapters(
                    _answer_quietly,
                    (IExceptionViewClassifier, iface, implementedBy(kind)),
                    IView,
                    name="",
                )

    def routes(self) -> tuple[Route, ...]:
        """Return the routes that `add_websocket` declared."""
        router: Router | None = self._registry.get(_KEY)
        return () if router is None else router.routes

    def match(self, path: str) -> Match | None:
        """Find a route that `add_websocket` declared."""
        router: Router | None = self._registry.get(_KEY)
        return None if router is None else router.match_websocket(path)

    def admit(self, environ: Environ, match: Match) -> None:
        """Check that requests can't mix, and ask the tweens if no `auth` will."""
        if monkey.is_module_patched("threading") and not isinstance(manager, greenlet_local):
            raise ConfigError(
                "pyramid was imported before gevent patched threading, so that requests and "
                "transactions would mix: begin the app's module with "
                "`from gevent import monkey; monkey.patch_all()`, under gunicorn --preload too"
            )
        super().admit(environ, match)

    def json_default(self, value: object) -> object:
        """Ask the app's renderer "json": its adapters, and `__json__`."""
        renderer = self._registry.queryUtility(IRendererFactory, name="json")
        make = getattr(renderer, "_make_default", None)
        if make is None:
            raise TypeError(f"{type(value).__name__} can't be written as JSON")
        return make(get_current_request())(value)

    def send(self, event: Event, environ: Environ) -> None:
        """Send an event through the app.

        One inside another, as by `refresh_auth()` in a view, joins its transaction.
        """
        outer = get_current_request()
        if outer is not None and outer.environ.get("tm.active"):
            kept = {
                name: outer.environ[name]
                for name in ("tm.active", "tm.manager")
                if name in outer.environ
            }
            environ = {**environ, **kept}
        event.pass_through(self._stack, environ)

    def run_unhindered(self, event: Event, environ: Environ) -> None:
        """Run "close" past middleware and tweens, in a transaction if the app has them."""
        handle = self._app.orig_handle_request
        pyramid_tm = sys.modules.get("pyramid_tm")
        with self._app.request_context({**environ, KEY: event}) as request:
            if pyramid_tm is not None and hasattr(request, "tm"):
                handle = pyramid_tm.tm_tween_factory(handle, self._registry)

            try:
                handle(request)
            finally:
                self._app.finish_request(request)

    def _find(self, request: Request) -> dict[str, object]:
        """Stand in for the routes mapper, by which the app finds a route."""
        event: Event | None = request.environ.get(KEY)
        if event is None:
            return cast("dict[str, object]", self._find_ordinary(request))

        route, params = event.match
        made = self._routes.get(route)
        if made is None:
            made = self._routes[route] = self._route_of(route)
        return {"route": made, "match": dict(params)}

    def _route_of(self, route: Route) -> PyramidRoute:
        path = plain(route.rule)
        self._registry.registerUtility(self._iface, IRouteRequest, name=path)
        factory = route.callback.factory if isinstance(route.callback, _WithoutRequest) else None
        return PyramidRoute(
            path, path, factory=_that_may_fail_at_close(factory or self._app.root_factory)
        )


def _find_nothing(request: Request) -> dict[str, object]:
    return {"route": None, "match": None}


def _view(context: object, request: Request) -> Response:
    """Run the event of a request."""
    request.environ[KEY].run()
    return Response(status=204)


def _answer_quietly(error: Exception, request: Request) -> Response:
    """Answer an exception that is no error to the app; an exception view."""
    return Response(status=204)


def _that_may_fail_at_close(factory: Factory) -> Factory:
    """Return a factory that lets "close" run after its context has gone."""

    def make(request: Request) -> object:
        try:
            return factory(request)
        except HTTPException:
            if request.environ[KEY].name != "close":
                raise
            return None

    return make
