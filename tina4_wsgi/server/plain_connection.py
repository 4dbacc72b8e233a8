"""One connection without TLS: nothing but an object while it waits for a request.

How it works. A newcomer is read once (`begin`): under load its request is there already. Otherwise
the front's poller says that something has come; `on_readable` reads it and looks for the end of a
head. A whole head, or the refusal of one, is a job for a worker of the front, which
runs the application there (`work`). Afterwards the connection waits again, or is closed. Deadlines
are kept by the front's sweeper.

Invariants: a connection that waits is watched by the poller, from `begin` on; one whose request is
being answered stops to be as soon as more comes from the client, or gevent gets a socket over its
descriptor; none is watched any more when its descriptor is closed or given away. Nothing outside of
`work` waits or logs. Errors of ours end this connection and nothing else.
"""

from __future__ import annotations

import logging
import math
import os
import time
from typing import TYPE_CHECKING

from greenlet import GreenletExit, getcurrent

from ..errors import Refused
from ..hosting.switching import Taken
from ..hub import mishaps
from ..hub.poller import Reader
from ..hub.syscalls import close_descriptor
from .handler import REQUESTS_PER_TURN, TOO_SLOW
from .request_head import HeadReader, RequestHead, read_whole_head

if TYPE_CHECKING:
    from collections.abc import Callable

    from gevent import socket as gevent_socket
    from greenlet import greenlet

    from ..hub.dispatcher import Job
    from .front import Front
    from .listening import SocketAddress
    from .plain_handler import PlainHandler

log = logging.getLogger("tina4_wsgi.server")

READ_BYTES = 4_096
"""Most bytes of a head that are read at once: Python allocates the whole size for each read."""


class PlainConnection(Reader):
    """One accepted connection.

    Greenlets: the hub and the workers of the front; `work` may wait.

    Args:
        front: serves it, and owns it from now on.
        descriptor: of the socket, non-blocking; the connection owns it from now on.
        address: the client's.

    Attributes:
        family: of the socket.
        early: bytes that have been received, and not been used yet.
        due_s: when `on_due` is to be called, on the monotonic clock.
        is_waiting: whether its request waits for a worker; the dispatcher sets it.
    """

    __slots__ = (
        "_front",
        "_handler",
        "_has_begun",
        "_head",
        "_is_busy",
        "_is_over",
        "_is_watched",
        "_reader",
        "_refusal",
        "_served",
        "_worker",
        "address",
        "descriptor",
        "due_s",
        "early",
        "family",
        "is_waiting",
    )

    def __init__(self, front: Front, descriptor: int, address: SocketAddress) -> None:
        self._front = front
        self.family = front.family
        self.descriptor = descriptor
        self.address = address
        self.early = b""
        self.due_s = time.monotonic() + front.head_s
        self.is_waiting = False

        self._handler: PlainHandler | None = None
        self._reader: HeadReader | None = None
        self._head: RequestHead | None = None
        self._refusal: Refused | None = None
        self._worker: greenlet | None = None
        self._served = 0
        self._has_begun = self._is_busy = self._is_over = self._is_watched = False

    # -- as the server sees it

    @property
    def is_new(self) -> bool:
        """Whether the connection still waits for its first request."""
        return not self._is_busy and not self._served

    @property
    def is_idle(self) -> bool:
        """Whether the connection waits between two requests, and nothing of the next has come."""
        return not (self._is_busy or self._has_begun) and self._served > 0

    @property
    def environ(self) -> object:
        """The environ of the request that is being answered, None without one."""
        return None if self._handler is None else self._handler.environ

    @property
    def socket(self) -> gevent_socket.socket:
        """The socket, as one of gevent's."""
        if self._handler is None:
            self._handler = self._front.server.plain_handler_class(self, self._front.server)
        return self._handler.socket

    def cut_waiting(self) -> None:
        """Stop waiting for a request; one that has arrived is still served."""
        if self._is_busy:
            return
        try:
            while not self._is_busy:
                data = os.read(self.descriptor, READ_BYTES)
                if not data:
                    break
                self._take(data, self._front.submit)
        except OSError:
            pass  # that was all, or the client has gone
        except Exception as exc:  # noqa: BLE001
            # The others are still to be told.
            self.failed(exc)
        if not self._is_busy:
            self.leave()

    def end_legacy_websocket(self) -> None:
        """Close a WebSocket that gevent-websocket drives with 1001, and end its `receive`."""
        if self._handler is not None:
            self._handler.end_legacy_websocket()

    @property
    def worker(self) -> greenlet | None:
        """The greenlet that answers its request now, None without one."""
        return self._worker

    # -- waiting for a head, in the hub or in a worker that runs a batch

    def watch(self) -> None:
        """Begin to be told what comes from the client.

        Raises:
            OSError: the kernel won't watch it.
        """
        if not self._is_watched:
            self._front.poller.add(self.descriptor, self)
            self._is_watched = True

    def keep_still(self) -> None:
        """Be told nothing until the request is done."""
        if self._is_watched:
            self._is_watched = False
            self._front.poller.remove(self.descriptor)

    def begin(self) -> None:
        """Read what has come since the connection was accepted, and be told of the rest."""
        if self._is_busy or self._is_over:
            return  # the stopping server has served or closed it
        self.on_readable()
        if self._is_busy or self._is_over or self._is_watched:
            return
        try:
            self.watch()
        except OSError as exc:
            self.leave()
            self._front.server.pause_accepting(exc)

    def on_readable(self) -> None:
        """Read once; see `Reader`."""
        try:
            if self._is_busy:
                self.keep_still()
                return
            try:
                data = os.read(self.descriptor, READ_BYTES)
            except BlockingIOError:
                return
            except OSError:
                self.leave()
                return

            if data:
                self._take(data, self._front.run)
            else:
                self._end_of_stream()
        except GreenletExit:
            raise  # the server has waited for the request long enough
        except BaseException as exc:  # noqa: BLE001
            self.failed(exc)

    def _take(self, data: bytes, run: Callable[[Job], None]) -> None:
        if not self._has_begun:
            self._has_begun = True
            self.due_s = time.monotonic() + self._front.head_s
        if self.early:
            data = self.early + data
        try:
            self._head = self._find_head(data)
        except Refused as refusal:
            self._refusal = refusal
        else:
            if self._head is None:
                return
        self._begin(run)

    def _find_head(self, data: bytes) -> RequestHead | None:
        """Return the head that is whole with `data`, and keep what isn't used in `early`."""
        reader = self._reader
        if reader is None:
            found = read_whole_head(data, self._front.limits)
            if found is not None:
                head, size = found
                self.early = data[size:]
                return head
            reader = self._reader = HeadReader(self._front.limits)

        self.early = data[reader.feed(data) :]
        if reader.head is not None:
            self._reader = None
        return reader.head

    def _begin(self, run: Callable[[Job], None]) -> None:
        self._is_busy = True
        self.due_s = math.inf
        run(self)

    def _end_of_stream(self) -> None:
        reader = self._reader
        if reader is None or not (self.early or reader.has_begun):
            self.leave()
            return
        try:
            reader.take(self.early)
        except Refused as refusal:
            self._refusal = refusal
            self._begin(self._front.run)
        else:
            self.leave()

    # -- deadlines, see `Sweeper`

    def on_due(self, now_s: float) -> None:
        """Give up waiting.

        Without a request there is no 408: browsers open connections ahead of need, and would take
        it for the response to the request that they are about to send.
        """
        if self._has_begun:
            self._refusal = Refused(408, TOO_SLOW)
            self._begin(self._front.run)
        else:
            self.leave()

    def failed(self, error: BaseException) -> None:
        """End the connection after an error of ours."""
        mishaps.report(log, "an HTTP connection failed", error=error)
        if self._worker is None:
            self.leave()

    # -- answering, in a worker

    def work(self) -> None:
        """Answer the request that has come, and those that came with it."""
        if self._is_over:
            return  # the stopping server has closed it
        self._worker = getcurrent()
        is_kept, was_killed = False, True
        try:
            is_kept = self._answer()
            was_killed = False
        except Exception as exc:
            log.exception("an HTTP connection failed", exc_info=exc)
        finally:
            self._worker = None
            if not is_kept:
                self._end(was_killed)

    def _answer(self) -> bool:
        """Answer what has come; return whether the connection goes on."""
        front = self._front
        handler = self._handler
        if handler is None:
            handler = self._handler = front.server.plain_handler_class(self, front.server)

        for _ in range(REQUESTS_PER_TURN):
            head, self._head = self._head, None
            handler.begin()
            if head is None:
                refusal, self._refusal = self._refusal, None
                if refusal is not None and not front.server.is_stopping:
                    handler.refuse(refusal.status, refusal.message)
                return False

            if not handler.answer(head):
                return False
            self._served += 1
            handler.give_back()
            if not self.early:
                break
            try:
                self._head = self._find_head(self.early)
            except Refused as refusal:
                self._refusal = refusal
            else:
                if self._head is None:
                    break
        else:
            # Others have their turn before the next request of this client.
            front.submit(self)
            return True

        return self._wait_for_next()

    def _wait_for_next(self) -> bool:
        front, handler = self._front, self._handler
        if handler is None or handler.is_gone:
            return False  # the application has closed the socket
        self._is_busy = False
        reader = self._reader
        self._has_begun = bool(self.early) or (reader is not None and reader.has_begun)
        wait_s = front.head_s if self._has_begun else front.idle_s
        self.due_s = time.monotonic() + wait_s
        try:
            self.watch()
        except OSError:
            return False
        return True

    # -- the end

    def _end(self, was_killed: bool) -> None:
        self.keep_still()
        try:
            if self._handler is not None:
                self._handler.hang_up(was_killed)
            else:
                self.close(drops=was_killed)
        finally:
            self._forget()

    def part(self, head: bytes) -> Taken:
        """Give the socket away; see `Line`."""
        self.keep_still()
        descriptor, self.descriptor = self.descriptor, -1
        early, self.early = self.early, b""
        return Taken(descriptor, early, head)

    def leave(self) -> None:
        """Close the connection without a word."""
        self.close(drops=False)
        self._forget()

    def close(self, *, drops: bool) -> None:
        """Close the socket; see `Line`."""
        self.keep_still()
        handler = self._handler
        if handler is not None and handler.has_socket:
            handler.socket.close()
            return

        descriptor, self.descriptor = self.descriptor, -1
        if descriptor < 0:
            return
        if not drops:
            # Bytes that nobody has read would reset the connection, and the response be lost.
            try:
                os.read(descriptor, READ_BYTES)
            except OSError:
                pass
        close_descriptor(descriptor)

    def _forget(self) -> None:
        self.due_s = math.inf
        self._is_busy = self._is_over = True
        self._handler = None
        self.descriptor = -1  # another connection may have the same number by now
        self._front.forget(self)
