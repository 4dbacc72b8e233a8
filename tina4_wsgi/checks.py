"""What is often wrong around an app, found by looking at the process that it was loaded into.

Each check gives findings, one line each with its fix. They are made once per process, at the first upgrade, and
logged; `tina4-wsgi doctor` makes them before anybody connects.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from types import ModuleType
from typing import Any, NamedTuple

from gevent import monkey

from . import descriptors, gunicorns
from .config import Config, unknown_variables
from .errors import Refused
from .protocol.handshake import check_origin

logger = logging.getLogger("tina4_wsgi.checks")

PATCH = "put `from gevent import monkey; monkey.patch_all()` first in the module that is served"

# What blocks, or is shared between greenlets as if they were threads. Other names are replaced too, but harmless.
_BLOCKING = {
    "_thread": ("allocate_lock", "start_new_thread", "_local"),
    "queue": ("LifoQueue", "PriorityQueue", "Queue", "SimpleQueue"),
    "select": ("epoll", "poll", "select"),
    "socket": ("create_connection", "getaddrinfo", "gethostbyname", "socket"),
    "ssl": ("SSLContext", "SSLSocket"),
    "subprocess": ("Popen", "call", "check_call", "check_output", "run"),
    "threading": ("Event", "Lock", "Thread", "local"),
    "time": ("sleep",),
}
# These are there before anybody can patch, and get along with it.
_EXEMPT = sys.stdlib_module_names | {
    "gevent", "geventwebsocket", "greenlet", "gunicorn", "jinja2", "markupsafe", "packaging", "tina4_wsgi", "werkzeug",
    "zope",
}  # fmt: skip
_MOST_NAMED = 3

_FIRST_WITH_GEVENT = (3, 1, 14)  # psycopg 3; before, it waits in a `select` of its own


class Finding(NamedTuple):
    """Something that is wrong, and what to do about it: both in a few words, on one line together."""

    what: str
    fix: str
    is_fatal: bool = False

    def __str__(self) -> str:
        return f"{'fatal' if self.is_fatal else 'warning'}: {self.what}; {self.fix}"


def log_at_boot(config: Config) -> None:
    """Log what is wrong with this process.

    Greenlets: one that may wait, as a log handler may.
    """
    for finding in at_boot(config):
        logger.warning("%s; %s", finding.what, finding.fix)


@cache
def log_unknown_variables() -> None:
    """Log which environment variables look like settings and are none, once in this process."""
    for finding in misspelt_variables():
        logger.warning("%s; %s", finding.what, finding.fix)


def misspelt_variables() -> Iterator[Finding]:
    """Find environment variables that look like settings and are none, so that what they ask for does not happen."""
    for name, meant in unknown_variables().items():
        fix = f"did you mean {meant}?" if meant else "the README's table lists all settings"
        yield Finding(f"{name} is no setting and changes nothing", fix)


def at_boot(config: Config) -> Iterator[Finding]:
    """Make the checks that need nothing but the running process."""
    yield from unpatched()
    yield from patched_too_late(modules())
    yield from libraries()
    yield from too_few_descriptors(config)
    yield from lone_workers(_worker_count(), config)
    yield from dead_origins(config.allowed_origins, "allowed_origins")


def unpatched() -> Iterator[Finding]:
    """See whether the standard library waits as gevent does."""
    if not monkey.is_module_patched("socket"):
        yield Finding(
            "the standard library is not patched, so a callback that waits for a database holds up all others", PATCH
        )


def modules() -> dict[str, ModuleType]:
    """Give the modules that are loaded now, those of the standard library and the like apart."""
    loaded = list(sys.modules.items())  # a copy: another thread may import
    return {name: one for name, one in loaded if name.partition(".")[0] not in _EXEMPT and one is not None}


def patched_too_late(suspects: dict[str, ModuleType]) -> Iterator[Finding]:
    """Find modules that took hold of something before it was patched: they keep what blocks.

    Args:
        suspects: where to look, by name.
    """
    originals = {
        id(one): f"{module}.{name}"
        for module, names in _BLOCKING.items()
        for name, one in getattr(monkey, "saved", {}).get(module, {}).items()
        if name in names
    }
    if not originals:
        return
    held = {}
    for name, module in suspects.items():
        for value in list(vars(module).values()):
            if id(value) in originals:
                held[name] = originals[id(value)]
    if held:
        named = [f"{name} holds {what}" for name, what in sorted(held.items())[:_MOST_NAMED]]
        more = f" and {len(held) - _MOST_NAMED} more" if len(held) > _MOST_NAMED else ""
        yield Finding(f"patched too late: {', '.join(named)}{more}, which block all others", PATCH, is_fatal=True)


def libraries() -> Iterator[Finding]:
    """See whether the libraries in C that are loaded have been told about gevent."""
    if not _is_cooperative_psycopg2(sys.modules.get("psycopg2.extensions")):
        yield Finding(
            "psycopg2 waits in C, so a query holds up all others",
            "pip install psycogreen, and call psycogreen.gevent.patch_psycopg() before the first query", is_fatal=True,
        )  # fmt: skip
    version = getattr(sys.modules.get("psycopg"), "__version__", "")
    if version and _numbers(version) < _FIRST_WITH_GEVENT:
        yield Finding(
            f"psycopg {version} waits without gevent, so a query holds up all others",
            "pip install 'psycopg>=3.1.14'", is_fatal=True,
        )  # fmt: skip
    if getattr(sys.modules.get("grpc._cython.cygrpc"), "g_gevent_activated", None) is False:
        yield Finding(
            "grpc waits in C, so a call holds up all others",
            "call grpc.experimental.gevent.init_gevent() before the first channel is made", is_fatal=True,
        )  # fmt: skip


def too_few_descriptors(config: Config) -> Iterator[Finding]:
    """See whether every connection that may come would get a descriptor."""
    room = descriptors.to_spare()
    if room < config.max_connections:
        wanted = config.max_connections + descriptors.RESERVED
        yield Finding(
            f"the limit on open files leaves room for {room} WebSockets, max_connections is {config.max_connections}",
            f"ulimit -n {wanted}, or LimitNOFILE={wanted} in systemd, or a lower max_connections",
        )


def lone_workers(count: int, config: Config) -> Iterator[Finding]:
    """See whether several workers hear each other's broadcasts."""
    if count > 1 and config.backplane == "none":
        yield Finding(
            f"{count} workers and nothing between them, so a broadcast reaches the clients of one only",
            "run one worker (-w 1), or set a backplane", is_fatal=True,
        )  # fmt: skip


def dead_origins(origins: Collection[str], where: str) -> Iterator[Finding]:
    """Find origins that no browser sends in this form, so that who they are meant for is refused."""
    for origin in origins:
        if origin != "*" and not _can_match(origin):
            yield Finding(
                f"{where}: {origin!r} matches no page, so its pages will be refused with 403",
                'write it as scheme, host and port: "https://example.org" or "http://localhost:8080"', is_fatal=True,
            )  # fmt: skip


def _can_match(origin: str) -> bool:
    try:
        check_origin(origin, "", (origin,))
    except Refused:
        return False
    return not origin.lower().startswith(("ws:", "wss:"))  # a page comes by http


def _is_cooperative_psycopg2(extensions: Any) -> bool:  # Any: it ships no types, and may not be installed
    return extensions is None or extensions.get_wait_callback() is not None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in _leading_numbers(version.split(".")))


def _leading_numbers(parts: Iterable[str]) -> Iterator[str]:
    for part in parts:
        if not part.isdecimal():
            return
        yield part


def _worker_count() -> int:
    worker = gunicorns.worker()
    count = getattr(worker.cfg, "workers", 1) if worker is not None else 1
    return count if isinstance(count, int) else 1
