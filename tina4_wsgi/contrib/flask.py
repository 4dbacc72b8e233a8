"""WebSocket routes inside a Flask app: its contexts, its session, its users, its blueprints.

    @websocket(app, "/ws/board/{board:int}", auth=login_required)
    def live(connection, event, data): ...

    app = wrap(app)

Every event runs in a fresh app and request context of the handshake's address, so `request`, `g`, `session`,
`url_for` and `flask_login.current_user` work, and is torn down with it, so Flask-SQLAlchemy gives its connection
back. There is no response: `after_request` functions don't run, and cookies can't be set.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

import flask
from flask.sessions import NullSession, SecureCookieSession
from werkzeug.exceptions import HTTPException
from werkzeug.http import parse_cookie
from werkzeug.wsgi import get_host

from ..app import App
from ..errors import ConnectionClosed, Refused, UsageError
from ..matching import Match, Route
from ..params import Params
from ..router import Router
from ..service import Bridge, Environ

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from ..request import Request

Callback = TypeVar("Callback", bound=Callable[..., object])

_LOGIN_KEYS = frozenset({"_fresh", "_id", "_remember", "_remember_seconds", "_user_id"})
"""What flask-login keeps in a session, and may note there while it finds out who somebody is."""


class SessionWriteError(UsageError):
    """A callback wrote into a session that lives in a cookie, and after the upgrade no cookie can be set."""

    def __init__(self) -> None:
        super().__init__(
            "the session is a cookie and can't be written after the upgrade, nothing would carry it to the "
            "browser; keep it in connection.state or the database, write it in a view, or use a session "
            "that the server keeps (Flask-Session)"
        )


def wrap(app: flask.Flask, *, run_before_request: bool = False, **settings: Any) -> App:
    """Give a WSGI app that serves the WebSocket routes of a Flask app, and passes all else on to it untouched.

    Call it last, when middleware around `app.wsgi_app` is in place. Routes are those of `websocket`, and those of
    the router: the shared `Router` unless `router` says another.

    Args:
        run_before_request: ask the app's `before_request` functions at each handshake: what one of them answers
            or raises refuses it. They don't run again for events.
        settings: of `App`: `router`, `root`, and fields of `Config`.
    Raises:
        UsageError: `app` is no Flask app.
        ConfigError: a setting is unknown or out of its range.
    """
    if not isinstance(app, flask.Flask):
        raise UsageError(f"wrap({app!r:.80}), expected a flask.Flask; for another WSGI app there is tina4_wsgi.App")
    return App(_without_us(app), bridge=_FlaskBridge(app, run_before_request), **settings)


def websocket(
    app: flask.Flask | flask.Blueprint, path: str, *, endpoint: str | None = None,
    auth: Callable[..., Any] | None = None, subprotocols: Iterable[str] = (), **options: Any,
) -> Callable[[Callback], Callback]:
    """Serve a path of a Flask app or blueprint as a WebSocket by `callback(connection, event, data)`.

    The route stands in Flask's own map: a blueprint's prefix applies, `flask routes` lists it, in callbacks
    `request.endpoint`, `request.view_args` and `request.blueprint` are set, and `url_for(endpoint)` gives the
    address for a page, as "wss://example.org/ws/board/3".

    Args:
        path: as `Router.websocket` takes it; the same for `auth`, `subprotocols` and `options`.
        endpoint: for `url_for`; by default the callback's name.
    Raises:
        RouteError: something is wrong with the path, the callback or an option.
    """

    def decorate(callback: Callback) -> Callback:
        router = Router()
        router.websocket(path, callback, auth=auth, subprotocols=subprotocols, **options)
        (route,) = router.routes
        name = endpoint or getattr(callback, "__name__", None)
        if name is None:
            raise UsageError(f"{route.location}: {callback!r} has no name, expected endpoint=\"…\"")
        # Whatever the host: the origin policy and TRUSTED_HOSTS see to that.
        app.add_url_rule(
            route.rule, name, _Unwrapped(route), provide_automatic_options=False,
            websocket=True, subdomain="", strict_slashes=False, merge_slashes=False,
        )  # fmt: skip
        return callback

    return decorate


def login_required(request: Request) -> Any:  # Any: the app's own user object
    """Ask flask-login who this is: for `auth=`, so that `connection.auth` is the user.

    Nobody, and whose `is_active` is false, is refused: with 401 before the 101, with 4401 when asked again.

    Returns:
        The user, as loaded at the handshake or the last re-check; in callbacks `current_user` is a fresh one.
    """
    from flask_login import current_user  # not everybody has it

    return current_user._get_current_object() if current_user.is_authenticated and current_user.is_active else None


class _Unwrapped:
    """The view of a WebSocket route; Flask itself only calls it where nobody wrapped the app."""

    def __init__(self, route: Route) -> None:
        self.route = route

    def __call__(self, **params: object) -> Any:
        flask.abort(HTTPStatus.NOT_IMPLEMENTED, "This WebSocket needs tina4_wsgi.contrib.flask.wrap around the app.")


class _FlaskBridge(Bridge):
    def __init__(self, app: flask.Flask, runs_before_request: bool) -> None:
        self._app = app
        self._runs_before_request = runs_before_request

    def match(self, path: str) -> Match | None:
        url_map = self._app.url_map
        adapter = url_map.bind("" if url_map.host_matching else "localhost")
        try:
            endpoint, values = adapter.match(path, "GET", websocket=True)
        except (HTTPException, ValueError):  # ValueError: a number of more digits than Python reads
            return None
        view = self._app.view_functions.get(endpoint)
        return Match(view.route, Params(values)) if isinstance(view, _Unwrapped) else None

    def routes(self) -> Iterable[Route]:
        for rule in self._app.url_map.iter_rules():
            view = self._app.view_functions.get(rule.endpoint)
            if isinstance(view, _Unwrapped):
                yield dataclasses.replace(view.route, path=rule.rule, rule=rule.rule)

    def admit(self, environ: Environ, match: Match) -> None:
        get_host(environ, self._app.config.get("TRUSTED_HOSTS"))  # raises SecurityError, which is a 400
        if self._runs_before_request:
            with self.context(environ, "auth"):
                _ask_before_request(self._app)

    def context(self, environ: Environ, event: str) -> AbstractContextManager[object]:
        # Flask matches it again, as a WebSocket's.
        return _context(self._app, {**environ, "HTTP_CONNECTION": "Upgrade", "HTTP_UPGRADE": "websocket"}, event)


def _without_us(app: flask.Flask) -> WSGIApplication:
    """Give what to call for everything else, also where somebody writes `app.wsgi_app = wrap(app)`."""
    inner = app.wsgi_app

    def call(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        # `app` itself where that is the same: error trackers patch its `__call__`.
        return (app if app.wsgi_app == inner else inner)(environ, start_response)

    return call


@contextmanager
def _context(app: flask.Flask, environ: Environ, event: str) -> Iterator[None]:
    # An app context of its own: a callback that calls refresh_auth() is in one already, whose `g` knows a user.
    with app.app_context():
        context = app.request_context(environ)
        error: BaseException | None = None
        try:
            context.push()  # inside, for it may fail half-way, as when the session's store is gone
            if event != "auth":
                _guard(context.session)
            yield
            if event != "auth":
                _keep_session(app, context.session)
        except BaseException as exc:
            error = exc
            if isinstance(exc, Exception) and not isinstance(exc, HTTPException | ConnectionClosed | Refused):
                flask.got_request_exception.send(app, _async_wrapper=app.ensure_sync, exception=exc)
            raise
        finally:
            context.pop(error)


def _ask_before_request(app: flask.Flask) -> None:
    """Let the app's `before_request` functions refuse a handshake, as they would a request."""
    try:
        answer: Any = app.preprocess_request()
    except Exception as exc:  # noqa: BLE001  # for the app's own error handlers, which raise again what isn't theirs
        answer = app.handle_user_exception(exc)
    if isinstance(answer, HTTPException):
        raise answer
    if answer is not None:
        status = app.make_response(answer).status_code
        # A redirect to a login page leads a WebSocket nowhere.
        raise Refused(status if status >= HTTPStatus.BAD_REQUEST else HTTPStatus.FORBIDDEN, "the application refuses")


def _guard(session: Any) -> None:
    """Have writing to a session in a cookie raise where it is written."""
    if isinstance(session, SecureCookieSession) and not isinstance(session, NullSession):
        session.on_update = _refuse_write


def _refuse_write(session: Any) -> None:
    if "_login_user" in flask.g or not _is_login_note(session):
        raise SessionWriteError


def _keep_session(app: flask.Flask, session: Any) -> None:
    """Save a session that the server keeps, and refuse changes that would have gone into a cookie."""
    if not session.modified or isinstance(session, NullSession):
        return
    response = app.response_class()
    app.session_interface.save_session(app, session, response)
    cookies = flask.request.cookies
    for field in response.headers.getlist("Set-Cookie"):
        for name, value in parse_cookie(field.partition(";")[0]).items():
            if cookies.get(name) != value and not _is_login_note(session):
                raise SessionWriteError


def _is_login_note(session: Any) -> bool:
    """Say whether nothing has changed but what flask-login notes while it finds out who this is.

    It writes `_user_id` only for a remember cookie; else that was `login_user`, which wants to be kept.
    """
    app, request = flask.current_app, flask.request
    before: Any = app.session_interface.open_session(app, request) or {}
    changed = {key for key in {*session, *before} if session.get(key) != before.get(key)}
    is_remembered = app.config.get("REMEMBER_COOKIE_NAME", "remember_token") in request.cookies
    if "_user_id" in session and not is_remembered:
        return changed <= _LOGIN_KEYS - {"_user_id"}
    return changed <= _LOGIN_KEYS
