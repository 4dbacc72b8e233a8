"""Runs the events of WebSocket routes as Bottle runs views: between the hooks, by its own routing.

How it works. The bridge replaces `Router.match` and `trigger_hook` of the wrapped instance. For
requests both call on. For an event, which lies in the environ, the first returns a route that runs
the event, and the second limits what hooks may do to it.

Invariants: Bottle keeps its request in a `threading.local`, which must be gevent's, or requests of
different greenlets mix. Nothing here imports Bottle at run time: an app may have brought a copy.
"""

from __future__ import annotations

import io
import json
import logging
import sys
from contextlib import contextmanager
from functools import partial, update_wrapper
from typing import TYPE_CHECKING, Any, Protocol, cast

from gevent import monkey
from gevent.local import local as greenlet_local

from ...app import App
from ...errors import ConfigError, UsageError
from ..passage import KEY, QUIET, Event, PassingBridge, class_named, path_to, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FunctionType

    from _typeshed.wsgi import WSGIApplication
    from bottle import Bottle
    from bottle import Route as BottleRoute
    from typing_extensions import Unpack

    from ...routing.matching import Match, Route
    from ...settings import RouterSettings
    from ...websocket.bridge import Environ

logger = logging.getLogger("tina4_wsgi.contrib.bottle")

Module = Any  # `bottle`, or a copy of it


class _Property(Protocol):
    """A property of Bottle's around a `threading.local`."""

    fget: FunctionType
    fset: FunctionType
    fdel: FunctionType


def wrap(
    stack: WSGIApplication,
    *,
    app: Bottle | None = None,
    hooks_per_event: bool = True,
    **settings: Unpack[RouterSettings],
) -> App:
    """Serve a Bottle app together with the WebSocket routes of the `Router`.

    Args:
        stack: a `bottle.Bottle`, as `bottle.default_app()`; or middleware around one.
        app: the `Bottle` inside `stack`, where that is middleware: events pass the middleware, too.
        hooks_per_event: whether the app's hooks run for each event; if not, they run only before
            the 101 and when `auth` is asked.
        settings: keywords of `App`.
    Raises:
        UsageError: `stack` or `app` is something else.
    """
    inner = stack if app is None else app
    module = _module_of(inner)
    if module is None:
        raise UsageError(_no_bottle(inner, is_stack=app is None))

    bridge = _BottleBridge(stack, inner, module, hooks_per_event)
    return App(stack, bridge=bridge, **settings)


def is_bottle(app: object) -> bool:
    """Return whether this is a `bottle.Bottle`, of that module or a copy of it."""
    return _module_of(app) is not None


def _module_of(app: object) -> Module | None:
    """Return the module of an app's class: `bottle`, or a copy as pypiserver has; or None."""
    found = class_named(app, "Bottle", "router", "trigger_hook", "_handle")
    module = None if found is None or isinstance(app, type) else sys.modules.get(found.__module__)
    return module if hasattr(module, "LocalRequest") else None


def _no_bottle(given: object, *, is_stack: bool) -> str:
    where = path_to(given, is_bottle) if is_stack else None
    if where is not None:
        return (
            f"{given!r} is middleware around a Bottle app, expected that too: wrap(stack, "
            f"app=stack{where})"
        )

    return (
        f"{given!r} is no bottle.Bottle, expected one, or wrap(stack, app=the_bottle) for "
        "middleware around one; for any other WSGI app there is tina4_wsgi.App"
    )


class _BottleBridge(PassingBridge):
    def __init__(
        self, stack: WSGIApplication, app: Bottle, module: Module, hooks_per_event: bool
    ) -> None:
        super().__init__(stack, (module.HTTPResponse,))
        self._app = app
        self._module = module
        self._hooks_per_event = hooks_per_event
        self._routes: dict[Route, tuple[BottleRoute, list[object]]] = {}

        # `Bottle.__setattr__` takes no name twice, so write into the instance's own dict.
        own: dict[str, object] = app.__dict__
        app.router.match = partial(self._match_event, app.router.match)
        own["trigger_hook"] = partial(self._trigger_hook, app.trigger_hook)

    def admit(self, environ: Environ, match: Match) -> None:
        """Check that requests can't mix, and ask the hooks if no `auth` will."""
        if monkey.is_module_patched("threading") and not are_greenlet_local(self._module):
            raise ConfigError(
                "bottle was imported before gevent patched threading, so that requests would mix: "
                "begin the app's module with `from gevent import monkey; monkey.patch_all()`, "
                "under gunicorn --preload too"
            )
        super().admit(environ, match)

    def json_default(self, value: object) -> object:
        """Ask the app's JSON plugin."""
        for plugin in self._app.plugins:
            dumps = getattr(plugin, "json_dumps", None)
            if dumps is not None:
                return json.loads(dumps(value))
        raise TypeError(f"{type(value).__name__} can't be written as JSON")

    def send(self, event: Event, environ: Environ) -> None:
        """Send an event through the app with a request of its own, and log an exception once.

        Bottle writes exceptions to `wsgi.errors`.
        """
        errors = io.StringIO()
        with _fresh_locals(self._module):
            event.pass_through(self._stack, {**environ, "wsgi.errors": errors})
        if event.error is None and event.failure is None:
            environ["wsgi.errors"].write(errors.getvalue())

    def run_unhindered(self, event: Event, environ: Environ) -> None:
        """Run "close" with a request bound, but past hooks and middleware."""
        module = self._module

        with _fresh_locals(module):
            path = environ["PATH_INFO"].encode("latin-1").decode(errors="ignore")  # unlike PEP 3333
            bound = {
                **environ,
                "PATH_INFO": path,
                "bottle.raw_path": environ["PATH_INFO"],
                "bottle.app": self._app,
            }
            module.request.bind({**bound, "route.url_args": dict(event.match.params)})
            module.response.bind()
            event.run()

    def _match_event(self, match: Callable[[Environ], object], environ: Environ) -> object:
        """Stand in for `Router.match`, by which the app finds its view."""
        event = environ.get(KEY)
        if event is None:
            return match(environ)
        return self._route_of(event.match.route), dict(event.match.params)

    def _route_of(self, route: Route) -> BottleRoute:
        """Return Bottle's own kind of route, with the plugins that the app has now."""
        made, plugins = self._routes.get(route, (None, None))
        if made is None or plugins != self._app.plugins:
            made = self._module.Route(
                self._app, plain(route.rule), "GET", _view_of(route, self._module)
            )
            self._routes[route] = made, list(self._app.plugins)
        return made

    def _trigger_hook(
        self, trigger: Callable[..., object], name: str, *args: object, **kwargs: object
    ) -> object:
        """Stand in for `Bottle.trigger_hook`: no hook stops a "close".

        Without `hooks_per_event`, hooks run for "auth" alone.
        """
        event = _bound_event(self._module) if name.endswith("_request") else None
        if event is None:
            return trigger(name, *args, **kwargs)
        if event.name != "auth" and not self._hooks_per_event:
            return []

        try:
            return trigger(name, *args, **kwargs)
        except Exception as exc:
            if event.name != "close" or name != "before_request":
                raise
            if not isinstance(exc, self._module.HTTPResponse):
                logger.exception("before_request raised at 'close'")
            return []


def _view_of(route: Route, module: Module) -> Callable[..., object]:
    """Return a view that runs the event bound to its greenlet."""

    def view(**params: object) -> object:
        event: Event = module.request.environ[KEY]
        try:
            event.run()
        except QUIET:
            pass
        except module.HTTPResponse as answer:
            # Returned, it is no error to trackers, and error handlers are still asked.
            return answer
        return module.HTTPResponse(status=204)

    update_wrapper(view, route.callback)
    return view


def _bound_event(module: Module) -> Event | None:
    try:
        return cast("Event | None", module.request.environ.get(KEY))
    except RuntimeError:  # nothing is bound: hooks are called outside a request
        return None


def _locals_of(module: Module) -> list[tuple[object, str]]:
    """Return the properties of `request` and `response` that each wrap a `threading.local`."""
    return [
        (thing, name)
        for thing in (module.request, module.response)
        for name, value in vars(type(thing)).items()
        if isinstance(value, property)
    ]


@contextmanager
def _fresh_locals(module: Module) -> Iterator[None]:
    """Put aside the bound request, and bring it back: a view may call `refresh_auth()`."""
    bound = [
        (thing, _local(thing, name), _value(thing, name)) for thing, name in _locals_of(module)
    ]

    try:
        yield
    finally:
        for thing, one, values in bound:
            if values:
                one.fset(thing, *values)
            else:
                one.fdel(thing)


def _local(thing: object, name: str) -> _Property:
    return cast("_Property", vars(type(thing))[name])


def _value(thing: object, name: str) -> tuple[object, ...]:
    """Return the bound value as a tuple of one, or an empty tuple."""
    try:
        return (_local(thing, name).fget(thing),)
    except RuntimeError:
        return ()


def are_greenlet_local(module: Module) -> bool:
    """Return whether each greenlet has a request of its own."""
    return all(
        isinstance(cell.cell_contents, greenlet_local)
        for thing, name in _locals_of(module)
        for cell in _local(thing, name).fget.__closure__ or ()
    )


def renew_locals(module: Module) -> None:
    """Make the locals of what is now `threading.local`; only before anything is served."""
    for thing, name in _locals_of(module):
        setattr(type(thing), name, module._local_property())
