"""Two methods of a Flask app, replaced on the instance: what stands at the inner end of its
middleware.

`app.wsgi_app` may be any chain of middleware. At its end Flask's own `wsgi_app` makes the contexts
and calls `full_dispatch_request`. An event of a WebSocket goes down the same chain as a request
that carries its passage in the environ, and there the passage takes the place of the dispatch. So
it sees what a view sees.

A request without a passage pays for one look into its environ.
"""

from __future__ import annotations

from typing import Any, Protocol

import flask

from . import matching

KEY = "tina4_wsgi.contrib.flask.passage"
"""Where an environ has its passage; no header gets a name without `HTTP_`."""


class Passage(Protocol):
    """An event on its way; `arguments` are what Flask hands to the methods of the app, beside the
    error.
    """

    is_reached: bool

    def run(self, arguments: tuple[Any, ...]) -> Any:
        """Run the event, and return a WSGI application that answers it."""

    def fail(self, error: Exception) -> Any:
        """Take note of the error that ended the event, and return a WSGI application."""


def install(app: flask.Flask) -> None:
    """Have an app run the events of its WebSockets; harmless if it does already."""
    if "tina4_wsgi" in app.extensions:
        return
    app.extensions["tina4_wsgi"] = True
    dispatch, handle = app.full_dispatch_request, app.handle_exception

    def full_dispatch_request(*arguments: Any) -> Any:
        request = flask.request._get_current_object()  # type: ignore[attr-defined]  # the type is not the proxy's
        passage: Passage | None = request.environ.get(KEY)
        # One that is reached already is somebody's copy of an environ, for a request of its own.
        if passage is not None and not passage.is_reached:
            return passage.run(arguments)
        if request.routing_exception is not None:
            request.routing_exception = matching.http_error(app, request)
        return dispatch(*arguments)

    def handle_exception(*arguments: Any) -> Any:
        passage: Passage | None = flask.request.environ.get(KEY)
        return handle(*arguments) if passage is None else passage.fail(arguments[-1])

    # Flask 3.2 hands them its context, earlier ones nothing.
    app.full_dispatch_request = full_dispatch_request  # type: ignore[method-assign]
    app.handle_exception = handle_exception  # type: ignore[method-assign,assignment]
