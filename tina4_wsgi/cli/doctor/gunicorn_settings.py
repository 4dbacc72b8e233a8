"""How gunicorn would run here: gunicorn.conf.py and GUNICORN_CMD_ARGS, read by gunicorn itself."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import sys
from typing import TYPE_CHECKING, NamedTuple

from ...hosting.checks import PATCH, Finding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FILE = "gunicorn.conf.py"
_GEVENT = frozenset({"gevent", "gevent_wsgi", "gevent_pywsgi"})
_NATIVE = frozenset({"sync", "gthread"})


class Settings(NamedTuple):
    """The gunicorn settings that matter to us.

    Attributes:
        worker_class: a name or a class.
        is_named: whether the class is configured; if not, the command line may still name one.
    """

    worker_class: str | type
    is_named: bool
    workers: int
    preloads: bool


def is_installed() -> bool:
    """Return whether gunicorn is installed."""
    return importlib.util.find_spec("gunicorn") is not None


def check_extra() -> Iterator[Finding]:
    """Report if gunicorn lacks what its gevent worker imports."""
    try:
        importlib.import_module("gunicorn.workers.ggevent")
    except (ImportError, RuntimeError) as exc:
        yield Finding(
            f"gunicorn lacks what its gevent worker needs ({exc})",
            "pip install 'gunicorn[gevent]'",
            is_fatal=True,
        )


def read(folder: Path) -> Settings | None:
    """Return the settings; None if nothing is configured.

    Raises:
        ValueError: gunicorn can't read them; the message is gunicorn's.
    """
    from gunicorn.app.base import Application

    class SettingsReader(Application):  # type: ignore[misc]  # no types
        def init(self, *ignored: object) -> None:
            """Accept a command line without an app."""

        def load(self) -> None:
            """Load nothing, since nothing is run."""

    arguments, sys.argv = sys.argv, ["gunicorn"]
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            cfg = SettingsReader().cfg
    except SystemExit as exc:
        raise ValueError(said.getvalue().strip().rpartition("\n")[2]) from exc
    finally:
        sys.argv = arguments

    if not (folder / _FILE).is_file() and not cfg.get_cmd_args_from_env() and cfg.workers == 1:
        return None
    chosen = cfg.settings["worker_class"]
    worker_class = chosen.get()
    return Settings(
        worker_class, worker_class != chosen.default, cfg.workers, bool(cfg.preload_app)
    )


def check_worker_class(settings: Settings) -> Iterator[Finding]:
    """Report a worker class that can't hand its sockets over."""
    if settings.is_named and not (has_greenlets(settings) or _has_threads(settings)):
        yield Finding(
            f"gunicorn's worker class is {settings.worker_class!r}, which can't hand over its "
            "sockets, so every upgrade is answered 501",
            "choose gunicorn's sync, gthread or gevent worker",
            is_fatal=True,
        )


def check_preload(settings: Settings, patches_itself: bool) -> Iterator[Finding]:
    """Report an app that is imported before the worker patches, and doesn't patch itself."""
    if settings.preloads and not patches_itself:
        yield Finding("gunicorn preloads the app before anything is patched", PATCH, is_fatal=True)


def has_greenlets(settings: Settings) -> bool:
    """Return whether the worker class is gunicorn's for gevent, or made of it."""
    return settings.worker_class in _GEVENT or _is_made_of(
        settings.worker_class, "ggevent", "GeventWorker"
    )


def _has_threads(settings: Settings) -> bool:
    worker_class = settings.worker_class
    return (
        worker_class in _NATIVE
        or _is_made_of(worker_class, "sync", "SyncWorker")
        or _is_made_of(worker_class, "gthread", "ThreadWorker")
    )


def _is_made_of(worker_class: str | type, module: str, name: str) -> bool:
    """Return whether it is one of gunicorn's worker classes, or a subclass."""
    from gunicorn import util

    try:
        base = getattr(importlib.import_module(f"gunicorn.workers.{module}"), name)
        found = util.load_class(worker_class) if isinstance(worker_class, str) else worker_class
    except (ImportError, RuntimeError, AttributeError):
        return False
    return isinstance(found, type) and issubclass(found, base)
