"""Common mistakes around an app, found in the process that has loaded it.

Each check gives findings, one line each with its fix. They are made once per process, at the first
upgrade, and logged; `tina4-wsgi doctor` makes them before clients connect.
"""

from __future__ import annotations

import logging
import os
import sys
from functools import cache
from importlib import metadata
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from gevent import monkey

from ..addresses import origins
from ..config import Config, unknown_variables
from . import descriptors, gunicorn

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

logger = logging.getLogger("tina4_wsgi.checks")

PATCH = "put `from gevent import monkey; monkey.patch_all()` first in the module that is served"

# What blocks. Others that are replaced do not, wherever they are kept: a Queue, an Event or a
# Thread made after the patch waits by what its own module has by then.
_BLOCKING = {
    "_thread": ("allocate_lock",),
    "queue": ("SimpleQueue",),
    "select": ("epoll", "poll", "select"),
    "socket": ("create_connection", "getaddrinfo", "gethostbyname", "socket"),
    "ssl": ("SSLContext",),
    "subprocess": ("Popen", "call", "check_call", "check_output", "run"),
    "threading": ("Lock",),
    "time": ("sleep",),
}
_SHARED = {"_thread": ("_local",), "threading": ("local",)}
"""What doesn't block, but is one for all greenlets."""

_AGENTS = frozenset(
    {
        "appdynamics",
        "datadog",
        "ddtrace",
        "debugpy",
        "elasticapm",
        "honeybadger",
        "instana",
        "newrelic",
        "opentelemetry",
        "pydevd",
        "rollbar",
        "scout_apm",
        "sentry_sdk",
    }
)
"""These want to be imported before all else, have native threads on purpose, and know of gevent."""

_LAST_WITH_THE_PATCH = "gevent.time"
"""Imported by `patch_all` and nothing else. The order of `sys.modules` is that in which imports
ended, so what comes later there ended in a patched process.
"""

_GUNICORNS_LAST = "gunicorn.app.base"  # of what it imports before it reads its settings
_BEFORE_SCRIPTS = ("sitecustomize", "usercustomize")

# These are imported before any patch, and work with it.
_EXEMPT = sys.stdlib_module_names | {
    "gevent",
    "geventwebsocket",
    "greenlet",
    "gunicorn",
    "jinja2",
    "markupsafe",
    "packaging",
    "tina4_wsgi",
    "werkzeug",
    "zope",
}
_MOST_NAMED = 3

_FIRST_SAFE = {
    "werkzeug": (
        (3, 0, 6),
        "reads the fields of multipart forms without a limit of its own (CVE-2024-49767)",
    ),
    "jinja2": (
        (3, 1, 4),
        "lets keys of a user's dict become attributes by xmlattr (CVE-2024-34064)",
    ),
}
"""What is safe for all that our routes offer; dependencies allow less, for legacy apps that pin
them.
"""

_ORIGIN_FORM = 'write it as scheme, host and port: "https://example.org" or "http://localhost:8080"'

_FIRST_WITH_GEVENT = (3, 1, 14)  # psycopg 3; before, it waits in a `select` of its own


class Finding(NamedTuple):
    """A mistake and what to do about it, in a few words, to stand on one line together."""

    what: str
    fix: str
    is_fatal: bool = False

    def __str__(self) -> str:
        return f"{'fatal' if self.is_fatal else 'warning'}: {self.what}; {self.fix}"


def log_at_boot(config: Config, is_native: bool = False) -> None:
    """Log what is wrong with this process.

    Greenlets: one that may wait, as a log handler may.

    Args:
        is_native: whether callbacks run in native threads, which may block as they like.
    """
    for finding in at_boot(config, is_native):
        logger.warning("%s; %s", finding.what, finding.fix)


@cache
def log_unknown_variables() -> None:
    """Log which environment variables look like settings and are none, once in this process."""
    for finding in misspelt_variables():
        logger.warning("%s; %s", finding.what, finding.fix)


def misspelt_variables() -> Iterator[Finding]:
    """Find environment variables that look like settings and are none, and so do nothing."""
    for name, meant in unknown_variables().items():
        fix = f"did you mean {meant}?" if meant else "the README's table lists all settings"
        yield Finding(f"{name} is no setting and changes nothing", fix)


def at_boot(config: Config, is_native: bool = False) -> Iterator[Finding]:
    """Make the checks that need nothing but the running process; see `log_at_boot`."""
    if not is_native:
        yield from unpatched()
        yield from patched_too_late(modules_of_the_app())
        yield from libraries()
    yield from too_few_descriptors(config)
    yield from lone_workers(_worker_count(), config)
    yield from trusted_by_django()


def unpatched() -> Iterator[Finding]:
    """See whether the standard library waits as gevent does."""
    if not monkey.is_module_patched("socket"):
        yield Finding(
            "callbacks run in greenlets here, and the standard library is not patched, so one that "
            "waits for a database holds up all others",
            f"{PATCH}, or serve it by a server with threads, where callbacks may wait",
        )


def modules() -> dict[str, ModuleType]:
    """Return the modules that may have taken hold of what was patched later.

    They come in the order in which their imports ended.

    Those of the standard library and the like are left out, agents, and all that were imported
    after the patch: what they hold in spite of it they asked for (`monkey.get_original`).
    """
    loaded = list(sys.modules.items())  # a copy: another thread may import
    names = [name for name, _ in loaded]
    if _LAST_WITH_THE_PATCH in names:
        loaded = loaded[: names.index(_LAST_WITH_THE_PATCH)]
    left_out = _EXEMPT | _AGENTS
    return {
        name: one
        for name, one in loaded
        if name.partition(".")[0] not in left_out and one is not None
    }


def modules_of_the_app() -> dict[str, ModuleType]:
    """Return those of `modules` that the app is the reason for.

    What was imported before its server is not its to mend: a program that starts the server
    imported it (`newrelic-admin`, `opentelemetry-instrument`). Our own server patches before it
    loads an app.
    """
    names = list(sys.modules)

    if _GUNICORNS_LAST in names:
        of_the_app = {*names[names.index(_GUNICORNS_LAST) :]}
    elif _is_script(sys.modules.get("__main__")):
        last_before = max(
            names.index(name) for name in ("__main__", *_BEFORE_SCRIPTS) if name in names
        )
        of_the_app = {"__main__", *names[last_before + 1 :]}
    else:
        return {}

    return {name: one for name, one in modules().items() if name in of_the_app}


def _is_script(main: ModuleType | None) -> bool:
    """Whether a program was started as `python server.py`, not as a command or with -m."""
    file: str | None = getattr(main, "__file__", None)
    if file is None or getattr(main, "__spec__", None) is not None:
        return False
    return os.path.dirname(os.path.abspath(file)) != os.path.dirname(sys.executable)


def patched_too_late(suspects: dict[str, ModuleType]) -> Iterator[Finding]:
    """Find modules that took hold of something before it was patched: they keep what blocks.

    Args:
        suspects: where to look, by name.
    """
    if blocking := _held_by(suspects, _BLOCKING):
        yield Finding(f"patched too late: {blocking}, which block all others", PATCH, is_fatal=True)
    if shared := _held_by(suspects, _SHARED):
        yield Finding(
            f"patched too late: {shared}, where one user's data is seen by all others", PATCH
        )


def _held_by(suspects: dict[str, ModuleType], wanted: Mapping[str, tuple[str, ...]]) -> str:
    """Return which modules hold one of the wanted originals; "" for none."""
    originals = {
        id(one): f"{module}.{name}"
        for module, names in wanted.items()
        for name, one in getattr(monkey, "saved", {}).get(module, {}).items()
        if name in names
    }

    held = {}
    for name, module in suspects.items():
        for value in list(vars(module).values()):
            if id(value) in originals and not _asks_for_originals(name, module):
                held[name] = originals[id(value)]

    named = [f"{name} holds {what}" for name, what in sorted(held.items())[:_MOST_NAMED]]
    more = f" and {len(held) - _MOST_NAMED} more" if len(held) > _MOST_NAMED else ""
    return f"{', '.join(named)}{more}"


def _asks_for_originals(name: str, module: ModuleType) -> bool:
    """Return whether a module takes originals on purpose, by gevent's `get_original`."""
    get_code = getattr(getattr(module, "__loader__", None), "get_code", None)
    try:
        code = get_code(name) if get_code is not None else None
    except (ImportError, OSError, SyntaxError):
        code = None
    return isinstance(code, CodeType) and _names(code, "get_original")


def _names(code: CodeType, name: str) -> bool:
    if name in code.co_names:
        return True
    return any(_names(inner, name) for inner in code.co_consts if isinstance(inner, CodeType))


def libraries() -> Iterator[Finding]:
    """See whether the libraries in C that are loaded have been told about gevent."""
    if not _is_cooperative_psycopg2(sys.modules.get("psycopg2.extensions")):
        yield Finding(
            "psycopg2 waits in C, so a query holds up all others",
            "pip install psycogreen, and call psycogreen.gevent.patch_psycopg() before the first "
            "query",
            is_fatal=True,
        )

    version = getattr(sys.modules.get("psycopg"), "__version__", "")
    if version and _numbers(version) < _FIRST_WITH_GEVENT:
        yield Finding(
            f"psycopg {version} waits without gevent, so a query holds up all others",
            "pip install 'psycopg>=3.1.14'",
            is_fatal=True,
        )

    if getattr(sys.modules.get("grpc._cython.cygrpc"), "g_gevent_activated", None) is False:
        yield Finding(
            "grpc waits in C, so a call holds up all others",
            "call grpc.experimental.gevent.init_gevent() before the first channel is made",
            is_fatal=True,
        )


def old_libraries() -> Iterator[Finding]:
    """See whether what a legacy app may pin has holes that were closed later."""
    for name, (first, hole) in _FIRST_SAFE.items():
        version = metadata.version(name)
        if _numbers(version) < first:
            dotted = ".".join(map(str, first))
            yield Finding(
                f"{name} {version} {hole}", f"pip install '{name}>={dotted}', if the app allows it"
            )


def too_few_descriptors(config: Config) -> Iterator[Finding]:
    """See whether every connection that may come would get a descriptor."""
    room = descriptors.to_spare()
    if room < config.max_connections:
        wanted = config.max_connections + descriptors.RESERVED
        yield Finding(
            f"the limit on open files leaves room for {room} WebSockets, max_connections is "
            f"{config.max_connections}",
            f"ulimit -n {wanted}, or LimitNOFILE={wanted} in systemd, or a lower max_connections",
        )


def lone_workers(count: int, config: Config) -> Iterator[Finding]:
    """See whether several workers hear each other's broadcasts."""
    if count > 1 and config.backplane == "none":
        yield Finding(
            f"{count} workers and nothing between them, so a broadcast reaches the clients of one "
            "only",
            "run one worker (-w 1), or set a backplane",
            is_fatal=True,
        )


def trusted_by_django() -> Iterator[Finding]:
    """Check CSRF_TRUSTED_ORIGINS, which Django takes as it is.

    Our own setting refuses such an entry when it is set.
    """
    settings = getattr(sys.modules.get("django.conf"), "settings", None)
    if settings is not None and settings.configured:
        yield from dead_origins(settings.CSRF_TRUSTED_ORIGINS, "CSRF_TRUSTED_ORIGINS")


def dead_origins(listed: Iterable[str], where: str) -> Iterator[Finding]:
    """Find origins that no browser sends in this form, so that their pages are refused."""
    for origin in listed:
        wrong = origins.fault(origin) or _what_browsers_write(origin)
        if wrong is not None:
            what, _, fix = wrong.partition(": write ")
            if not fix:
                what, _, fix = wrong.partition(", write ")
            yield Finding(
                f"{where}: {origin!r} matches no page, so its pages will be refused with 403: it "
                f"{what}",
                f"write {fix}" if fix else _ORIGIN_FORM,
                is_fatal=True,
            )


def _what_browsers_write(origin: str) -> str | None:
    lower = origin.lower()
    if lower != origin:
        return f'has capitals, write "{lower}"'
    asking = origins.parse(origin)
    if asking is not None and asking.has_own_port and origin.endswith(f":{asking.host.port}"):
        return f'has the port that browsers leave out, write "{origin.rpartition(":")[0]}"'
    return None


def _is_cooperative_psycopg2(
    extensions: Any,
) -> bool:  # Any: it ships no types, and may not be installed
    return extensions is None or extensions.get_wait_callback() is not None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in _leading_numbers(version.split(".")))


def _leading_numbers(parts: Iterable[str]) -> Iterator[str]:
    for part in parts:
        if not part.isdecimal():
            return
        yield part


def _worker_count() -> int:
    worker = gunicorn.worker()
    count = getattr(worker.cfg, "workers", 1) if worker is not None else 1
    return count if isinstance(count, int) else 1
