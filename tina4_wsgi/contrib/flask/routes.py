"""Declares WebSocket routes of a Flask app or blueprint, and names their groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast
from urllib.parse import unquote, urlsplit

import flask

from ...errors import UsageError
from ...routing.registrations import registrations
from ...routing.router import Router
from . import hooks
from .matching import Unwrapped, has_host, host_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Unpack

    from ...routing.callbacks import Auth, Callback, WebsocketCallback, WebsocketDecorator
    from ...routing.matching import Route
    from ...routing.params import Value
    from ...settings import RouteSettings


def websocket(
    app: flask.Flask | flask.Blueprint,
    path: str,
    *,
    endpoint: str | None = None,
    auth: Auth | None = None,
    subprotocols: Iterable[str] = (),
    subdomain: str | None = None,
    host: str | None = None,
    **options: Unpack[RouteSettings],
) -> WebsocketDecorator:
    """Serve a path of an app or blueprint as a WebSocket by `callback(connection, event, data)`.

    The route stands in Flask's own map: a blueprint's prefix and subdomain apply, `flask routes`
    lists it, in callbacks `request.endpoint`, `request.view_args` and `request.blueprint` are set,
    and `url_for(endpoint)` gives the address for a page, as "wss://example.org/ws/board/3".

    Args:
        path: as `Router.websocket` takes it; the same for `auth`, `subprotocols` and `options`.
        endpoint: for `url_for`; by default the callback's name.
        subdomain, host: as for `Flask.route`, for apps with `subdomain_matching` or
            `host_matching`. The connections of such a route are named by host and path, see
            `path_for`.
    Raises:
        RouteError: something is wrong with the path, the callback or an option.
    """

    def decorate(callback: Callback) -> Callback:
        declare(
            path,
            callback,
            endpoint=endpoint,
            subdomain=subdomain,
            host=host,
            auth=auth,
            subprotocols=subprotocols,
            **options,
        ).put_on(app)
        return callback

    return decorate


class DeclaredRoute(NamedTuple):
    """A WebSocket route that apps can be given.

    Attributes:
        route: as the router has it.
        endpoint: for `url_for`.
        place: the subdomain and the host, as Flask's rules take them.
    """

    route: Route
    endpoint: str
    place: dict[str, str]

    def put_on(self, app: flask.Flask | flask.Blueprint) -> None:
        """Add the route to the map of an app, or of those that will register a blueprint."""
        app.add_url_rule(
            self.route.rule,
            self.endpoint,
            Unwrapped(self.route),
            provide_automatic_options=False,
            websocket=True,
            strict_slashes=False,
            merge_slashes=False,
            **self.place,
        )
        _install_hooks(app)
        if isinstance(app, flask.Flask):
            registrations.tell()
        else:
            app.record(lambda state: registrations.tell())


def declare(
    path: str,
    callback: WebsocketCallback,
    *,
    endpoint: str | None = None,
    subdomain: str | None = None,
    host: str | None = None,
    auth: Auth | None = None,
    subprotocols: Iterable[str] = (),
    **options: Unpack[RouteSettings],
) -> DeclaredRoute:
    """Check a WebSocket route and return it; arguments and errors are those of `websocket`."""
    router = Router()
    router.websocket(path, callback, auth=auth, subprotocols=subprotocols, **options)
    (route,) = router.routes

    name = endpoint or getattr(callback, "__name__", None)
    if name is None:
        raise UsageError(f'{route.location}: {callback!r} has no name, expected endpoint="…"')
    places = (("subdomain", subdomain), ("host", host))
    return DeclaredRoute(route, name, {key: value for key, value in places if value is not None})


def _install_hooks(app: flask.Flask | flask.Blueprint) -> None:
    if isinstance(app, flask.Flask):
        hooks.install(app)
    else:
        app.record_once(lambda state: hooks.install(cast("flask.Flask", state.app)))


def path_for(endpoint: str, **values: Value) -> str:
    """Return the name of the connections of a WebSocket endpoint, for `broadcast` and `count`.

    That is the path; for a route with a host or a subdomain it begins with the host, as in
    "//acme.shop.example/ws/a", so that two tenants never hear each other.

    Args:
        endpoint, values: as for `url_for`. Outside of a request Flask needs SERVER_NAME for it.
    Raises:
        BuildError: by Werkzeug, there is no such endpoint or a value is missing.
        UsageError: the endpoint is no WebSocket.
    """
    app = flask.current_app
    url = urlsplit(flask.url_for(endpoint, _external=True, **values))
    if url.scheme not in ("ws", "wss"):
        raise UsageError(
            f"endpoint {endpoint!r} is no WebSocket, expected one that websocket() declared"
        )

    root = (
        flask.request.script_root
        if flask.has_request_context()
        else app.config["APPLICATION_ROOT"].rstrip("/")
    )
    path = unquote(url.path).removeprefix(root)
    is_for_hosts = any(has_host(app, rule) for rule in app.url_map.iter_rules(_absolute(endpoint)))
    return f"//{host_name(url.netloc)}{path}" if is_for_hosts else path


def _absolute(endpoint: str) -> str:
    """Resolve an endpoint like ".live" of the current blueprint, as `url_for` does."""
    if not endpoint.startswith("."):
        return endpoint
    blueprint = flask.request.blueprint
    return endpoint[1:] if blueprint is None else f"{blueprint}{endpoint}"
