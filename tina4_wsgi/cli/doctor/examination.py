"""Looks for what is often wrong around an app, before anybody connects."""

from __future__ import annotations

import re
import sys
import warnings
from typing import TYPE_CHECKING

from gevent import monkey

from ...app import App
from ...backplane.redis import permissions
from ...errors import BackplaneError
from ...hosting import checks
from ...hosting.checks import Finding
from ...hosting.claims import paths_of_gevent_websocket
from ...server.loading import config_of, load_app
from . import gunicorn_settings
from .history_file import examine_history
from .ways import Note, WaysToRun, of_elsewhere, of_greenlets, of_threads, ways

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ...config import Config
    from .gunicorn_settings import Settings

_PARAMETER = re.compile(r"\{[^{}]*\}|<[^<>]*>")
_MOST_PATHS = 50


def examine(target: str | None, folder: Path) -> Iterator[Finding | Note]:
    """Load the app as a server with threads would, unpatched, and examine the process.

    Args:
        target: "module:app"; None for what `tina4-wsgi serve` would serve.
        folder: where the app and gunicorn's configuration are.
    Raises:
        LoadError: the app can't be loaded.
    """
    before = set(checks.modules())
    with warnings.catch_warnings():
        # We report it ourselves, with the name of the module.
        warnings.simplefilter("ignore", monkey.MonkeyPatchWarning)
        app = load_app(target, folder)

    patches_itself = monkey.is_module_patched("socket")
    # The served module may patch between its imports, so it may hold unpatched names all the same.
    served = (target or "wsgi").partition(":")[0]
    suspects = {name: one for name, one in checks.modules().items() if name not in before}
    suspects |= {served: sys.modules[served]} if patches_itself and served in sys.modules else {}
    yield from checks.patched_too_late(suspects)
    yield from checks.misspelt_variables()
    yield from checks.old_libraries()

    config = config_of(app)
    yield from checks.too_few_descriptors(config)
    yield from checks.trusted_by_django()
    yield from _redis(app, config)
    yield from _other_websockets(app)
    yield from examine_history(app)

    try:
        settings = gunicorn_settings.read(folder) if gunicorn_settings.is_installed() else None
    except ValueError as exc:
        yield Finding(
            f"gunicorn can't read its settings: {exc}", "correct gunicorn.conf.py", is_fatal=True
        )
        settings = None
    if settings is not None:
        yield from gunicorn_settings.check_worker_class(settings)
        yield from checks.lone_workers(settings.workers, config)

    possible = ways(patches_itself, settings)
    yield from _greenlets(possible, config, settings, patches_itself)
    if possible.threads is not None:
        yield of_threads(possible.threads, config)


def _redis(app: object, config: Config) -> Iterator[Finding]:
    """Report what the ACL of Redis forbids the app."""
    if config.backplane != "redis":
        return

    try:
        has_history = isinstance(app, App) and bool(app.all_kept())
        denied = permissions.denied(config, _paths_of(app), has_history=has_history)
    except BackplaneError as exc:
        yield Finding(str(exc), "or set TINA4_WS_BACKPLANE to another one", is_fatal=True)
    except permissions.CantAsk as exc:
        yield Finding(
            f"Redis can't be asked what the app may do there: {exc}",
            "see that it runs, and backplane_url",
        )
    else:
        if denied.rules:
            what = [f"the command {command}" for command in denied.commands]
            what += [f"keys such as {', '.join(denied.keys)}"] if denied.keys else []
            what += [f"channels such as {', '.join(denied.channels)}"] if denied.channels else []
            yield Finding(
                f"the ACL of Redis forbids the user {denied.user} {', '.join(what)}",
                f"ACL SETUSER {denied.user} {' '.join(denied.rules)}",
                denied.is_fatal,
            )


def _paths_of(app: object) -> list[str]:
    """Return an example path for each of the first WebSocket routes."""
    routes = app.all_routes() if isinstance(app, App) else []
    paths = (_PARAMETER.sub("1", route.path) for route in routes if route.kind == "websocket")
    return [*dict.fromkeys(paths)][:_MOST_PATHS]


def _other_websockets(app: object) -> Iterator[Finding]:
    """Report paths that need `environ["wsgi.websocket"]`, which gunicorn's gevent workers lack."""
    is_handed_over = getattr(app, "hands_over", lambda path: False)

    for path in paths_of_gevent_websocket(app):
        if not is_handed_over(path):
            yield Finding(
                f"WebSockets below {path} ask for environ['wsgi.websocket'], since "
                "gevent-websocket is installed; only its own gunicorn worker gives it by itself",
                f"App(…, gevent_websocket_paths={path!r}), or "
                f"TINA4_WS_GEVENT_WEBSOCKET_PATHS={path} and an App around the application; under "
                'a server with threads, async_mode="threading" of Socket.IO',
            )


def _greenlets(
    possible: WaysToRun, config: Config, settings: Settings | None, patches_itself: bool
) -> Iterator[Finding | Note]:
    """Report what is wrong if callbacks run in greenlets; a note where they may have threads."""
    if possible.greenlets is None:
        return

    yield of_greenlets(possible.greenlets, config)
    for finding in _faults_in_greenlets(settings, patches_itself):
        yield finding if possible.is_certain() else of_elsewhere(finding)


def _faults_in_greenlets(settings: Settings | None, patches_itself: bool) -> Iterator[Finding]:
    yield from checks.libraries()
    if gunicorn_settings.is_installed():
        yield from gunicorn_settings.check_extra()
    if settings is not None:
        yield from gunicorn_settings.check_preload(settings, patches_itself)
