"""What the log says of one connection, under the name `tina4_wsgi.connection`.

Invariant: no function here raises, see `hub.mishaps`; and none is called in the hub, which never
logs.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ..hub import mishaps

if TYPE_CHECKING:
    from ..errors import ConnectionClosed, MessageError
    from .connection import Connection
    from .served_route import ServedRoute

logger = logging.getLogger("tina4_wsgi.connection")


def opened(connection: Connection) -> None:
    """Say that a connection opened, from where and on which path."""
    if logger.isEnabledFor(logging.INFO):
        mishaps.log(
            logger,
            logging.INFO,
            "open %s %.200r from %s",
            connection.id,
            connection.path,
            connection.ip or "a local socket",
        )


def failed(connection: Connection, code: int, fault: str) -> None:
    """Say what the peer did wrong, so that the connection ends."""
    mishaps.log(
        logger,
        logging.WARNING,
        "failed %s %.200r from %s: %d %s",
        connection.id,
        connection.path,
        connection.ip,
        code,
        fault,
    )


def closed(connection: Connection, code: int, lasted_s: float, message_count: int) -> None:
    """Say that a connection is over, and what there was."""
    if logger.isEnabledFor(logging.INFO):
        mishaps.log(
            logger,
            logging.INFO,
            "close %s %.200r %d after %.1f s, %d messages",
            connection.id,
            connection.path,
            code,
            lasted_s,
            message_count,
        )


def killed(service: ServedRoute, connection: Connection, event: str) -> None:
    """Say that somebody killed the greenlet of a callback."""
    mishaps.log(
        logger,
        logging.WARNING,
        "callback of %s was killed at %r, connection %s",
        service.path,
        event,
        connection.id,
    )


def raised(service: ServedRoute, connection: Connection, event: str, error: BaseException) -> None:
    """Say what a callback raised, with its traceback."""
    mishaps.log(
        logger,
        logging.ERROR,
        "callback of %s raised at %r, connection %s",
        service.path,
        event,
        connection.id,
        error=error,
    )


def refused(service: ServedRoute, connection: Connection, error: MessageError) -> None:
    """Tell of a client's bad message in one line: tracebacks would let it fill the log."""
    mishaps.log(
        logger,
        logging.WARNING,
        "message on %s refused, connection %s: %.200s",
        service.path,
        connection.id,
        ascii(str(error))[1:-1],
    )


def sent_too_late(service: ServedRoute, error: ConnectionClosed) -> None:
    """Say that a callback sent something when its connection was over."""
    mishaps.log(logger, logging.DEBUG, "%s: sent after the end, %s", service.path, error)


def unanswered(service: ServedRoute, connection: Connection, limit_s: float) -> None:
    """Say that `auth` takes too long."""
    mishaps.log(
        logger,
        logging.ERROR,
        "auth of %s has not answered within %.1f s, connection %s",
        service.path,
        limit_s,
        connection.id,
    )
