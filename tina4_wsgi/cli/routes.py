"""`tina4-wsgi routes`: what an application serves, as a table or as JSON."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..routing.pattern import Parameter, PatternError, parameters
from ..server.console import BOLD, CYAN, coloured, has_colours
from .command import PROGRAM, CommandFailed, Subcommand, add_app

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from ..app import App
    from ..routing.matching import Route

_DESCRIPTION = f"""\
Lists the routes of an application: its router's, and those that a wrapped framework declares for
WebSockets.

  {PROGRAM} routes
  {PROGRAM} routes shop.wsgi:app --json
"""

_TITLES = ("KIND", "METHODS", "PATH", "CONVERTERS", "AUTH", "WHERE")
_NOTHING = "-"
_DEFAULT_CONVERTER = "string"


def routes(arguments: argparse.Namespace) -> int:
    """Print the routes; the `routes` command.

    Raises:
        LoadError, CommandFailed: the application can't be loaded, or has nothing of ours.
    """
    found = [(route, app) for app in load_apps(arguments.app) for route in app.all_routes()]
    if arguments.json:
        print(json.dumps([_described(route) for route, _ in found], indent=2, default=str))
    elif not found:
        print("no route is registered")
    else:
        print(_table([_row(route) for route, _ in found], wants_colours=has_colours(sys.stdout)))
    return 0


def load_apps(target: str | None) -> list[App]:
    """Load an application as `serve` does, and return the Apps in it.

    Raises:
        LoadError: the application can't be loaded.
        CommandFailed: there is no `App` in it.
    """
    from gevent import monkey

    monkey.patch_all()  # before the user's modules
    from ..app import App, apps_of_this_process
    from ..server.loading import load_app

    app = load_app(target, Path.cwd())
    found = [app] if isinstance(app, App) else apps_of_this_process()
    if not found:
        kind = f"{type(app).__module__}.{type(app).__qualname__}"
        raise CommandFailed(
            f"the application is a {kind}, expected a tina4_wsgi.App or something around one"
        )
    return found


def parameters_of(route: Route) -> dict[str, str]:
    """Return the converters of a route's parameters; {} for another framework's syntax."""
    try:
        found: Sequence[Parameter] = parameters(route.path)
    except PatternError:
        return {}
    return {one.name: one.converter or _DEFAULT_CONVERTER for one in found}


def _described(route: Route) -> dict[str, object]:
    return {
        "kind": route.kind,
        "methods": _methods(route),
        "path": route.path,
        "parameters": parameters_of(route),
        "auth": None if route.auth is None else _name(route.auth),
        "subprotocols": list(route.subprotocols),
        "settings": dict(route.options),
        "location": route.location,
    }


def _row(route: Route) -> tuple[str, ...]:
    converters = ", ".join(
        f"{name}: {converter}" for name, converter in parameters_of(route).items()
    )
    auth = "" if route.auth is None else _name(route.auth)
    where = route.location
    if where.startswith(f"{Path.cwd()}{os.sep}"):
        where = os.path.relpath(where)
    return route.kind, ", ".join(_methods(route)), route.path, converters, auth, where


def _methods(route: Route) -> list[str]:
    return [] if route.kind == "websocket" else sorted(route.methods)


def _name(function: Callable[..., object]) -> str:
    return getattr(function, "__qualname__", None) or repr(function)


def _table(rows: Sequence[tuple[str, ...]], *, wants_colours: bool) -> str:
    filled = [tuple(cell or _NOTHING for cell in row) for row in rows]
    widths = [max(map(len, column)) for column in zip(_TITLES, *filled, strict=True)]

    def line(cells: Sequence[str], colour_of: Callable[[int, str], str]) -> str:
        padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
        padded[-1] = padded[-1].rstrip()
        return "  ".join(
            coloured(cell, colour_of(at, cell), wanted=wants_colours)
            for at, cell in enumerate(padded)
        )

    lines = [line(_TITLES, lambda at, cell: BOLD)]
    lines += [
        line(row, lambda at, cell: CYAN if at == 0 and cell.startswith("websocket") else "")
        for row in filled
    ]
    return "\n".join(lines)


def _add_options(parser: argparse.ArgumentParser) -> None:
    add_app(parser, "the application to look into (default: as for serve)")
    parser.add_argument(
        "--json", action="store_true", help="for programs, with each route's settings"
    )


COMMAND = Subcommand(
    "routes", "list the routes of an application", _DESCRIPTION, _add_options, routes
)
