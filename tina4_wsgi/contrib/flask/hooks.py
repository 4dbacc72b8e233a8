"""Replaces two methods of a Flask app on the instance, so that events run where views do.

`app.wsgi_app` may be any chain of middleware. At its end Flask's own `wsgi_app` makes the contexts
and calls `full_dispatch_request`. An event of a WebSocket goes down the same chain as a request
with a passage in its environ, and the passage takes the place of the dispatch. So it sees what a
view sees.

A request without a passage pays for one look into its environ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import flask

from . import matching

if TYPE_CHECKING:
    from .passage import FlaskEvent, Sighting

KEY = "tina4_wsgi.contrib.flask.passage"
"""The passage's key in an environ; no header gets a name without `HTTP_`."""


def install(app: flask.Flask) -> None:
    """Make an app run the events of its WebSockets; a second call changes nothing."""
    if "tina4_wsgi" in app.extensions:
        return
    app.extensions["tina4_wsgi"] = True
    dispatch, handle = app.full_dispatch_request, app.handle_exception

    # Flask 3.2 passes its context to both methods, earlier releases pass nothing.

    def full_dispatch_request(*arguments: Any) -> object:
        # The proxy's own method; the type is that of the request.
        request = flask.request._get_current_object()  # type: ignore[attr-defined]
        passage: FlaskEvent | Sighting | None = request.environ.get(KEY)
        # If it is called already, somebody has copied the environ for a request of their own.
        if passage is not None and not passage.is_called:
            return passage.dispatch(arguments)
        if request.routing_exception is not None:
            request.routing_exception = matching.http_error(app, request)
        return dispatch(*arguments)

    def handle_exception(*arguments: Any) -> object:
        passage: FlaskEvent | Sighting | None = flask.request.environ.get(KEY)
        return handle(*arguments) if passage is None else passage.fail(arguments[-1])

    app.full_dispatch_request = full_dispatch_request  # type: ignore[method-assign,assignment]
    app.handle_exception = handle_exception  # type: ignore[method-assign,assignment]
