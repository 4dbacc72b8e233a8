"""A client with a valid handshake, until its 101 is sent or is known never to be."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from ..errors import Refused
from ..hosting.refusals import path_for_log
from ..hub.native import get_ident
from ..protocol.frames import CloseCode
from ..routing.names import GroupKind

if TYPE_CHECKING:
    from ..engine.engine import Engine
    from ..engine.runtime import Runtime
    from ..hosting.switching import Taken
    from ..websocket.connection import Accepted
    from ..websocket.inquiries import Farewell, Inquiry

logger = logging.getLogger("tina4_wsgi.upgrade")

_RETRY_AFTER_S = 5
RETRY_LATER = (("Retry-After", str(_RETRY_AFTER_S)),)
"""The field of a refusal that another process, or this one soon, may spare a client."""

_LOCATION = re.compile(rb"\r\nlocation:[ \t]*([^\r\n]*)", re.IGNORECASE)
_STATUS = slice(len(b"HTTP/1.1 "), len(b"HTTP/1.1 200"))


class Arrival:
    """Has broadcasts to a client's path come to this process before its 101, then lets it in.

    Args:
        runtime: the process where it will be served.
        engine: the engine that will serve it, which may be another thread's.
        visit: the outcome of its handshake.
        has_own_drain: whether the server drains the app itself, and so needs no stop guard.
        inquiry: the question to `auth`; ended here. None where nothing is asked or waited for until
            the connection is taken, and others on its path have its broadcasts come already.
        server: our own server where it is the host, None for any other.
    """

    __slots__ = (
        "_engine",
        "_has_own_drain",
        "_inquiry",
        "_is_over",
        "_runtime",
        "_server",
        "_visit",
    )

    def __init__(
        self,
        runtime: Runtime,
        engine: Engine,
        visit: Accepted,
        has_own_drain: bool,
        inquiry: Inquiry | None,
        server: object = None,
    ) -> None:
        self._inquiry = inquiry
        self._runtime = runtime
        self._engine = engine
        self._visit = visit
        self._has_own_drain = has_own_drain
        self._server = server
        self._is_over = inquiry is None
        if inquiry is not None:
            inquiry.keep()
            runtime.fanout.entered(GroupKind.PATH, visit.path)

    def wait_until_welcome(self, spare: int, has_waited: bool) -> None:
        """Wait briefly until broadcasts of other processes arrive; see whether it may still come.

        Args:
            spare: as of `check_room`.
            has_waited: whether time has passed since there was room: `auth` was asked.
        Raises:
            Refused: 503, there is no room any more; or a `disconnect` has meant this login or this
                path since `auth` was asked.
        """
        had_to_wait = self._runtime.fanout.wait_until_heard(GroupKind.PATH, self._visit.path)
        if had_to_wait or has_waited:
            check_room(self._runtime, self._engine, spare)
        if (farewell := self._farewell()) is not None:
            raise farewell.refusal()

    def take(self, taken: Taken) -> None:
        """Begin to serve the connection."""
        engine = self._engine
        if get_ident() == engine.thread_ident:
            self._begin(taken)
        else:
            engine.mailbox.post(self._begin, taken)

        if not self._has_own_drain:
            self._runtime.stop_guard.stand_guard(self._server)

    def _begin(self, taken: Taken) -> None:
        """Begin to serve, in the hub's thread."""
        engine = self._engine
        try:
            lifecycle = engine.adopt(taken, self._visit)
            # A `disconnect` may have come while the 101 was being sent.
            if (farewell := self._farewell()) is not None:
                engine.say_goodbye([lifecycle.connection], farewell.code, farewell.reason)
        finally:
            self.cancel()

        # A middleware may have held the answer back until the process began to stop.
        if self._runtime.is_draining:
            lifecycle.dismiss(CloseCode.GOING_AWAY, "going away")

    def give_up(self, answer: bytes, nearest: str) -> None:
        """Log that the client was let in here, and sent away by a middleware around the app."""
        self.cancel()
        status = answer[_STATUS].decode("latin-1") or "nothing"
        location = _LOCATION.search(answer)
        logger.warning(
            "'%s' was not upgraded: %s, or what stands around that, answered %s%s in place of the "
            "101; let it pass on the status of requests with an Upgrade field",
            path_for_log(self._visit.path),
            nearest,
            status,
            f" to '{path_for_log(location[1].decode('latin-1'))}'" if location else "",
        )

    def cancel(self) -> None:
        """Ask for no more broadcasts on the client's behalf; harmless when repeated."""
        if not self._is_over:
            self._is_over = True
            assert self._inquiry is not None
            self._inquiry.end()
            self._runtime.fanout.left(GroupKind.PATH, self._visit.path)

    def _farewell(self) -> Farewell | None:
        inquiry = self._inquiry
        return None if inquiry is None else inquiry.farewell_to(self._visit.auth)


def check_room(runtime: Runtime, engine: Engine, spare: int) -> None:
    """Check that this process takes one more connection.

    Args:
        spare: how many connections beyond the cap its route may have.
    Raises:
        Refused: 503, it is full or about to stop.
    """
    if runtime.is_draining or not engine.has_room(spare):
        raise Refused(503, "no further connection can be taken now, try again later", RETRY_LATER)
