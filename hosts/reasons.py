"""Why a cell of the table is no plain yes: what a server makes impossible, and what there is
instead.

Where there is something instead, it is checked in place of the column.
"""

from __future__ import annotations

from dataclasses import dataclass

from .checks import (
    Check,
    OwnServerCheck,
    never_replaced,
    refused_after_101,
    refused_early,
)
from .host import Host


@dataclass(frozen=True)
class Reason:
    """A footnote.

    Attributes:
        mark: the letter that the cell has.
        cell: the word before it.
        text: the note below the table.
        instead: what must hold all the same, on a server that runs; None for nothing to try.
        instead_alone: the same, on a server of its own.
    """

    mark: str
    cell: str
    text: str
    instead: Check | None = None
    instead_alone: OwnServerCheck | None = None

    def __str__(self) -> str:
        return f"{self.cell} ({self.mark})"


LATE = Reason(
    "a",
    "1008",
    "gevent-websocket's handler answers 101 before it asks any application, so a refusal can only "
    "be a close frame: "
    "1008 with the reason. For the same cause no subprotocol and no compression are agreed on "
    "here.",
    refused_after_101,
)
PLAIN = Reason("b", "–", "This server does no TLS; nginx before it does.")
PORTS_ONLY = Reason("c", "–", "This server listens on ports only.")
ONE_PROCESS = Reason(
    "d",
    "–",
    "Tried as the one process that it is by default. `--workers N` puts another above, which "
    "replaces workers on "
    "SIGHUP (docs/cli.md); there is neither preloading nor `max_requests`.",
)

NOT_COUNTED = Reason(
    "e",
    "no",
    "gunicorn counts requests in its own loop, which its pywsgi workers don't use: under them "
    "`--max-requests` "
    "replaces no worker, whatever the application is.",
    instead_alone=never_replaced,
)

KEPT = Reason(
    "f",
    "400",
    "uWSGI keeps what it has read behind a handshake, so a client that doesn't wait for the "
    "answer, as RFC 6455 §4.1 has it, is refused rather than served with a gap. Browsers wait.",
    refused_early,
)
NO_TLS = Reason(
    "g",
    "–",
    "A connection of `--https-socket` can't be taken; nginx or uWSGI's router (`--https`) does "
    "TLS.",
)
NO_MASTER = Reason(
    "h", "–", "There is nothing above this one process that preloads or replaces it."
)

REASONS = (LATE, PLAIN, PORTS_ONLY, ONE_PROCESS, NOT_COUNTED, KEPT, NO_TLS, NO_MASTER)


def reason_for(host: Host, column: str) -> Reason | None:
    """Give why a column can't be a yes under a host; None where it must be one."""
    if not host.has_workers and column in ("preload", "HUP", "max_requests"):
        return NO_MASTER if host.is_plain else ONE_PROCESS
    if not host.has_tls and column == "TLS":
        return PLAIN
    if not host.has_unix and column == "UNIX socket":
        return PORTS_ONLY
    if host.is_uwsgi and column in ("early frame", "TLS"):
        return KEPT if column == "early frame" else NO_TLS
    if host.answers_first and column == "404 before the 101":
        return LATE
    if host.runs_pywsgi and column == "max_requests":
        return NOT_COUNTED
    return None
