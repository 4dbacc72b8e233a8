"""Puts us into a Flask app as other extensions are: around its `wsgi_app`, so the app stays itself.

Servers, `flask run`, the test client and whatever else calls the app go through its `wsgi_app`, and
so through us. Middleware that is around `wsgi_app` by then lies within: handshakes and events pass
it. Middleware that comes later lies without: it sees handshakes, as it sees requests, and no
events.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

import flask

from ...app import App
from ...errors import UsageError
from . import stack
from .bridge import FlaskBridge, own_ways
from .routes import declare
from .users import login_required

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Unpack

    from ...routing.callbacks import Auth, Callback, WebsocketDecorator
    from ...settings import RouterSettings, RouteSettings
    from .routes import DeclaredRoute
    from .stack import LeftOut

_KEY = "tina4_wsgi.live"
"""Under which an app's `extensions` hold the `App` that serves its WebSockets."""


class Live:
    """Serves the WebSockets of one Flask app, or of each app that a factory makes.

    Args:
        app: the Flask app; None where `init_app` names it later.
        run_before_request, leave_out, settings: as for `wrap`.
    Raises:
        UsageError, ConfigError: as `init_app` does.

    Attributes:
        login_required: for `auth=`, the function of this package.
    """

    login_required = staticmethod(login_required)

    def __init__(
        self,
        app: flask.Flask | None = None,
        *,
        run_before_request: bool = False,
        leave_out: LeftOut = (),
        **settings: Unpack[RouterSettings],
    ) -> None:
        self._run_before_request = run_before_request
        self._leave_out = leave_out
        self._settings = settings
        self._declared: list[DeclaredRoute] = []
        self._apps: weakref.WeakSet[flask.Flask] = weakref.WeakSet()
        if app is not None:
            self.init_app(app)

    def init_app(self, app: flask.Flask) -> None:
        """Serve the WebSockets of an app from now on, with those declared so far.

        Raises:
            UsageError: this is no Flask app; it is live already, or wrapped; or it has served a
                request; or `leave_out` names middleware that isn't there or can't be taken out.
            ConfigError: a setting is unknown or out of its range.
        """
        _check(app)
        bridge = FlaskBridge(app, own_ways(app, self._leave_out), self._run_before_request)
        served = App(stack.without_us(app), bridge=bridge, **self._settings)
        bridge.listen_to_logouts(served)

        app.wsgi_app = served  # type: ignore[method-assign]  # as middleware is put there
        app.extensions[_KEY] = served
        for one in self._declared:
            one.put_on(app)
        self._apps.add(app)

    def websocket(
        self,
        path: str,
        *,
        blueprint: flask.Blueprint | None = None,
        endpoint: str | None = None,
        auth: Auth | None = None,
        subprotocols: Iterable[str] = (),
        subdomain: str | None = None,
        host: str | None = None,
        **options: Unpack[RouteSettings],
    ) -> WebsocketDecorator:
        """Serve a path as a WebSocket by `callback(connection, event, data)`.

        Args:
            path, endpoint, auth, subprotocols, subdomain, host, options: as for the function
                `websocket`.
            blueprint: whose prefix and subdomain apply; None for the apps themselves, those to come
                too.
        Raises:
            RouteError: something is wrong with the path, the callback or an option.
            UsageError: an app of this `Live` has served a request, so its map is closed.
        """

        def decorate(callback: Callback) -> Callback:
            declared = declare(
                path,
                callback,
                endpoint=endpoint,
                subdomain=subdomain,
                host=host,
                auth=auth,
                subprotocols=subprotocols,
                **options,
            )
            if blueprint is not None:
                declared.put_on(blueprint)
            else:
                self._declare(declared)
            return callback

        return decorate

    def _declare(self, declared: DeclaredRoute) -> None:
        for app in self._apps:
            if _has_served(app):
                raise UsageError(
                    f"{declared.route.location}: live.websocket({declared.route.path!r}) comes "
                    f"after the first request of {app!r}, expected before; import the module that "
                    "declares it where the app is made"
                )
        self._declared.append(declared)
        for app in self._apps:
            declared.put_on(app)


def check_is_not_live(app: flask.Flask, call: str) -> None:
    """Check that nobody serves the WebSockets of an app yet.

    Args:
        call: what is about to serve them, for the message.
    Raises:
        UsageError: a `Live` does.
    """
    if _KEY in app.extensions:
        raise UsageError(
            f"{call}: {app!r} is live already, by Live(app) or live.init_app(app); once is enough, "
            "serve the app as it is"
        )


def _check(app: object) -> None:
    if isinstance(app, flask.Blueprint):
        raise UsageError(
            f"Live takes the flask.Flask, not {app!r}; routes of a blueprint are declared by "
            "@live.websocket(path, blueprint=…)"
        )
    if not isinstance(app, flask.Flask):
        raise UsageError(f"Live takes a flask.Flask, not {app!r:.80}")

    check_is_not_live(app, "Live(app)")
    if isinstance(app.wsgi_app, App):
        raise UsageError(
            f"Live(app): app.wsgi_app of {app!r} is what wrap(app) returned; take one of the two"
        )
    if _has_served(app):
        raise UsageError(
            f"Live(app): {app!r} has served its first request, expected before that; call it "
            "where the app is made"
        )


def _has_served(app: flask.Flask) -> bool:
    # Flask shows it no other way since 2.3; `add_url_rule` asks it, too.
    return app._got_first_request
