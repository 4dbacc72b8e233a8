"""`tina4-wsgi routes`: what an application serves, as a table or as JSON."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..routing.names import GroupKind
from ..routing.pattern import Parameter, PatternError, parameters
from ..server.console import BOLD, CYAN, coloured, has_colours
from .command import PROGRAM, CommandFailed, Subcommand, add_app
from .kept_patterns import amount

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ..app import App
    from ..journal.contract import KeptLimits
    from ..routing.matching import Route

_DESCRIPTION = f"""\
Lists the routes of an application: its router's, and those that a wrapped framework declares for
WebSockets; and the named rooms that keep history.

  {PROGRAM} routes
  {PROGRAM} routes shop.wsgi:app --json
"""

_TITLES = ("KIND", "METHODS", "PATH", "CONVERTERS", "AUTH", "WHERE")
_TITLES_WITH_HISTORY = ("KIND", "METHODS", "PATH", "CONVERTERS", "AUTH", "HISTORY", "WHERE")
_NOTHING = "-"
_DEFAULT_CONVERTER = "string"


def routes(arguments: argparse.Namespace) -> int:
    """Print the routes; the `routes` command.

    Raises:
        LoadError, CommandFailed: the application can't be loaded, or has nothing of ours.
    """
    found = [entry for app in load_apps(arguments.app) for entry in _entries(app)]
    if arguments.json:
        print(json.dumps([_described(entry) for entry in found], indent=2, default=str))
    elif not found:
        print("no route is registered")
    else:
        print(_table(found, wants_colours=has_colours(sys.stdout)))
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


class _Listed(NamedTuple):
    """A route, or a pattern of rooms that keep history."""

    kind: str
    path: str
    limits: KeptLimits | None
    methods: Sequence[str] = ()
    parameters: Mapping[str, str] = {}
    auth: str = ""
    subprotocols: Sequence[str] = ()
    settings: Mapping[str, object] = {}
    location: str = ""


def _entries(app: App) -> Iterator[_Listed]:
    """Yield the routes of an app, and the rooms that keep history."""
    kept = {(one.kind, one.pattern): one.limits for one in app.all_kept()}
    for route in app.all_routes():
        yield _Listed(
            route.kind,
            route.path,
            kept.get((GroupKind.PATH, route.path)) if route.kind == "websocket" else None,
            _methods(route),
            parameters_of(route),
            "" if route.auth is None else _name(route.auth),
            route.subprotocols,
            route.options,
            route.location,
        )
    for (kind, pattern), limits in kept.items():
        if kind == GroupKind.ROOM:
            yield _Listed("room", pattern, limits)


def _described(entry: _Listed) -> dict[str, object]:
    history = None
    if entry.limits is not None:
        most, longest_s, replay = entry.limits
        history = {"messages": most, "seconds": longest_s, "replay": replay}
    return {
        "kind": entry.kind,
        "methods": list(entry.methods),
        "path": entry.path,
        "parameters": dict(entry.parameters),
        "auth": entry.auth or None,
        "subprotocols": list(entry.subprotocols),
        "settings": dict(entry.settings),
        "history": history,
        "location": entry.location,
    }


def _row(entry: _Listed, *, has_history: bool) -> tuple[str, ...]:
    converters = ", ".join(f"{name}: {one}" for name, one in entry.parameters.items())
    history = "" if entry.limits is None else amount(entry.limits)
    where = entry.location
    if where.startswith(f"{Path.cwd()}{os.sep}"):
        where = os.path.relpath(where)
    first = (entry.kind, ", ".join(entry.methods), entry.path, converters, entry.auth)
    return (*first, history, where) if has_history else (*first, where)


def _methods(route: Route) -> list[str]:
    return [] if route.kind == "websocket" else sorted(route.methods)


def _name(function: Callable[..., object]) -> str:
    return getattr(function, "__qualname__", None) or repr(function)


def _table(entries: Sequence[_Listed], *, wants_colours: bool) -> str:
    has_history = any(entry.limits is not None for entry in entries)
    titles = _TITLES_WITH_HISTORY if has_history else _TITLES
    rows = [_row(entry, has_history=has_history) for entry in entries]
    filled = [tuple(cell or _NOTHING for cell in row) for row in rows]
    widths = [max(map(len, column)) for column in zip(titles, *filled, strict=True)]

    def line(cells: Sequence[str], colour_of: Callable[[int, str], str]) -> str:
        padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
        padded[-1] = padded[-1].rstrip()
        return "  ".join(
            coloured(cell, colour_of(at, cell), wanted=wants_colours)
            for at, cell in enumerate(padded)
        )

    lines = [line(titles, lambda at, cell: BOLD)]
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
