"""Registers routes, for HTTP and WebSocket alike.

Every mistake that can be seen at registration is refused there, with file and line of the callback
and the right spelling. A router is changed only when a registration has passed all checks.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
from types import MethodType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar, cast, overload

from ..config import Config
from ..errors import ConfigError, RouteError, UsageError
from ..protocol.grammar import is_token
from . import callbacks, pattern
from .matching import ANY_METHOD, Match, Route, RouteMap
from .params import Params
from .pattern import PathPattern, PatternError
from .registrations import registrations
from .rooms import OPTIONS, Rooms

if TYPE_CHECKING:
    # To a checker, a class method too works on the class and on an instance.
    from builtins import classmethod as _on_default
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    from typing_extensions import Unpack

    from ..settings import RoomSettings, RouteSettings
    from .callbacks import (
        Auth,
        Callback,
        Handler,
        HandlerDecorator,
        HttpHandler,
        WebsocketCallback,
        WebsocketDecorator,
    )

logger = logging.getLogger("tina4_wsgi.router")

__all__ = ["Match", "Params", "Route", "RouteGroup", "Router"]

_HTTP_ARGUMENTS = ("request", "response")
_WEBSOCKET_ARGUMENTS = ("connection", "event", "data")
_AUTH_ARGUMENTS = ("request",)

T_co = TypeVar("T_co", covariant=True)

Self = Any  # a _Registrar; checkers take it for the class, see `_on_default`


class HttpRegistration(Protocol):
    """`get`, `post` and the others: a decorator, or a call with the handler."""

    @overload
    def __call__(self, path: str, handler: None = None) -> HandlerDecorator: ...
    @overload
    def __call__(self, path: str, handler: HttpHandler) -> HttpHandler: ...


if not TYPE_CHECKING:

    class _on_default:
        """A method that works on an instance; called on the class, it gets the class's `default`.

        Checkers and editors take it for a class method, whose docstring they show.
        """

        def __init__(self, function):
            self.__func__ = function
            self.__doc__ = function.__doc__

        def __get__(self, instance, owner):
            return MethodType(self.__func__, owner.default if instance is None else instance)


class _PropertyOnDefault(Generic[T_co]):
    """A property that works on an instance, and on the class by its `default`."""

    def __init__(self, function: Callable[[Self], T_co]) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    def __get__(self, instance: object | None, owner: type[Router]) -> T_co:
        return self._function(owner.default if instance is None else instance)


def _http_registration(*methods: str) -> HttpRegistration:
    def register(self: Self, path: str, handler: Handler | None = None) -> object:
        registrar: _Registrar = self
        _refuse_missing_path(path, methods[0].lower() if methods != (ANY_METHOD,) else "any")

        def decorate(handler: Handler) -> Handler:
            registrar._add(_http_route(registrar._prefix, path, handler, methods))
            return handler

        return decorate if handler is None else decorate(handler)

    names = "any method" if methods == (ANY_METHOD,) else " and ".join(methods)
    register.__doc__ = f"Answer {names} of a path by `handler(request, response)`."
    return cast("HttpRegistration", _on_default(register))


class _Registrar:
    """The registration methods that a router and a group have in common."""

    _prefix: str = ""

    get = _http_registration("GET", "HEAD")
    post = _http_registration("POST")
    put = _http_registration("PUT")
    patch = _http_registration("PATCH")
    delete = _http_registration("DELETE")
    any = _http_registration(ANY_METHOD)

    @overload
    @_on_default
    def websocket(
        self: Self,
        path: str,
        callback: None = None,
        *,
        auth: Auth | None = None,
        subprotocols: Iterable[str] = (),
        **options: Unpack[RouteSettings],
    ) -> WebsocketDecorator: ...

    @overload
    @_on_default
    def websocket(
        self: Self,
        path: str,
        callback: WebsocketCallback,
        *,
        auth: Auth | None = None,
        subprotocols: Iterable[str] = (),
        **options: Unpack[RouteSettings],
    ) -> WebsocketCallback: ...

    @_on_default
    def websocket(
        self: Self,
        path: str,
        callback: Callback | None = None,
        *,
        auth: Auth | None = None,
        subprotocols: Iterable[str] = (),
        **options: Unpack[RouteSettings],
    ) -> object:
        """Serve a path as a WebSocket by `callback(connection, event, data)`.

        Args:
            auth: called with the request before the 101. What it returns becomes
                `connection.auth`; None, False and whatever else is not true refuses with 401, and
                an `HTTPException` with its own status. `ANONYMOUS` lets a client in whom the
                application doesn't know.
            subprotocols: those that this route speaks, the preferred one first.
            options: settings of `Config` for this route alone, such as `max_message_bytes`.
        Raises:
            RouteError: something is wrong with the path, the callback or an option.
        """
        registrar: _Registrar = self
        _refuse_missing_path(path, "websocket")

        def decorate(callback: Callback) -> Callback:
            registrar._add(
                _websocket_route(registrar._prefix, path, callback, auth, subprotocols, options)
            )
            return callback

        return decorate if callback is None else decorate(callback)

    @_on_default
    def group(self: Self, prefix: str) -> RouteGroup:
        """Return a group, which registers routes under a common prefix.

        It may stand in a `with` block: `with Router.group("/api") as api:`.

        Raises:
            RouteError: the prefix isn't a path.
        """
        registrar: _Registrar = self
        try:
            pattern.parse(prefix)
            return RouteGroup(registrar._router, pattern.join(registrar._prefix, prefix))
        except PatternError as exc:
            raise RouteError(f"group: {exc}") from exc

    @_on_default
    def include(self: Self, router: Router, prefix: str = "") -> None:
        """Take in all routes that another router has now, under a prefix.

        Raises:
            RouteError: one of them can't be registered here; then none is.
        """
        registrar: _Registrar = self
        prefix = pattern.join(registrar._prefix, prefix)
        registrar._router._add_all([_moved(route, prefix) for route in router.routes])
        for room in router.rooms.declared:
            registrar._router._rooms.declare(room.pattern, room.options)
        registrations.tell()

    def _add(self, prepared: tuple[Route, PathPattern]) -> None:
        self._router._add_all([prepared])

    @property
    def _router(self) -> Router:
        raise NotImplementedError


class Router(_Registrar):
    """Which callback serves which path; every method works on the class too, on `Router.default`.

    Lock: `_lock` guards `_taken` and the order of `_routes`. A route may be added while another
    greenlet or thread matches a path.
    """

    default: ClassVar[Router]

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._routes: tuple[Route, ...] = ()
        self._taken: dict[tuple[str, str], tuple[Route, ...]] = {}  # by kind and shape
        self._map = RouteMap()
        self._rooms = Rooms()

    @property
    def _router(self) -> Router:
        return self

    @_PropertyOnDefault
    def rooms(self) -> Rooms:
        """The named rooms that keep history."""
        return self._rooms

    @_on_default
    def room(self: Self, pattern: str, *, history: int, **options: Unpack[RoomSettings]) -> None:
        """Keep history of named rooms, as a route does of its paths.

        Example: `Router.room("orders:{id}", history=100)`

        Args:
            pattern: the name of a room, or a pattern: `{id}` stands for any text.
            history: how many messages are kept of each room.
            options: `history_s` and `replay`, see `Config`.
        Raises:
            RouteError: the pattern isn't well formed or was declared before, or an option is wrong.
        """
        registrar: Router = self
        given = {"history": history, **options}
        try:
            if unknown := sorted(set(given) - OPTIONS):
                raise UsageError(
                    f"unknown room setting {unknown[0]!r}, expected one of: "
                    f"{', '.join(sorted(OPTIONS))}"
                )
            Config().for_route(given)
            if not history:
                raise UsageError("history=0 keeps nothing, expected 1 or more")
            registrar._rooms.declare(pattern, given)
        except (UsageError, ConfigError) as exc:
            raise RouteError(f"room {pattern!r} refused: {exc}") from exc
        registrations.tell()

    @_PropertyOnDefault
    def routes(self) -> tuple[Route, ...]:
        """All routes, in the order of registration."""
        return self._routes

    @_on_default
    def match_http(self: Self, path: str, method: str) -> Match:
        """Find the route of a request.

        Args:
            path: decoded, with its leading slash.
            method: in capitals.
        Raises:
            NotFound: no route has this path.
            MethodNotAllowed: only routes for other methods have it.
            WebsocketMismatch: only a WebSocket route has it.
        """
        routes: RouteMap = self._map
        return routes.match_http(path, method)

    @_on_default
    def match_websocket(self: Self, path: str) -> Match | None:
        """Find the WebSocket route of a path, None if there is none.

        Args:
            path: decoded and normal, as `paths.normal_path` returns it.
        Raises:
            Refused: 404, the path is spelled in another way than its route writes it, as "01" for
                the number 1.
        """
        routes: RouteMap = self._map
        return routes.match_websocket(path)

    def _add_all(self, prepared: list[tuple[Route, PathPattern]]) -> None:
        with self._lock:
            taken = dict(self._taken)
            for route, parsed in prepared:
                _take(taken, route, parsed)

            for route, parsed in prepared:
                self._map.add(route, parsed)
            self._taken = taken
            self._routes += tuple(route for route, _ in prepared)
        registrations.tell()


Router.default = Router()


class RouteGroup(_Registrar):
    """Registers routes of a router under a prefix; made by `Router.group`."""

    def __init__(self, router: Router, prefix: str) -> None:
        self._owner = router
        self._prefix = prefix

    def __enter__(self) -> RouteGroup:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End nothing: the block only shows which routes belong together."""

    @property
    def _router(self) -> Router:
        return self._owner


def _http_route(
    prefix: str, path: str, handler: Callable[..., object], methods: tuple[str, ...]
) -> tuple[Route, PathPattern]:
    where = callbacks.location(handler)
    try:
        parsed = pattern.parse(pattern.join(prefix, path))
        callbacks.check(handler, _HTTP_ARGUMENTS, "handler")
    except UsageError as exc:
        raise _refused(where, path, exc) from exc

    route = Route(parsed.path, parsed.rule, "http", frozenset(methods), handler, location=where)
    return route, parsed


def _websocket_route(
    prefix: str,
    path: str,
    callback: Callable[..., object],
    auth: Auth | None,
    subprotocols: Iterable[str],
    options: Mapping[str, object],
) -> tuple[Route, PathPattern]:
    where = callbacks.location(callback)
    try:
        parsed = pattern.parse(pattern.join(prefix, path))
        callbacks.check(callback, _WEBSOCKET_ARGUMENTS)
        callbacks.check_is_no_generator(callback)
        if auth is not None:
            callbacks.check(auth, _AUTH_ARGUMENTS, "auth")
            callbacks.check_is_no_generator(auth, "auth")
        names = _subprotocols(subprotocols)
        Config().for_route(options)
    except (UsageError, ConfigError) as exc:
        raise _refused(where, path, exc) from exc

    _warn_of_misspelt_events(callback, where, path)
    route = Route(
        parsed.path,
        parsed.rule,
        "websocket",
        frozenset({"GET"}),
        callback,
        auth,
        names,
        dict(options),
        where,
    )
    return route, parsed


def _warn_of_misspelt_events(callback: Callable[..., object], where: str, path: str) -> None:
    for text, meant in callbacks.misspelt_events(callback):
        logger.warning(
            "%s: route %r compares its event with %r, which never comes; did you mean %r?",
            where,
            path,
            text,
            meant,
        )


def _moved(route: Route, prefix: str) -> tuple[Route, PathPattern]:
    """Return a route of another router as it is under a prefix here."""
    try:
        parsed = pattern.parse(pattern.join(prefix, route.path))
    except PatternError as exc:
        raise _refused(route.location, route.path, exc) from exc
    return dataclasses.replace(route, path=parsed.path, rule=parsed.rule), parsed


def _subprotocols(names: Iterable[str]) -> tuple[str, ...]:
    if isinstance(names, str):
        raise UsageError(f"subprotocols={names!r}, expected a list of names")
    found = tuple(names)
    for name in found:
        if not isinstance(name, str) or not is_token(name):
            raise UsageError(f"subprotocol {name!r}, expected letters, digits, dots and dashes")
    if len(set(found)) < len(found):
        raise UsageError(f"subprotocols={found!r}, expected each name once")
    return found


def _take(
    taken: dict[tuple[str, str], tuple[Route, ...]], route: Route, parsed: PathPattern
) -> None:
    key = (route.kind, parsed.shape)
    others = taken.get(key, ())
    for other in others:
        common = route.methods & other.methods
        if common or ANY_METHOD in route.methods | other.methods:
            raise RouteError(
                f"{route.location}: {_name(route)} is registered already, as {_name(other)} "
                f"at {other.location}; expected one callback for each path and method"
            )
    taken[key] = (*others, route)


def _name(route: Route) -> str:
    if route.kind == "websocket":
        return f"websocket {route.path!r}"
    methods = "any method" if ANY_METHOD in route.methods else "/".join(sorted(route.methods))
    return f"{methods} {route.path!r}"


def _refuse_missing_path(path: object, method: str) -> None:
    """Check that a decorator was given its path.

    Raises:
        RouteError: the decorated function or class stands in the place of the path, as under a bare
            `@Router.websocket`, which would silently register nothing.
    """
    if callable(path):
        raise RouteError(
            f"{callbacks.location(path)}: @{method} has no path, "
            f'expected parentheses with one, write @Router.{method}("/path")'
        )


def _refused(where: str, path: str, exc: Exception) -> RouteError:
    return RouteError(f"{where}: route {path!r} refused: {exc}")
