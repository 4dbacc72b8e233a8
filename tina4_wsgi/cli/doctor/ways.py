"""The two ways to run callbacks, in greenlets or in native threads, and what each asks of an app.

Which of them it will be depends on the server, which the doctor may not know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from . import gunicorn_settings

if TYPE_CHECKING:
    from ...config import Config
    from ...hosting.checks import Finding
    from .gunicorn_settings import Settings

_GREENLETS_SOMEWHERE = "under gunicorn -k gevent and tina4-wsgi serve"
_THREADS_SOMEWHERE = (
    "under gunicorn's sync and gthread workers, flask run, runserver, waitress and uWSGI's threads"
)
_GREENLETS_EVERYWHERE = "since this app patches itself,"


class Note(NamedTuple):
    """What an app should know, which is no fault of it."""

    text: str

    def __str__(self) -> str:
        return f"note: {self.text}"


class WaysToRun(NamedTuple):
    """Where callbacks run in greenlets, and where in threads; None for nowhere."""

    greenlets: str | None
    threads: str | None

    def is_certain(self) -> bool:
        """Return whether only one of them is possible."""
        return self.greenlets is None or self.threads is None


def ways(patches_itself: bool, settings: Settings | None) -> WaysToRun:
    """Return which are possible.

    Args:
        settings: gunicorn's; None if nothing is configured.
    """
    if patches_itself:
        return WaysToRun(_GREENLETS_EVERYWHERE, None)
    if settings is None or not settings.is_named:
        return WaysToRun(_GREENLETS_SOMEWHERE, _THREADS_SOMEWHERE)

    where = f"under gunicorn's worker class {settings.worker_class!r}"
    if gunicorn_settings.has_greenlets(settings):
        return WaysToRun(where, None)
    return WaysToRun(None, where)


def of_greenlets(where: str, config: Config) -> Note:
    """Tell what greenlets ask of an app, and what they cost."""
    return Note(
        f"{where} callbacks run in greenlets of a patched process, up to {config.max_callbacks} at "
        "once (max_callbacks); one that computes, or waits in a driver that doesn't know gevent, "
        "holds up all others of its worker"
    )


def of_threads(where: str, config: Config) -> Note:
    """Tell what native threads ask of an app, and what they cost."""
    count = config.callback_threads
    return Note(
        f"{where} callbacks run in native threads, up to {count} at once (callback_threads), and "
        f"nothing is patched; the database's pool needs room for {count} more connections, and a "
        "threading.local keeps its value for the next callback, which may be another user's"
    )


def of_elsewhere(finding: Finding) -> Note:
    """Tell what would be a fault in greenlets, where callbacks may run in threads as well."""
    return Note(f"there, {finding.what}; {finding.fix}")
