"""WebSocket routes inside a Flask app: its contexts, its session, its users, its blueprints.

    live = Live(app)

    @live.websocket("/ws/board/{board:int}", auth=live.login_required)
    def board(connection, event, data): ...

Or, with the app as it is and a server's entry of its own:

    @websocket(app, "/ws/board/{board:int}", auth=login_required)
    def board(connection, event, data): ...

    served = wrap(app)

Every event is a request of the handshake's address that goes through the middleware in
`app.wsgi_app`, in a fresh app and request context. So `request`, `g`, `session`, `url_for` and
`flask_login.current_user` work as in a view, and the context is torn down behind the event, so
Flask-SQLAlchemy gives its connection back. There is no response: `after_request` functions don't
run, and cookies can't be set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import flask

from ...app import App
from ...errors import UsageError
from . import stack as stacks
from .bridge import FlaskBridge, Ways, own_ways
from .live import Live, check_is_not_live
from .routes import path_for, websocket
from .sessions import SessionWriteError
from .users import login_required

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication
    from typing_extensions import Unpack

    from ...settings import RouterSettings
    from .stack import LeftOut

__all__ = ["Live", "SessionWriteError", "login_required", "path_for", "websocket", "wrap"]


def wrap(
    stack: WSGIApplication | None = None,
    *,
    app: flask.Flask | None = None,
    run_before_request: bool = False,
    leave_out: LeftOut = (),
    **settings: Unpack[RouterSettings],
) -> App:
    """Return a WSGI app that serves the WebSocket routes of a Flask app, and all else by it.

    Call it last, when middleware in `app.wsgi_app` is in place: handshakes and events pass it too.
    Routes are those of `websocket`, and those of the router: the shared `Router` unless `router`
    names another.

    Args:
        stack: the Flask app, or middleware around it.
        app: the Flask app, where `stack` is middleware: `wrap(stack, app=flask_app)`.
        run_before_request: ask the app's `before_request` functions at each handshake: an answer or
            an exception of one of them refuses it. They don't run again for events.
        leave_out: middleware that events and re-checks don't pass, such as what records requests;
            classes or dotted names. Handshakes pass it.
        settings: of `App`: `router`, `root`, and fields of `Config`.
    Raises:
        UsageError: there is no Flask app, a `Live` is in it already, or `leave_out` names
            middleware that isn't there or can't be taken out.
        ConfigError: a setting is unknown or out of its range.
    """
    framework = _framework(stack, app)
    check_is_not_live(framework, "wrap(app)")
    if stack is None or stack is framework:
        serve, ways = stacks.without_us(framework), own_ways(framework, leave_out)
    else:
        of_events = stacks.without(stack, framework, leave_out) if leave_out else stack
        serve, ways = stack, Ways(stack, of_events)

    bridge = FlaskBridge(framework, ways, run_before_request)
    wrapped = App(serve, bridge=bridge, **settings)
    bridge.listen_to_logouts(wrapped)
    return wrapped


def _framework(stack: object, app: object) -> flask.Flask:
    """Find the Flask app in the arguments of `wrap`."""
    if app is None:
        if isinstance(stack, flask.Flask):
            return stack
        raise UsageError(
            f"wrap({stack!r:.80}), expected a flask.Flask; for another WSGI app there is "
            "tina4_wsgi.App, and where a Flask app stands inside of middleware write "
            "wrap(stack, app=flask_app)"
        )

    if not isinstance(app, flask.Flask):
        raise UsageError(
            f"wrap(…, app={app!r:.80}), expected the flask.Flask that stands inside of the "
            "middleware"
        )
    if stack is not None and not callable(stack):
        raise UsageError(
            f"wrap({stack!r:.80}, app=…), expected the WSGI application that stands around the "
            "Flask app"
        )
    return app
