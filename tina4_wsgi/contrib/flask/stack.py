"""The middleware of a Flask app that an event passes: all of it, or without some."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from types import MethodType
from typing import TYPE_CHECKING, Any

import flask

from ...errors import UsageError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_INSIDE = ("wsgi_app", "app", "application", "_app")
"""The attributes in which middleware keeps what it wraps."""

Layer = Any  # one middleware of a stack, or the app: any callable with any attributes

LeftOut = Iterable[type | str]


class Chained:
    """A Flask app with another chain in the place of its `wsgi_app`.

    Calling it calls Flask's `__call__`, which error trackers patch.
    """

    def __init__(self, app: flask.Flask, wsgi_app: WSGIApplication) -> None:
        self._app = app
        self.wsgi_app = wsgi_app

    def __getattr__(self, name: str) -> object:
        return getattr(self._app, name)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        call: Callable[..., Iterable[bytes]] = flask.Flask.__call__
        return call(self, environ, start_response)


def is_bare(app: flask.Flask) -> bool:
    """Return whether nothing between a server and Flask's own code could change an environ."""
    is_own = getattr(app.wsgi_app, "__func__", None) is flask.Flask.wsgi_app
    return is_own and type(app).__call__ is flask.Flask.__call__


def without_us(app: flask.Flask) -> WSGIApplication:
    """Return what serves all else, also after `app.wsgi_app` has become ours."""
    inner = app.wsgi_app

    def call(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        # Call `app` itself if nothing has changed: error trackers patch its `__call__`.
        return (app if app.wsgi_app == inner else inner)(environ, start_response)

    return call


def own_end(app: flask.Flask) -> WSGIApplication:
    """Return an app without any of the middleware in its `wsgi_app`."""
    return Chained(app, MethodType(flask.Flask.wsgi_app, app))


def without(stack: WSGIApplication, app: flask.Flask, left_out: LeftOut) -> WSGIApplication:
    """Copy a stack without some of its middleware.

    Middleware around what is left out is copied too; the rest is shared.

    Args:
        stack: what wraps `app`, or `app` itself.
        left_out: classes of middleware, or their dotted names.
    Raises:
        UsageError: middleware isn't there, or can't be found because what wraps it keeps it under
            an unknown name.
    """
    names = tuple(left_out) if not isinstance(left_out, str) else (left_out,)
    walk = _Walk(app, names)
    copied: WSGIApplication = walk.without(stack)

    missing = [
        _name_of(one) if isinstance(one, type) else one for one in names if one not in walk.found
    ]
    if missing:
        raise UsageError(
            f"leave_out names {', '.join(map(repr, missing))}, expected middleware on the way to "
            f"the Flask app, each keeping what it wraps as one of {', '.join(_INSIDE)}; met: "
            f"{', '.join(walk.passed) or 'none'}{walk.stop}"
        )
    return copied


class _Walk:
    """One walk down a stack.

    Attributes:
        found: those of `names` that were met.
        passed: the names of the middleware met.
        stop: a clause about the layer where the walk ended early, "" if it came to the app.
    """

    def __init__(self, app: flask.Flask, names: tuple[type | str, ...]) -> None:
        self.found: set[type | str] = set()
        self.passed: list[str] = []
        self.stop = ""
        self._app = app
        self._names = names

    def without(self, layer: Layer) -> Layer:
        if layer is self._app:
            below = self.without(layer.wsgi_app)
            return (
                layer
                if below is layer.wsgi_app or below == layer.wsgi_app
                else Chained(layer, below)
            )
        if getattr(layer, "__self__", None) is self._app:
            return layer

        attribute = next((name for name in _INSIDE if callable(getattr(layer, name, None))), None)
        if attribute is None:
            self.stop = f"; behind {layer!r:.120} it can't be followed"
            return layer
        self.passed.append(_name_of(type(layer)))
        inside = getattr(layer, attribute)
        below = self.without(inside)
        if self._is_left_out(layer):
            return below
        return layer if below is inside or below == inside else _with(layer, attribute, below)

    def _is_left_out(self, layer: object) -> bool:
        found = [one for one in self._names if _is(layer, one)]
        self.found.update(found)
        return bool(found)


def _is(layer: object, wanted: type | str) -> bool:
    if isinstance(wanted, type):
        return isinstance(layer, wanted)
    return any(_name_of(one) == wanted for one in type(layer).__mro__)


def _with(layer: Layer, attribute: str, below: WSGIApplication) -> Layer:
    try:
        copied = copy.copy(layer)
        setattr(copied, attribute, below)
    except Exception as exc:
        raise UsageError(
            f"leave_out needs a copy of {layer!r:.120}, which can't be made: {exc}"
        ) from exc
    return copied


def _name_of(one: type) -> str:
    return f"{one.__module__}.{one.__qualname__}"
