"""WebSocket routes of a Pyramid app: each event has a request and a transaction of its own, ACLs are asked before 101.

    config.include("tina4_wsgi.contrib.pyramid")
    config.add_websocket("/ws/board/{id:int}", board, permission="view")
    app = wrap(config.make_wsgi_app())

An event goes the way of a view: the request is made by the app's request factory with the request methods of its
configuration, thread locals are pushed, `request.tm` begins where pyramid_tm is included, and commits when the
callback returns or aborts when it raises; finished callbacks run last. There is no response, so tweens, response
callbacks and what a session cookie would carry have no part in it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import venusian
from gevent import monkey
from gevent.local import local as greenlet_local
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPException
from pyramid.interfaces import IDefaultPermission
from pyramid.path import DottedNameResolver
from pyramid.registry import Registry
from pyramid.request import Request
from pyramid.router import Router as PyramidApp
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.threadlocal import get_current_request, manager

from .. import callbacks
from ..app import App
from ..errors import ConfigError, Refused, UsageError
from ..router import Match, Route, Router
from ..service import ANONYMOUS, Bridge, Environ, refuse

__all__ = ["add_websocket", "includeme", "login_required", "permission_required", "websocket_config", "wrap"]

Callback = Callable[..., object]
Auth = Callable[[Any], object]  # Any: a request, ours or Pyramid's
Factory = Callable[[Request], object]

_KEY = "tina4_wsgi.routes"
_ARGUMENTS = ("request", "connection", "event", "data")


def wrap(app: PyramidApp, **settings: Any) -> App:
    """Serve a Pyramid app together with its WebSocket routes and those of the `Router`.

    Args:
        app: what `config.make_wsgi_app()` gave.
        settings: keywords of `App`.
    Raises:
        UsageError: it is something else.
    """
    if not isinstance(app, PyramidApp):
        raise UsageError(f"{app!r} is no Pyramid app, expected what config.make_wsgi_app() gives")
    return App(app, bridge=_PyramidBridge(app), **settings)


def includeme(config: Configurator) -> None:
    """Add the directive `config.add_websocket`."""
    config.add_directive("add_websocket", add_websocket)


def add_websocket(
    config: Configurator, path: str, callback: Callback | str, *, permission: str | None = None,
    factory: Factory | str | None = None, auth: Auth | str | None = None, subprotocols: Iterable[str] = (),
    **options: Any,
) -> None:
    """Serve a path as a WebSocket; the directive `config.add_websocket`.

    Args:
        path: as in `Router.websocket`; the route prefix of an `include` is put before it.
        callback: `callback(request, connection, event, data)`, or without the request; or its dotted name.
        permission: that the request must have on the context before the 101; by default the default permission.
        factory: makes the context (`request.context`) of the request; by default the app's root factory.
        auth: `auth(request)` gives `connection.auth`, what isn't true refuses; by default that is `request.identity`.
        subprotocols, options: as in `Router.websocket`.
    Raises:
        CallbackError: the callback can't be called so. What else is wrong is a ConfigurationExecutionError
            at the commit, with the line of the call.
    """
    path = "/".join(["", *filter(None, [(config.route_prefix or "").strip("/")]), path.lstrip("/")])
    endpoint = _Endpoint(*map(config.maybe_dotted, (callback, factory, auth)))

    def register() -> None:
        # Not before the commit: the default permission may be set behind this call.
        needed = config.registry.queryUtility(IDefaultPermission) if permission is None else permission
        endpoint.permission = None if needed == NO_PERMISSION_REQUIRED else needed
        router = config.registry.setdefault(_KEY, Router())
        router.websocket(path, endpoint, auth=endpoint.auth, subprotocols=subprotocols, **options)

    config.action(("tina4_wsgi.websocket", path), register)


class websocket_config:
    """Declare a callback as a WebSocket route for `config.scan()`; takes what `add_websocket` takes."""

    def __init__(self, path: str, **settings: Any) -> None:
        self.path = path
        self.settings = settings

    def __call__(self, callback: Callback) -> Callback:
        """Remember the callback; it stays as it is."""

        def register(scanner: Any, name: str, found: Callback) -> None:  # Any: venusian ships no types
            scanner.config.add_websocket(self.path, found, **self.settings)

        venusian.attach(callback, register, category="pyramid")
        return callback


def login_required(request: object) -> object:
    """Let in who has an identity by the app's security policy; an `auth` for `Router.websocket`."""
    return get_current_request().identity


def permission_required(permission: str) -> Auth:
    """Make an `auth` for `Router.websocket` that asks for a permission on the root of the app."""

    def auth(request: object) -> object:
        return _identity_with(get_current_request(), permission)

    return auth


class _Endpoint:
    """A callback as `add_websocket` got it, for the router: without the request."""

    def __init__(self, callback: Callback, factory: Factory | None, auth: Auth | None) -> None:
        self.permission: str | None = None
        self.factory = factory
        self._auth = auth
        self._callback = callback
        self._takes_request = _takes_request(callback)
        callbacks.check_is_no_generator(callback)
        callbacks.check_is_no_coroutine(auth, "auth")
        self.__wrapped__ = callback  # what the router names in messages
        self.__signature__ = inspect.signature(_Endpoint.__call__.__get__(self))

    def __call__(self, connection: Any, event: str, data: Any) -> None:  # Any: a Connection, and its messages
        if self._takes_request:
            self._callback(get_current_request(), connection, event, data)
        else:
            self._callback(connection, event, data)

    def auth(self, _: object) -> object:
        """Ask for the permission, then who it is."""
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
        raise Refused(403 if request.is_authenticated else 401, "the permission for this WebSocket is missing")
    return request.identity or ANONYMOUS  # the permission has decided; nobody in particular may have it


class _PyramidBridge(Bridge):
    def __init__(self, app: PyramidApp) -> None:
        self._app = app
        self._registry: Registry = app.registry
        activate_hook = (self._registry.settings or {}).get("tm.activate_hook")
        self._is_tm_wanted = DottedNameResolver(None).maybe_resolve(activate_hook) if activate_hook else None

    def routes(self) -> tuple[Route, ...]:
        """Give the routes that `add_websocket` declared."""
        router: Router | None = self._registry.get(_KEY)
        return () if router is None else router.routes

    def match(self, path: str) -> Match | None:
        """Find a route that `add_websocket` declared."""
        router: Router | None = self._registry.get(_KEY)
        return None if router is None else router.match_websocket(path)

    def admit(self, environ: Environ, match: Match) -> None:
        """See that requests can't mix."""
        if monkey.is_module_patched("threading") and not isinstance(manager, greenlet_local):
            raise ConfigError(
                "pyramid was imported before gevent patched threading, so that requests and transactions would mix: "
                "begin the app's module with `from gevent import monkey; monkey.patch_all()`, "
                "under gunicorn --preload too"
            )

    @contextmanager
    def context(self, environ: Environ, event: str) -> Iterator[Request]:
        """Make a request, push it, begin a transaction; and end all that in the opposite order."""
        match: Match = environ["tina4_wsgi.match"]
        outer = get_current_request()
        with ExitStack() as stack:
            request = stack.enter_context(self._app.request_context(environ))
            stack.callback(_finish, request)
            request.matchdict = dict(match.params)
            try:
                stack.enter_context(self._transaction(request, outer))
                self._find_context(request, match, event)
                yield request
            except HTTPException as exc:
                # Such as HTTPNotFound from a factory; in "open" and "message" an error like any other.
                if event != "auth":
                    raise
                refuse(exc.code)

    def _find_context(self, request: Request, match: Match, event: str) -> None:
        endpoint = match.route.callback
        factory = endpoint.factory if isinstance(endpoint, _Endpoint) else None
        try:
            request.context = request.root = (factory or self._app.root_factory)(request)
        except HTTPException:
            if event != "close":
                raise
            request.context = request.root = None  # it is gone meanwhile; "close" must run all the same

    @contextmanager
    def _transaction(self, request: Request, outer: Request | None) -> Iterator[None]:
        """Do as pyramid_tm's tween does; nothing where it isn't included."""
        tm = getattr(request, "tm", None)
        is_wanted = self._is_tm_wanted is None or self._is_tm_wanted(request)
        # `refresh_auth()` inside of a view or callback: beginning anew would abort what goes on there.
        is_inside = outer is not None and outer.environ.get("tm.manager") is tm
        if tm is None or is_inside or not is_wanted:
            yield
            return
        request.environ.update({"tm.active": True, "tm.manager": tm})
        tm.begin().note(request.path_info)
        is_committed = False
        try:
            yield
            if not tm.isDoomed():
                tm.commit()
                is_committed = True
        finally:
            del request.environ["tm.active"], request.environ["tm.manager"]
            if not is_committed:
                tm.abort()


def _finish(request: Request) -> None:
    if request.finished_callbacks:
        request._process_finished_callbacks()
    vars(request).pop("context", None)  # as Pyramid's own router: it may hold the request in turn
