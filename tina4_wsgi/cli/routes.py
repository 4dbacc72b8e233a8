"""`tina4-wsgi routes`: what an application serves, as a table or as JSON."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..routing.pattern import Parameter, PatternError, parameters
from ..server.console import BOLD, CYAN, coloured, has_colours
from .command import PROGRAM, Command, CommandFailed, add_app

if TYPE_CHECKING:
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
    """Print them; the `routes` command.

    Raises:
        LoadError, CommandFailed: there is no such application.
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
    """Import an application as `serve` does, and give the Apps that it consists of.

    Raises:
        LoadError: it can't be had.
        CommandFailed: it has nothing of ours in it.
    """
    from gevent import monkey

    monkey.patch_all()  # before anything of the user's
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
    """Give the converters of a route's parameters by their names, as written; {} for another
    framework's syntax.
    """
    try:
        found: Sequence[Parameter] = parameters(route.path)
    except PatternError:
        return {}
    return {one.name: one.converter or _DEFAULT_CONVERTER for one in found}


def _described(route: Route) -> dict[str, Any]:
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


def _name(function: Callable[..., Any]) -> str:
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


COMMAND = Command("routes", "list the routes of an application", _DESCRIPTION, _add_options, routes)
