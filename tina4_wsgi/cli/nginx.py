"""`tina4-wsgi nginx`: the configuration of an nginx in front of an application.

Each fixed beginning of WebSocket routes has a location, in which nginx passes the upgrade on and
waits longer than our ping interval. All other requests go through `location /`.
"""

from __future__ import annotations

import argparse
import math
import re
from typing import TYPE_CHECKING

from ..server.listening import DEFAULT_HOST, DEFAULT_PORT
from .command import PROGRAM, Subcommand, add_app
from .routes import load_apps

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..routing.matching import Route

    Served = tuple[Route, float, float]
    """A route, its `ping_interval_s` and its `pong_timeout_s`."""

_DESCRIPTION = f"""\
Prints the configuration for nginx in front of an application: a map for the http block, and the
locations for a server block.

  {PROGRAM} nginx
  {PROGRAM} nginx shop.wsgi:app --upstream unix:/run/shop.sock
"""

_EPILOG = f"""\
The clients' addresses are taken from X-Forwarded-For only from a proxy that is trusted:
TINA4_WS_TRUSTED_PROXIES=127.0.0.1 {PROGRAM} serve
"""

_MAP = """\
# Into the http block:
map $http_upgrade $connection_upgrade {
    default upgrade;
    ""      "";
}
"""

_LOCATION = """\
location {place} {{
    proxy_pass http://{upstream};
    proxy_http_version 1.1;
{fields}}}
"""

_FIELDS = """\
    proxy_set_header Host $http_host;  # with its port, which the origin of a page has too
    proxy_set_header X-Forwarded-Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
"""

_PLAIN = """\
    proxy_set_header Connection "";
"""

_UPGRADE = """\
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $connection_upgrade;
    proxy_read_timeout {timeout_s}s;  # {why}
"""

_LEAST_TIMEOUT_S = 60
_FOR_EVER_S = 86_400
_PARAMETER = re.compile(r"[{<]")
_NEEDS_QUOTES = re.compile(r"[\s;{}\"'\\#$]")
_UPSTREAM = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::\d{1,5})?|unix:/[^\s;{}\"'\\#$:]+")


def nginx(arguments: argparse.Namespace) -> int:
    """Print the configuration; the `nginx` command.

    Raises:
        LoadError, CommandFailed: the application can't be loaded, or has nothing of ours.
    """
    served: list[Served] = []
    for app in load_apps(arguments.app):
        for route in app.all_routes():
            if route.kind == "websocket":
                limits = app.config.for_route(route.options)
                served.append((route, limits.ping_interval_s, limits.pong_timeout_s))
    print(configuration(served, arguments.upstream), end="")
    return 0


def configuration(served: Iterable[Served], upstream: str) -> str:
    """Return the configuration.

    Args:
        served: the WebSocket routes.
        upstream: where the application listens: "127.0.0.1:7148" or "unix:/run/shop.sock".
    """
    places: dict[str, list[Served]] = {}
    for one in served:
        places.setdefault(fixed_part(one[0].path), []).append(one)
    address = f"{upstream}:" if upstream.startswith("unix:") else upstream
    blocks = [_sockets(place, here, address) for place, here in sorted(places.items())]
    if "/" not in places:
        blocks.append(_LOCATION.format(place="/", upstream=address, fields=_FIELDS + _PLAIN))
    return "\n".join((_MAP, "# Into the server block:", "\n".join(blocks))) if blocks else ""


def fixed_part(path: str) -> str:
    """Return a route's path up to its first parameter: "/ws/chat/" of "/ws/chat/{room}"."""
    before = _PARAMETER.split(path, maxsplit=1)[0]
    # Without its last slash a path is the same route.
    return before if before != path else path.rstrip("/") or "/"


def _sockets(place: str, here: list[Served], address: str) -> str:
    names = "".join(f"# {route.path}\n" for route, _, _ in here)
    interval_s = max(one[1] for one in here)
    if min(one[1] for one in here) == 0:
        timeout_s, why = _FOR_EVER_S, "we send no pings here"
    else:
        # Twice the interval, so that one late ping cuts nobody off.
        timeout_s = max(_LEAST_TIMEOUT_S, math.ceil(2 * interval_s + max(one[2] for one in here)))
        why = f"we ping every {interval_s:g} s"
    fields = _FIELDS + _UPGRADE.format(timeout_s=timeout_s, why=why)
    return names + _LOCATION.format(place=_quoted(place), upstream=address, fields=fields)


def _quoted(place: str) -> str:
    if not _NEEDS_QUOTES.search(place):
        return place
    escaped = place.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _upstream(text: str) -> str:
    if not _UPSTREAM.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r}, expected HOST:PORT or unix:/PATH")
    return text


def _add_options(parser: argparse.ArgumentParser) -> None:
    add_app(parser, "the application to look into (default: as for serve)")
    parser.add_argument(
        "--upstream",
        type=_upstream,
        default=f"{DEFAULT_HOST}:{DEFAULT_PORT}",
        metavar="ADDRESS",
        help="where the application listens: HOST:PORT or unix:/PATH (default: %(default)s)",
    )


COMMAND = Subcommand(
    "nginx", "print the configuration for nginx", _DESCRIPTION, _add_options, nginx, _EPILOG
)
