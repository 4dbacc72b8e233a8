"""Finds the WebSocket route that a handshake asks for, and hides such routes from HTTP.

A route lies in Flask's own map like a view, with its blueprint's prefix, host and subdomain, and
Flask's matching decides.
"""

from __future__ import annotations

import dataclasses
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, NoReturn

import flask
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound
from werkzeug.routing import MapAdapter, Rule, WebsocketMismatch
from werkzeug.wsgi import get_host

from ...errors import Refused
from ...routing.matching import Match, Route
from ...routing.params import Params
from ...routing.spelling import RuleSpelling

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...websocket.bridge import Environ

logger = logging.getLogger("tina4_wsgi.contrib.flask")

_NEEDS_SERVER = (
    "This address is a WebSocket, and the Flask app is served without its WebSockets. Make the app "
    "live by `Live(app)` of tina4_wsgi.contrib.flask, or serve what its wrap(app) gives, in "
    "development by `tina4-wsgi serve --reload wsgi:app`."
)

_NO_SUBDOMAIN = "<invalid>"
"""Werkzeug's subdomain for a host outside SERVER_NAME; `<tenant>` would match it."""

_ANY_PLACE: Environ = {
    "REQUEST_METHOD": "GET",
    "SERVER_NAME": "localhost",
    "SERVER_PORT": "80",
    "wsgi.url_scheme": "http",
}
"""Keys that a WSGI environ always has: an environ may hold only a path."""


class Unwrapped:
    """The view of a WebSocket route; Flask only calls it if nobody serves the WebSocket."""

    def __init__(self, route: Route) -> None:
        self.route = route
        self._has_warned = False

    def __call__(self, **params: object) -> NoReturn:
        """Answer 501, and log the reason once: no browser shows the body of a refused handshake."""
        if not self._has_warned:
            self._has_warned = True
            logger.warning("%.200r: %s", flask.request.path, _NEEDS_SERVER)
        flask.abort(HTTPStatus.NOT_IMPLEMENTED, _NEEDS_SERVER)


def find(app: flask.Flask, environ: Environ, path: str) -> tuple[str, Match] | None:
    """Find the WebSocket route that a handshake asks for.

    Args:
        environ: as the app sees it behind its middleware; only its host is read.
        path: its path, decoded and normal.
    Returns:
        The name of the connection's group, and the match.
    Raises:
        Refused: 404, only a route for any subdomain takes this host, and it is no subdomain of
            SERVER_NAME; or the path is spelled in another way than its rule writes it.
    """
    try:
        adapter = _adapter(app, environ)
        rule, values = adapter.match(path, "GET", websocket=True, return_rule=True)
    except (HTTPException, ValueError):  # ValueError: a number of more digits than Python reads
        return None

    view = app.view_functions.get(rule.endpoint)
    if not isinstance(view, Unwrapped):
        return None
    if adapter.subdomain == _NO_SUBDOMAIN:
        raise Refused(
            404,
            "no WebSocket route has this host",
            detail=f"host {environ.get('HTTP_HOST', '')[:200]!r}",
        )
    RuleSpelling(rule).check(
        path, values, lambda spelled: adapter.match(spelled, "GET", websocket=True)[1]
    )
    name = (
        f"//{host_name(get_host({**_ANY_PLACE, **environ}))}{path}" if has_host(app, rule) else path
    )
    return name, Match(view.route, Params(values))


def match(app: flask.Flask, name: str) -> Match | None:
    """Return the WebSocket route whose connections have this name; None for none.

    Args:
        name: a path, with its host before it where the route is for some hosts only.
    Raises:
        Refused: as `find`.
    """
    host, path = app.config["SERVER_NAME"], name
    if name.startswith("//"):
        named, _, rest = name[2:].partition("/")
        # Names have no port, and Werkzeug compares it.
        host, path = named + (host or "")[len(host_name(host or "")) :], f"/{rest}"
    environ: Environ = {"HTTP_HOST": host} if host else {}
    found = find(app, environ, path)
    return found[1] if found is not None and found[0] == name else None


def names_host(app: flask.Flask, environ: Environ, path: str) -> bool:
    """Return whether the app's settings, or the rule that it matches, name a handshake's host.

    Args:
        environ, path: as for `find`.
    """
    if _trusted_hosts(app):
        return True  # `check_host` enforces them

    host = host_name(get_host({**_ANY_PLACE, **environ}))
    own = host_name(app.config.get("SERVER_NAME") or "")
    if own and (host == own or host.endswith(f".{own}")):
        return True
    found = find(app, environ, path)
    return found is not None and found[0].startswith("//")


def check_host(app: flask.Flask, environ: Environ) -> None:
    """Enforce TRUSTED_HOSTS.

    Raises:
        SecurityError: by Werkzeug, a 400.
    """
    get_host(environ, _trusted_hosts(app))


def _trusted_hosts(app: flask.Flask) -> list[str] | None:
    return app.request_class.trusted_hosts or app.config.get("TRUSTED_HOSTS")


def declared(app: flask.Flask) -> Iterator[Route]:
    """Yield the WebSocket routes of an app, with the prefixes of their blueprints.

    The path of one that is for some hosts only begins with them, as in "//<tenant>.shop.example/a".
    """
    for rule in app.url_map.iter_rules():
        view = app.view_functions.get(rule.endpoint)
        if isinstance(view, Unwrapped):
            path = f"//{_host_of(app, rule)}{rule.rule}" if has_host(app, rule) else rule.rule
            yield dataclasses.replace(view.route, path=path, rule=rule.rule)


def _host_of(app: flask.Flask, rule: Rule) -> str:
    """Return the host that a rule is for, with its parameters."""
    if app.url_map.host_matching:
        return host_name(rule.host or "")
    own = host_name(app.config.get("SERVER_NAME") or "")
    return f"{rule.subdomain}.{own}" if rule.subdomain else own


def has_host(app: flask.Flask, rule: Rule) -> bool:
    """Return whether a rule is for some hosts only."""
    if app.url_map.host_matching:
        return bool(rule.host)
    return app.subdomain_matching and (rule.subdomain or "") != app.url_map.default_subdomain


def host_name(host: str) -> str:
    """Return a host without its port, in small letters."""
    name = host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
    return name.lower()


def http_error(app: flask.Flask, request: flask.Request) -> Exception | None:
    """Return the routing error of an HTTP request as it would be without our WebSocket routes.

    For an address that only a WebSocket has, the app answers its own 404.
    """
    error = request.routing_exception
    if not isinstance(error, WebsocketMismatch | MethodNotAllowed):
        return error

    adapter = app.create_url_adapter(request)
    if adapter is None or not _is_ours(app, adapter):
        return error
    if isinstance(error, WebsocketMismatch):
        return NotFound()
    # The GET of a WebSocket is not on offer.
    methods = [method for method in error.valid_methods or () if adapter.test(method=method)]
    return MethodNotAllowed(methods) if methods else NotFound()


def _is_ours(app: flask.Flask, adapter: MapAdapter) -> bool:
    try:
        endpoint, _ = adapter.match(method="GET", websocket=True)
    except (HTTPException, ValueError):
        return False
    return isinstance(app.view_functions.get(endpoint), Unwrapped)


def _adapter(app: flask.Flask, environ: Environ) -> MapAdapter:
    """Bind the app's map as this version of Flask does for a request."""
    is_host_free = (
        not app.subdomain_matching
        and not app.url_map.host_matching
        and not app.config["SERVER_NAME"]
    )
    if is_host_free and type(app).create_url_adapter is flask.Flask.create_url_adapter:
        return app.url_map.bind("localhost")  # a tenth of the time
    adapter = app.create_url_adapter(app.request_class({**_ANY_PLACE, **environ}))
    assert adapter is not None
    return adapter
