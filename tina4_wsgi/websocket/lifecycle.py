"""Runs one connection, in order: "open", messages one at a time, "close" exactly once.

How it works. The hub feeds bytes to the session, and whole messages gather in `_inbound`. A worker
greenlet takes the connection (`work`), runs its callbacks until none is due, and returns to the
pool. The hub may notice the connection's end at any time and stores it in `_ending`. While
callbacks are due, the worker carries out the end after the last message, so replies to earlier
messages leave before the close frame. Otherwise the hub carries it out at once; it does the same
if no worker becomes free for `_PATIENCE_S`, so the closing handshake doesn't wait for the callbacks
of other connections.

States of the sending side:
- OPEN: frames can be sent.
- CLOSING: our close frame is out, the peer's is awaited, and messages are dropped.
- GONE: the socket was lost; messages that had arrived are still delivered.
- OVER: nothing more will be sent, and callbacks are still due.
- CLOSED: the "close" callback has begun; the transport does the rest.
- FORSAKEN: this process is a forked child, and the connection is its parent's.

Invariants: at most one worker at a time (`_is_busy`); code that runs in the hub neither waits nor
logs; `_ending` is set once; code that takes messages from `_inbound` also subtracts their bytes
from the session's count and the owner's.
"""

from __future__ import annotations

import time
from contextvars import Context
from typing import TYPE_CHECKING, Any, NamedTuple

from gevent import Timeout
from greenlet import GreenletExit

from ..errors import ConnectionClosed, ForkError, MessageError, ProtocolError, Refused
from ..hub import mishaps
from ..hub.native import get_ident
from ..protocol.deflate import compress_frame
from ..protocol.frames import CloseCode, close_payload, encode_close
from ..protocol.session import Session
from . import connection_log
from .deadlines import NEVER, Deadlines, Due
from .seams import NOBODY, ConnectionOwner, TransportOwner
from .transport import ENDED, INBOUND_FULL, Transport

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..routing.callbacks import Event
    from .connection import Connection
    from .served_route import ServedRoute


_NEVER = NEVER  # in the compiled module a plain double

_OPEN, _CLOSING, _GONE, _OVER, _CLOSED, _FORSAKEN = range(6)

_PING = b"\x89\x00"

_PATIENCE_S = 0.5
"""How long the end of a connection waits for its callbacks that still wait for a worker. In a short
burst these callbacks still run, and their replies leave before the close frame.
"""

_SHARES = 8
"""A thread handles messages of an eighth of `max_outbound_bytes` in one go, then the hub looks at
what is queued for the client.
"""


class Ending(NamedTuple):
    """How a connection ends.

    Attributes:
        code: the app's `close_code`.
        reason: the app's `close_reason`.
        was_clean: whether both sides sent a close frame.
        answer: the code of the close frame to send, None to send none.
        fault: the peer's fault, for the log; "" for none.
    """

    code: int
    reason: str
    was_clean: bool
    answer: int | None = None
    fault: str = ""


class _Recheck:
    """A re-check of the login, as a separate job."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle
        self.is_waiting = False

    def work(self) -> None:
        """Make the re-check; the dispatcher calls this."""
        self._lifecycle.recheck()


class Lifecycle(TransportOwner):
    """The internal side of one connection; callbacks see it as a `Connection`.

    Args:
        owner: the owner of all connections of this hub.
        service: the route as its app serves it.
        window_bits: the window of permessage-deflate for frames to the client; 0 without it.

    Attributes:
        connection: the object that callbacks get.
        transport: the connection's socket, with its counters.
        close_code, close_reason: see `Connection`.
        connected_at_s: when the opening handshake was done, in seconds since 1970.
        message_count: how many messages the callback got.
        rooms: room → group, filled by the owner. None before the first room.
        is_waiting: whether the callbacks wait for a worker; the dispatcher sets it.
    """

    __slots__ = (
        "_awaits_mark",
        "_callback",
        "_deadlines",
        "_ending",
        "_goodbye",
        "_inbound",
        "_is_busy",
        "_is_ended",
        "_is_full",
        "_is_opened",
        "_is_recheck_due",
        "_is_rechecking",
        "_session",
        "_state",
        "_was_clean",
        "_weighed_bytes",
        "close_code",
        "close_reason",
        "connected_at_s",
        "connection",
        "is_waiting",
        "message_count",
        "owner",
        "rooms",
        "service",
        "transport",
        "window_bits",
    )

    def __init__(self, owner: ConnectionOwner, service: ServedRoute, window_bits: int) -> None:
        self.connection: Connection
        self.transport: Transport
        self.owner = owner
        self.service = service
        self.window_bits = window_bits
        self.connected_at_s = time.time()

        self._callback = owner.callback_of(service)
        self._deadlines = Deadlines(service.limits, time.monotonic(), service.has_auth)
        # Both only as long as there is something in them, see `_begin_session`.
        self._session: Session | None = None
        self._inbound: list[str | bytes] | None = None

        self._state = _OPEN
        self._is_busy = self._is_full = self._is_opened = self._is_ended = False
        self._is_recheck_due = self._is_rechecking = False
        self._awaits_mark = False
        self._ending: Ending | None = None
        self._goodbye: tuple[int, str] | None = None

        self.close_code: int | None = None
        self.close_reason = ""
        self._was_clean = False

        self.message_count = 0
        self._weighed_bytes = 0
        self.rooms: dict[str, Any] | None = None  # Any: the owner's groups
        self.is_waiting = False

    def attach(self, connection: Connection, transport: Transport) -> None:
        """Set the object for callbacks and the socket; called once, before all other methods."""
        self.connection = connection
        self.transport = transport

    def release(self) -> None:
        """Refer to nothing that refers back, once all is over: reference counts free it then."""
        if self._is_rechecking:
            return  # an `auth` that outlasts its connection is still asked about it
        self.connection = None  # type: ignore[assignment]  # nothing asks for it any more
        self.transport.release(NOBODY)

    @property
    def closed(self) -> bool:
        """Whether the connection can no longer send."""
        return self._state != _OPEN

    @property
    def is_over(self) -> bool:
        """Whether "close" is done and the peer knows of the end, so the socket may be closed."""
        return self._is_ended and (self._was_clean or not self.transport.is_open)

    @property
    def was_closed_by_peer(self) -> bool:
        """Whether `close_code` came in the peer's close frame, not from our side or a fault."""
        ending = self._ending
        return ending is not None and ending.answer is not None and not ending.fault

    @property
    def may_return(self) -> bool:
        """Whether this is a `ReturningLifecycle`."""
        return False

    @property
    def is_marked(self) -> bool:
        """Whether each message begins with a mark; see `returning`."""
        return False

    @property
    def me(self) -> str:
        """The name that the client gave itself; "" for none."""
        return ""

    @property
    def resumed(self) -> bool | None:
        """See `Connection.resumed`."""
        return None

    @property
    def due_s(self) -> float:
        """When `on_due` is to be called, on the monotonic clock."""
        return self._deadlines.due_s

    @property
    def waiting_count(self) -> int:
        """How many messages wait for the callback."""
        return len(self._inbound or ())

    # -- called by `Connection`, in any greenlet and any native thread

    def send(self, frame: bytes) -> None:
        """Send one frame; waits while too many bytes are queued for this client."""
        if self.window_bits:
            frame = self._compressed(frame)

        owner = self.owner
        if get_ident() != owner.thread_ident:
            self._post(frame)
        elif self._state != _OPEN:
            raise self._closed_error()
        else:
            if owner.is_keeping:
                if not owner.finish_keeping(self):
                    owner.put_behind(self._write_message, frame)
                    return
                if self._state != _OPEN:
                    raise self._closed_error()
            transport = self.transport
            transport.sent_messages += 1
            if transport.write(frame) > transport.most_bytes:
                self._wait_for_room()

    def _compressed(self, frame: bytes) -> bytes:
        """Compress a frame as this client agreed to, if it did."""
        limits = self.service.limits
        return compress_frame(
            frame,
            self.window_bits,
            limits.deflate_threshold_bytes,
            limits.deflate_level,
            limits.deflate_mem_level,
        )

    def join(self, room: str) -> None:
        """Join a named room; waits briefly."""
        self.check_process()
        owner = self.owner
        if get_ident() == owner.thread_ident:
            self._join(room)
        else:
            owner.mailbox.call_waiting(self._join, room)

    def leave(self, room: str) -> None:
        """Leave a named room; harmless if the connection isn't in it."""
        self._here(self._in_turn, self.owner.leave, self, room)

    def close(self, code: int, reason: str) -> None:
        """Close, from any thread; see `Connection.close`."""
        # A bad code is the caller's fault, even if the connection is closed already.
        close_payload(code, reason)
        self._here(self._in_turn, self.begin_close, code, reason)

    def _in_turn(self, function: Callable[..., object], *args: object) -> None:
        """Call a function, which doesn't wait, behind what was said before."""
        owner = self.owner
        if owner.is_keeping and not owner.finish_keeping(self):
            owner.put_behind(function, *args)
        else:
            function(*args)

    def refresh_auth(self, connection: Connection) -> bool:
        """Call `auth` again, and return whether the client may stay; see `Connection`."""
        self.check_process()
        owner = self.owner
        with owner.inquiries.begin(connection.path) as inquiry:
            try:
                auth = owner.run_apps(
                    self.service.authenticate, connection.environ(), connection.params
                )
            except Refused as refusal:
                if refusal.status >= 500:
                    # Logged already; one database hiccup must not disconnect all clients.
                    return True
                code = CloseCode.FORBIDDEN if refusal.status == 403 else CloseCode.UNAUTHENTICATED
                self.close(code, refusal.message)
                return False
            farewell = inquiry.farewell_to(auth)
            if farewell is None:
                connection.auth = auth

        if farewell is not None:  # a log-out came while `auth` was answering
            self.close(farewell.code, farewell.reason)
            return False
        self._deadlines.renew_login(time.monotonic())
        return True

    def check_process(self) -> None:
        """Check that this is no forked child: no hub runs there to answer other threads.

        Raises:
            ForkError: this process is a forked child.
        """
        if self._state == _FORSAKEN:
            raise self._closed_error()

    def _here(self, function: Callable[..., object], *args: Any) -> None:
        """Call `function`, which must not wait, in the hub's thread."""
        self.check_process()
        owner = self.owner
        if get_ident() == owner.thread_ident:
            function(*args)
        else:
            owner.mailbox.call(function, *args)

    def _post(self, frame: bytes) -> None:
        """Send from another native thread, which waits only where too much is queued."""
        if self._state != _OPEN:
            raise self._closed_error()
        transport, mailbox = self.transport, self.owner.mailbox
        mailbox.post(self._send_posted, frame, size_bytes=len(frame))
        if transport.queued_bytes > transport.most_bytes:
            mailbox.call_waiting(self._wait_for_room)

    def _send_posted(self, frame: bytes) -> None:
        """Send for another native thread; in the hub."""
        owner = self.owner
        if owner.is_keeping and not owner.finish_keeping():
            owner.put_behind(self._write_message, frame)
        else:
            self._write_message(frame)

    def _write_message(self, frame: bytes) -> None:
        """Queue a message, if the connection is open."""
        if self._state == _OPEN:
            self.transport.sent_messages += 1
            self.transport.write(frame)

    def _wait_for_room(self) -> None:
        self._wait_while_over(self.transport.most_bytes)
        if self._state != _OPEN:
            raise self._closed_error()

    def _wait_while_over(self, most_bytes: int) -> None:
        """Wait while more than `most_bytes` are queued for this client, and it is connected."""
        transport = self.transport
        transport.flush()  # perhaps frames only wait for the end of the turn
        while transport.queued_bytes > most_bytes and self._state == _OPEN:
            transport.wait_for_room()
            # Another greenlet may have queued more before this one went on.
            transport.flush()

    def _join(self, room: str) -> None:
        if self._state != _OPEN:
            raise self._closed_error()
        self.owner.join(self, room)

    def _closed_error(self) -> ConnectionClosed | ForkError:
        if self._state == _FORSAKEN:
            return self.owner.fork_error("and this one is its parent's")
        code = CloseCode.ABNORMAL if self.close_code is None else self.close_code
        return ConnectionClosed(code, self.close_reason, self._was_clean)

    # -- called in the hub by the transport

    def begin(self, early: bytes) -> None:
        """Start reading, and schedule the "open" callback.

        Args:
            early: bytes that arrived right behind the opening handshake.
        """
        self.transport.start()
        self._wake()
        if early:
            self.received(early)

    def received(self, data: bytes) -> None:
        """Handle bytes that the peer sent; called with b"" to go on after a pause."""
        self.received_raw(data, len(data))

    def received_raw(self, raw: bytes, size: int) -> None:
        """Handle `size` bytes that the peer sent; see `TransportOwner`."""
        session, inbound = self._session, self._inbound
        if session is None:
            session = self._begin_session()
            inbound = self._inbound
        assert inbound is not None

        try:
            if session.feed_raw(raw, size, inbound):
                self._read_control()
        except ProtocolError as error:
            self._fail(error)

        if inbound:
            if len(inbound) >= session.most_messages or session.queued_bytes >= session.most_bytes:
                self._is_full = True
                self.transport.pause(INBOUND_FULL)
            if self._state != _OPEN:
                self._drop_late_messages()
                return
            if not self._is_busy:
                self._is_busy = True
                dispatcher = self.owner.dispatcher
                if dispatcher.takes_job_here():
                    self.work()
                else:
                    dispatcher.run(self)

        if self._session is not None:  # else all is done, as nearly always
            self.left_waiting()

    def left_waiting(self) -> None:
        """Weigh what is left; see `TransportOwner`."""
        session = self._session
        if session is None:
            return
        # Nearly all messages are handled at once, and those are never weighed.
        if self._inbound or session.is_assembling or self._weighed_bytes:
            self._weigh()
        self._end_session()

    def _begin_session(self) -> Session:
        """Take the owner's spare session, or make one.

        Most connections are silent most of the time: a session and a list of messages for each
        would be an eighth of their memory.
        """
        owner = self.owner
        session = owner.spare_session
        if session is not None and owner.spare_service is self.service and not self.window_bits:
            owner.spare_session = None
            self._inbound = owner.spare_inbound
        else:
            session = Session(self.service.limits, self.window_bits > 0)
            self._inbound = []
        self._session = session
        return session

    def _end_session(self) -> None:
        """Let go of the session if it is as new; not while a worker goes through the messages."""
        session, inbound = self._session, self._inbound
        if session is None:
            return
        assert inbound is not None
        if inbound or self._is_busy or not session.is_as_new():
            return

        if not self.window_bits:
            owner = self.owner
            owner.spare_session, owner.spare_inbound = session, inbound
            owner.spare_service = self.service
        self._session = self._inbound = None

    def _weigh(self) -> None:
        """Update the count of this peer's waiting bytes; stop reading if the owner holds too many.

        Goes on reading where no message waits, since nothing would ever resume reading.
        """
        session = self._session
        owner, held_bytes = self.owner, 0 if session is None else session.held_bytes
        owner.inbound_bytes += held_bytes - self._weighed_bytes
        self._weighed_bytes = held_bytes
        if owner.inbound_bytes > owner.most_inbound_bytes and self._inbound and not self._is_full:
            self._is_full = True
            self.transport.pause(INBOUND_FULL)

    def _drop_late_messages(self) -> None:
        """Drop what has arrived; only the peer's close frame matters, which may lie behind more."""
        self._drop_inbound()
        if self._is_full:
            self.owner.hub.loop.run_callback(self._go_on)

    def _drop_inbound(self) -> None:
        if self._session is not None:
            assert self._inbound is not None
            self._inbound.clear()
            self._session.queued_bytes = 0
            if self._weighed_bytes:
                self._weigh()

    def _read_control(self) -> None:
        session = self._session
        assert session is not None
        if session.pongs is not None:
            pongs, session.pongs = session.pongs, None
            if self._state == _OPEN:
                self.transport.write_pongs(pongs)

        if session.peer_close is not None:
            code, reason = session.peer_close
            if self._state == _CLOSING:
                assert self.close_code is not None
                self._note(Ending(self.close_code, self.close_reason, True))
            else:
                self._note(Ending(code, reason, True, answer=code))

    def _fail(self, error: ProtocolError) -> None:
        if self._state == _CLOSING:
            assert self.close_code is not None
            self._note(Ending(self.close_code, self.close_reason, False))
        else:
            self._note(
                Ending(error.close_code, error.reason, False, error.close_code, error.reason)
            )

    def peer_finished(self) -> None:
        """Note that the peer ended its side without a close frame; replies may still reach it."""
        self._note(Ending(self.close_code or CloseCode.ABNORMAL, self.close_reason, False))

    def lost(self) -> None:
        """Note that the socket is gone."""
        if self._state == _OPEN:
            self._state = _GONE
        if self._state != _CLOSED:
            self.owner.leave_groups(self)
            self._note(Ending(self.close_code or CloseCode.ABNORMAL, self.close_reason, False))
        if self._is_ended:
            self.owner.forget(self)

    def stalled(self) -> None:
        """Start the send timeout: the kernel takes no more bytes."""
        self._deadlines.watch_stall(time.monotonic())

    def overflowed(self, size_bytes: int) -> bool:
        """Return whether to queue a broadcast that would exceed `max_outbound_bytes`."""
        limits = self.service.limits
        if limits.on_slow == "close":
            self._give_up_on_slow_peer()
            return False

        self.owner.drops_for_slow += 1
        if limits.on_slow == "drop_newest":
            return False

        # A quarter at once: each search for the oldest goes through the whole backlog.
        self.transport.drop_oldest(max(size_bytes, limits.max_outbound_bytes // 4))
        most: int = limits.max_outbound_bytes
        return self.transport.queued_bytes + size_bytes <= most

    def failed(self, error: BaseException) -> None:
        """Log a bug of this package, and abort the connection."""
        self.owner.report("connection to %s failed", self.service.path, error=error)
        self.transport.abort()

    def _note(self, ending: Ending) -> None:
        """Store how the connection ends, to be carried out after earlier messages."""
        if self._ending is not None or self._state == _CLOSED:
            return
        self._ending = ending
        self.transport.pause(ENDED)
        if self._state == _CLOSING or not (self._is_busy or self._inbound):
            self._end_on_wire(ending)
        else:
            self._be_patient()
        self._wake()

    def _be_patient(self) -> None:
        """Leave the end to the worker that is due, but only for `_PATIENCE_S`; see `on_due`."""
        self._deadlines.be_patient(time.monotonic() + _PATIENCE_S)

    def _wake(self) -> None:
        if not self._is_busy:
            self._is_busy = True
            self.owner.dispatcher.submit(self)

    def _go_on(self) -> None:
        """Resume reading after the inbound limit; in a new turn, so others get their turns."""
        if not self._is_full or self._state not in (_OPEN, _CLOSING):
            return

        self._is_full = False
        if self._ending is None:
            try:
                self.transport.resume(INBOUND_FULL)
                self.received(b"")
            except BaseException as exc:  # noqa: BLE001
                # Otherwise the hub would swallow the error and the connection would be stuck.
                self.failed(exc)

    # -- called in the hub by the sweeper

    def on_due(self, now_s: float) -> None:
        """Act on a deadline that has passed, and set the next one."""
        deadlines, transport = self._deadlines, self.transport

        if self.is_waiting and deadlines.take_patience_over(now_s):
            self._end_without_worker()
        elif self._state == _OPEN:
            self._do_what_is_due(now_s)
        else:
            deadlines.rest()
            if transport.is_settled:
                transport.close()
            else:
                # The closing handshake, or the peer's FIN after it, has taken too long.
                transport.abort()

    def _end_without_worker(self) -> None:
        """Send the close frame without a worker: none has been free for too long."""
        if self._ending is not None:
            self._end_on_wire(self._ending)
        elif self._goodbye is not None:
            self.begin_close(*self._goodbye)

    def _do_what_is_due(self, now_s: float) -> None:
        transport = self.transport
        while True:
            heard = None if transport.is_paused else transport.was_heard
            stalled_since_s = transport.stalled_since_s
            due = self._deadlines.look(now_s, heard, stalled_since_s, self._is_busy)
            if due is Due.PING:
                transport.was_heard = False
                transport.write(_PING)
            elif due is Due.RECHECK:
                self._be_rechecked()
            else:
                break

        if due is Due.SLOW:
            self._give_up_on_slow_peer()
        elif due is Due.SILENT:
            self.close_reason = "no pong"
            transport.abort()
        elif due is Due.IDLE:
            self.begin_close(CloseCode.NORMAL, "idle")
        elif due is Due.STALE:
            self._login_is_stale()

    def _be_rechecked(self) -> None:
        """Schedule a re-check between callbacks, or beside one that still runs since the last."""
        if self._is_recheck_due and not self._is_rechecking:
            self.owner.dispatcher.submit(_Recheck(self))
        self._is_recheck_due = True
        self._wake()

    def _give_up_on_slow_peer(self) -> None:
        """Close with 1013, and drop the waiting frames, which the peer doesn't take."""
        if self._state == _OPEN:
            self.owner.slow_consumers += 1
            self.transport.drop_backlog()
            self.begin_close(CloseCode.TRY_AGAIN_LATER, "slow consumer")

    # -- closing, from any greenlet of the hub's thread

    def dismiss(self, code: int, reason: str, *, is_last_call: bool = False) -> None:
        """Close after the callbacks that are due, so that their replies are still sent.

        Args:
            is_last_call: close now; replies of callbacks are lost.
        """
        if is_last_call or not self._is_busy:
            self.begin_close(code, reason)
        elif self._state == _OPEN:
            self._goodbye = code, reason
            self._is_full = True  # read no more before the close
            self.transport.pause(INBOUND_FULL)
            self._be_patient()

    def cut(self) -> None:
        """Close the socket, whatever is still due.

        Resets the connection only if the peer got no close frame, or takes no bytes: a reset may
        overtake our close frame.
        """
        transport = self.transport
        if self.is_over or (self._state != _OPEN and not transport.queued_bytes):
            transport.close()
        else:
            transport.abort()

    def forsake(self) -> None:
        """Do nothing more in a forked child: this client belongs to the parent."""
        self._state = _FORSAKEN
        self._is_opened = True
        self._ending = self._goodbye = None
        if self._inbound is not None:
            self._inbound.clear()
        self.transport.forsake()

    def begin_close(self, code: int, reason: str) -> None:
        """Send our close frame behind all queued frames, and await the peer's."""
        frame = encode_close(code, reason)
        if self._state != _OPEN:
            return

        self.owner.leave_groups(self)
        self._state = _CLOSING
        # int: an IntEnum prints differently on Python 3.10.
        self.close_code, self.close_reason = int(code), reason
        self._drop_inbound()

        self.transport.write_last(frame)
        self._deadlines.end_within(time.monotonic())
        if self._is_full:
            self.owner.hub.loop.run_callback(self._go_on)

    def _end_on_wire(self, ending: Ending) -> None:
        """Send the last close frame, if any, and end the writing side; in the hub or a worker."""
        self.owner.leave_groups(self)
        if ending.answer is not None and self._state == _OPEN:
            reason = ending.reason if ending.fault else ""
            self.transport.write_last(encode_close(ending.answer, reason))

        self._state = _OVER
        self.close_code, self.close_reason, self._was_clean = (
            int(ending.code),
            ending.reason,
            ending.was_clean,
        )

        self._deadlines.end_within(time.monotonic())
        self.transport.finish(ending.was_clean)
        if self.transport.is_settled:
            self.owner.settle(self.transport)

    # -- called in a worker greenlet

    def work(self) -> None:
        """Run all callbacks that are due; the dispatcher calls this, never twice at once."""
        if not self._is_opened:
            self._open()
        if self._is_recheck_due:
            self._recheck_in_time()

        if self._inbound:
            self._handle_inbound()
        if self._goodbye is not None:
            self.begin_close(*self._goodbye)

        if self._ending is not None and self._state != _CLOSED:
            self._end(self._ending)
        elif self._is_full:
            self.owner.hub.loop.run_callback(self._go_on)

        # No switch between the last look at _inbound and here, so no message is overlooked; _end
        # comes after all callbacks.
        self._is_busy = False
        self._end_session()
        if self._is_recheck_due:
            self._wake()

    def _handle_inbound(self) -> None:
        session, inbound = self._session, self._inbound
        assert session is not None and inbound is not None
        callback, connection = self._callback, self.connection
        deadlines = self._deadlines
        deadlines.active_at_s = self.owner.now_s
        has_rechecks = deadlines.recheck_at_s != _NEVER

        if self.owner.has_threads and not has_rechecks:
            self._handle_in_threads(inbound)

        # The loop includes messages appended meanwhile, and ends when close() clears the list.
        for data in inbound:
            # Also by the clock: busy callbacks may leave the sweeper no turn.
            if has_rechecks and (
                self._is_recheck_due or deadlines.recheck_at_s <= time.monotonic()
            ):
                self._recheck_in_time()
                if not inbound:
                    break  # refused: messages sent before that are not handled any more
            if not (self._awaits_mark and self.is_mark(data)):
                self.message_count += 1
            try:
                if (result := callback(connection, "message", data)) is not None:
                    self.service.told_result("message", result)
            except BaseException as exc:  # noqa: BLE001
                # Whatever was raised, connection and worker go on.
                self._callback_failed("message", exc)
            if has_rechecks:
                self._let_it_read()

        inbound.clear()
        session.queued_bytes = 0
        if self._weighed_bytes:
            self._weigh()

    def _handle_in_threads(self, inbound: list[str | bytes]) -> None:
        """Handle all messages in threads for callbacks: many in one thread, in one go."""
        handled = 0
        while handled < len(inbound):  # close() clears the list
            handled, error = self.owner.run_apps(self._handle_there, inbound, handled)
            if error is not None:
                self._callback_failed("message", error)
            self._let_it_read()
        inbound.clear()

    def _let_it_read(self) -> None:
        """Wait while a client takes too little of what it is sent, if callbacks run in threads.

        Beside those the hub reads on, and much may have come before it sees how much is queued. A
        client that is in the room to which it speaks would be closed with 1013 by its own messages.
        """
        transport = self.transport
        if self.owner.has_threads and transport.queued_bytes > transport.most_bytes // 2:
            self._wait_while_over(transport.most_bytes // 2)

    def _handle_there(
        self, inbound: list[str | bytes], handled: int
    ) -> tuple[int, BaseException | None]:
        """Handle messages until one fails, or many bytes are handled; in a native thread.

        Returns:
            How many messages are handled now, and what the last of them raised.
        """
        callback, connection = self.service.callback, self.connection
        most_bytes = self.transport.most_bytes // _SHARES
        for data in inbound[handled:]:
            if not inbound or most_bytes <= 0:
                break
            most_bytes -= len(data)
            handled += 1
            if not (self._awaits_mark and self.is_mark(data)):
                self.message_count += 1
            try:
                result = Context().run(callback, connection, "message", data)
            except BaseException as exc:  # noqa: BLE001  # see `_handle_inbound`
                return handled, exc
            if result is not None:
                self.service.told_result("message", result)
        return handled, None

    def await_mark(self, is_awaited: bool) -> None:
        """Say whether what the client says next may be a mark, which is no message of the app's."""
        self._awaits_mark = is_awaited

    def is_mark(self, data: str | bytes) -> bool:
        """Return whether something is a mark; asked while one is awaited."""
        return False

    def _open(self) -> None:
        self._is_opened = True
        connection_log.opened(self.connection)
        self._call("open")

    def _recheck_in_time(self) -> None:
        """Re-check the login, and schedule the next re-check from now."""
        self._is_recheck_due = False
        self._deadlines.schedule_recheck(time.monotonic())
        self.recheck()

        # Callbacks that never wait leave the sweeper no turn, so this deadline is checked here too.
        if self._deadlines.is_login_stale(time.monotonic()):
            self._login_is_stale()

    def _login_is_stale(self) -> None:
        """Close a connection whose `auth` has failed to answer for too long."""
        self.begin_close(CloseCode.TRY_AGAIN_LATER, "login could not be checked")

    def recheck(self) -> None:
        """Call `auth` again, unless a re-check is under way; in a worker."""
        if self._state != _OPEN or self._is_rechecking:
            return

        self._is_rechecking = True
        limit_s = self._deadlines.recheck_limit_s
        limit = Timeout.start_new(limit_s)
        try:
            self.refresh_auth(self.connection)
        except BaseException as exc:  # noqa: BLE001
            # As for callbacks: connection and worker go on.
            if exc is limit:
                connection_log.unanswered(self.service, self.connection, limit_s)
            else:
                self._callback_failed("auth", exc)
        finally:
            limit.close()
            self._is_rechecking = False

    def _end(self, ending: Ending) -> None:
        if self._state != _OVER:
            self._end_on_wire(ending)

        self._state = _CLOSED
        if self._session is not None:
            self._session.drop()
        self._drop_inbound()

        connection = self.connection
        if ending.fault:
            connection_log.failed(connection, ending.code, ending.fault)
        lasted_s = time.time() - self.connected_at_s
        connection_log.closed(connection, ending.code, lasted_s, self.message_count)
        self.owner.ended(self)
        self._call("close")
        self._is_ended = True
        if self.transport.is_settled or not self.transport.is_open:
            self.owner.forget(self)

    def _call(self, event: Event) -> None:
        try:
            if (result := self._callback(self.connection, event, "")) is not None:
                self.service.told_result(event, result)
        except BaseException as exc:  # noqa: BLE001  # as in work()
            self._callback_failed(event, exc)

    def _callback_failed(self, event: str, error: BaseException) -> None:
        service = self.service
        if isinstance(error, ConnectionClosed) and self._state != _OPEN:
            connection_log.sent_too_late(service, error)
            return
        if isinstance(error, MessageError):
            connection_log.refused(service, self.connection, error)
            if event == "open" or service.limits.on_error == "close":
                self.begin_close(CloseCode.INVALID_PAYLOAD, "the message can't be read")
            return

        if isinstance(error, GreenletExit):
            connection_log.killed(service, self.connection, event)
        else:
            service.tally.error_count += 1
            connection_log.raised(service, self.connection, event, error)

        if event == "open" or (event == "message" and service.limits.on_error == "close"):
            self.begin_close(CloseCode.INTERNAL_ERROR, "internal error")
        mishaps.pass_interrupt_on(self.owner.hub, error)
