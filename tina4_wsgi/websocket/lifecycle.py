"""What happens on one connection, in order: "open", messages one at a time, "close" exactly once.

How it works. The hub feeds bytes to the session and whole messages gather in `_inbound`. A worker
greenlet takes the connection (`work`), runs its callbacks until nothing is left, and gives it back.
How a connection ends is noticed in the hub at any time and noted (`_ending`). While callbacks are
due the worker carries it out behind the last message, so replies to what came before leave before
the close frame. Otherwise the hub does so at once, and so it does where the pool has had no worker
to give for `_PATIENCE_S`: the close handshake waits for nobody else's callbacks.

States, of the sending side: OPEN may send. CLOSING: our close frame is out, the peer's answer is
awaited, messages are dropped. GONE: the socket died under us, messages that had arrived are still
delivered. OVER: all is said that will be said on the wire, and callbacks are still due. CLOSED: the
"close" callback has begun; the transport sees to what remains.

Invariants: one worker at a time (`_is_busy`); everything that is called in the hub neither waits
nor logs; `_ending` is set once; whatever takes messages from `_inbound` takes their bytes off the
session and off the host's sum.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from greenlet import GreenletExit

from ..errors import ConnectionClosed, MessageError, ProtocolError
from ..hub import mishaps
from ..protocol.frames import CloseCode, encode_close
from ..protocol.session import Session
from .deadlines import NEVER, Deadlines
from .seams import ConnectionOwner
from .transport import ENDED, INBOUND_FULL, Transport

if TYPE_CHECKING:
    from ..config import Config
    from ..routing.callbacks import Event
    from ..routing.params import Params
    from .counters import Tally

logger = logging.getLogger("tina4_wsgi.connection")


_OPEN, _CLOSING, _GONE, _OVER, _CLOSED, _FORSAKEN = range(6)

_PATIENCE_S = 0.5
"""How long a client that closes, or is sent away, waits for callbacks that wait for a worker
themselves. In a short burst they still run, and their replies leave before the close frame.
"""


class Ending(NamedTuple):
    """How a connection ends.

    Attributes:
        code: what the app sees as `close_code`.
        reason: the same for `close_reason`.
        was_clean: whether close frames went both ways.
        answer: the close code that is sent, None to send none.
        fault: what the peer did wrong, for the log; "" for nothing.
    """

    code: int
    reason: str
    was_clean: bool
    answer: int | None = None
    fault: str = ""


class Served(Protocol):
    """A route as one app serves it, as far as a connection cares."""

    @property
    def path(self) -> str: ...
    @property
    def callback(
        self,
    ) -> Callable[
        [Any, Event, str | bytes], object
    ]: ...  # Any: a Connection, which is made of this
    @property
    def limits(self) -> Config: ...
    @property
    def has_auth(self) -> bool: ...
    @property
    def encode_json(self) -> Callable[[object], str]: ...
    @property
    def tally(self) -> Tally: ...

    def told_result(self, event: str, result: object) -> None:
        """Take what a callback returned, which should have been None."""

    def authenticate(self, environ: dict[str, Any], params: Params) -> object:
        """Ask who this is.

        Raises:
            Refused: nobody who may be here.
        """


class _Recheck:
    """A re-check as a job of its own."""

    def __init__(self, connection: Lifecycle) -> None:
        self._connection = connection
        self.is_waiting = False

    def work(self) -> None:
        """Make it; for the dispatcher."""
        self._connection._recheck()


class Lifecycle(Deadlines):
    """The machinery of one connection; `Connection` adds what callbacks use.

    Attributes:
        is_waiting: whether its callbacks wait for a worker; the dispatcher's.
    """

    __slots__ = (
        "__weakref__",
        "_callback",
        "_close_code",
        "_close_reason",
        "_ending",
        "_goodbye",
        "_host",
        "_inbound",
        "_is_ended",
        "_is_full",
        "_is_opened",
        "_message_count",
        "_patient_until_s",
        "_service",
        "_session",
        "_state",
        "_was_clean",
        "_weighed_bytes",
        "is_waiting",
    )

    def __init__(self, host: ConnectionOwner, service: Served, may_compress: bool) -> None:
        super().__init__(service.limits, service.has_auth)
        self._host = host
        self._service = service
        self._callback = service.callback
        self._session = Session(service.limits, may_compress)
        self._inbound: list[str | bytes] = []
        self._state = _OPEN
        self._is_full = False
        self._is_opened = False
        self._is_ended = False
        self._ending: Ending | None = None
        self._goodbye: tuple[int, str] | None = None
        self._close_code: int | None = None
        self._close_reason = ""
        self._was_clean = False
        self._message_count = 0
        self._patient_until_s = NEVER
        self._weighed_bytes = 0
        self.is_waiting = False

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._state != _OPEN

    @property
    def is_over(self) -> bool:
        """Whether "close" is done and the peer has heard all it had to: its socket may be cut any
        time.
        """
        return self._is_ended and (self._was_clean or not self._transport.is_open)

    @property
    def was_closed_by_peer(self) -> bool:
        """Whether `close_code` is what the peer's close frame said, and neither ours nor what we
        found wrong.
        """
        ending = self._ending
        return ending is not None and ending.answer is not None and not ending.fault

    @property
    def service(self) -> Served:
        """The route as its app serves it."""
        return self._service

    @property
    def message_count(self) -> int:
        """How many messages its callback was given."""
        return self._message_count

    @property
    def waiting_count(self) -> int:
        """How many messages wait for its callback."""
        return len(self._inbound)

    @property
    def transport(self) -> Transport:
        """Its socket, with all that is counted there."""
        return self._transport

    # -- called in the hub by the transport

    def begin(self, early: bytes) -> None:
        """Start reading and have "open" run.

        Args:
            early: bytes that came right behind the handshake.
        """
        self._transport.start()
        self._wake()
        if early:
            self.received(early)

    def received(self, data: bytes) -> None:
        """Bytes came; also called with b"" to go on after a pause."""
        inbound, session = self._inbound, self._session
        try:
            if session.feed(data, inbound):
                self._read_control()
        except ProtocolError as error:
            self._fail(error)

        if inbound:
            if len(inbound) >= session.most_messages or session.queued_bytes >= session.most_bytes:
                self._is_full = True
                self._transport.pause(INBOUND_FULL)
            if self._state != _OPEN:
                # Only the peer's close frame is of interest now, and it may lie behind more of
                # these.
                self._drop_inbound()
                if self._is_full:
                    self._host.hub.loop.run_callback(self._go_on)
                return
            if not self._is_busy:
                self._is_busy = True
                dispatcher = self._host.dispatcher
                dispatcher.run(self)

        # What was handled at once, nearly everything, is never weighed.
        if inbound or session.is_assembling or self._weighed_bytes:
            self._weigh()

    def _weigh(self) -> None:
        """Have what is held of this peer's messages count for the host; stop reading where the host
        holds too much.

        Without a message that waits the peer is read on: nothing would ever make us begin again.
        """
        host, held_bytes = self._host, self._session.held_bytes
        host.inbound_bytes += held_bytes - self._weighed_bytes
        self._weighed_bytes = held_bytes
        if host.inbound_bytes > host.most_inbound_bytes and self._inbound and not self._is_full:
            self._is_full = True
            self._transport.pause(INBOUND_FULL)

    def _drop_inbound(self) -> None:
        self._inbound.clear()
        self._session.queued_bytes = 0
        if self._weighed_bytes:
            self._weigh()

    def _read_control(self) -> None:
        session = self._session
        if session.pongs is not None:
            pongs, session.pongs = session.pongs, None
            if self._state == _OPEN:
                self._transport.write_pongs(pongs)
        if session.peer_close is not None:
            code, reason = session.peer_close
            if self._state == _CLOSING:
                self._note(Ending(self._close_code or code, self._close_reason, True))
            else:
                self._note(Ending(code, reason, True, answer=code))

    def _fail(self, error: ProtocolError) -> None:
        if self._state == _CLOSING:
            self._note(Ending(self._close_code or error.close_code, self._close_reason, False))
        else:
            self._note(
                Ending(error.close_code, error.reason, False, error.close_code, error.reason)
            )

    def peer_finished(self) -> None:
        """The peer ended its side without a close frame; replies to what it sent may still reach
        it.
        """
        self._note(Ending(self._close_code or CloseCode.ABNORMAL, self._close_reason, False))

    def lost(self) -> None:
        """The socket is gone."""
        if self._state == _OPEN:
            self._state = _GONE
        if self._state != _CLOSED:
            self._host.leave_groups(self)
            self._note(Ending(self._close_code or CloseCode.ABNORMAL, self._close_reason, False))
        if self._is_ended:
            self._host.forget(self)

    def stalled(self) -> None:
        """The kernel takes no more: from now on the send timeout runs."""
        self.due_s = min(self.due_s, time.monotonic() + self._limits.send_timeout_s)

    def overflowed(self, size_bytes: int) -> bool:
        """A broadcast finds more waiting than may wait, and nobody who sent it can be made to
        wait.
        """
        limits = self._limits
        if limits.on_slow == "close":
            self._give_up_on_slow_peer()
            return False
        self._host.drops_for_slow += 1
        if limits.on_slow == "drop_newest":
            return False
        # A quarter at once: looking for the oldest costs time in proportion to all that waits.
        self._transport.drop_oldest(max(size_bytes, limits.max_outbound_bytes // 4))
        most: int = limits.max_outbound_bytes
        return self._transport.queued_bytes + size_bytes <= most

    def failed(self, error: BaseException) -> None:
        """Our own code raised."""
        self._host.report("connection to %s failed", self._service.path, error=error)
        self._transport.abort()

    def _note(self, ending: Ending) -> None:
        """Remember how it ends, for after the messages that came before."""
        if self._ending is not None or self._state == _CLOSED:
            return
        self._ending = ending
        self._transport.pause(ENDED)
        if self._state == _CLOSING or not (self._is_busy or self._inbound):
            self._end_on_wire(ending)
        else:
            self._be_patient()
        self._wake()

    def _be_patient(self) -> None:
        """Leave the end to the worker that is due, but not for ever; see `on_due`."""
        self._patient_until_s = time.monotonic() + _PATIENCE_S
        self.due_s = min(self.due_s, self._patient_until_s)

    def _wake(self) -> None:
        if not self._is_busy:
            self._is_busy = True
            self._host.dispatcher.submit(self)

    def _go_on(self) -> None:
        """Read again after the inbound limit; in the hub, and in a turn of its own so that others
        get theirs.
        """
        if not self._is_full or self._state not in (_OPEN, _CLOSING):
            return
        self._is_full = False
        if self._ending is None:
            try:
                self._transport.resume(INBOUND_FULL)
                self.received(b"")
            except BaseException as exc:  # noqa: BLE001  # the hub would swallow it with the connection stuck
                self.failed(exc)

    # -- called in the hub by the sweeper

    def on_due(self, now_s: float) -> None:
        """A deadline has passed; act, and set the next one."""
        if self._patient_until_s > now_s or not self.is_waiting:
            Deadlines.on_due(self, now_s)
            return
        # No worker was free for all this time: what can be said without one is said now.
        self._patient_until_s = NEVER
        if self._ending is not None:
            self._end_on_wire(self._ending)
        elif self._goodbye is not None:
            self._begin_close(*self._goodbye)

    def _be_rechecked(self) -> None:
        """Have the route's `auth` asked again, between two callbacks; beside one that has run since
        the last time.
        """
        if self._is_recheck_due and not self._is_rechecking:
            self._host.dispatcher.submit(_Recheck(self))
        self._is_recheck_due = True
        self._wake()

    def _give_up_on_silent_peer(self) -> None:
        """Cut the line to a peer that answered no ping."""
        self._close_reason = "no pong"
        self._transport.abort()

    def _give_up_on_slow_peer(self) -> None:
        """Close with 1013; what waits is dropped, since the peer takes none of it."""
        if self._state == _OPEN:
            self._host.slow_consumers += 1
            self._transport.drop_backlog()
            self._begin_close(CloseCode.TRY_AGAIN_LATER, "slow consumer")

    # -- closing, from any greenlet of the hub's thread

    def dismiss(self, code: int, reason: str, *, is_last_call: bool = False) -> None:
        """Close behind the callbacks that are due: what runs may finish, and its replies leave.

        Args:
            is_last_call: close now; what callbacks still send is lost.
        """
        if is_last_call or not self._is_busy:
            self._begin_close(code, reason)
        elif self._state == _OPEN:
            self._goodbye = code, reason
            self._is_full = True  # nothing more is read before that
            self._transport.pause(INBOUND_FULL)
            self._be_patient()

    def cut(self) -> None:
        """Give the socket back, whatever is still due.

        With a reset only where the peer wasn't told, or takes nothing: a reset may overtake our
        close frame.
        """
        transport = self._transport
        if self.is_over or (self._state != _OPEN and not transport.queued_bytes):
            transport.close()
        else:
            transport.abort()

    def forsake(self) -> None:
        """Do nothing more, in a forked child, not even what was due: this client is the
        parent's.
        """
        self._state = _FORSAKEN
        self._is_opened, self._is_recheck_due, self._is_full = True, False, False
        self._ending = self._goodbye = None
        self._inbound.clear()
        self._transport.forsake()

    def _begin_close(self, code: int, reason: str) -> None:
        """Send our close frame behind all else, and wait for the peer's."""
        frame = encode_close(code, reason)
        if self._state != _OPEN:
            return
        self._host.leave_groups(self)
        self._state = _CLOSING
        self._close_code, self._close_reason = (
            int(code),
            reason,
        )  # an IntEnum prints differently on Python 3.10
        self._drop_inbound()
        self._transport.write(frame)
        self.due_s = time.monotonic() + self._limits.close_timeout_s
        if self._is_full:
            self._host.hub.loop.run_callback(self._go_on)

    def _end_on_wire(self, ending: Ending) -> None:
        """Say the last on the wire, behind all else; in the hub or a worker."""
        self._host.leave_groups(self)
        if ending.answer is not None and self._state == _OPEN:
            self._transport.write(
                encode_close(ending.answer, ending.reason if ending.fault else "")
            )
        self._state = _OVER
        self._close_code, self._close_reason, self._was_clean = (
            int(ending.code),
            ending.reason,
            ending.was_clean,
        )
        self.due_s = time.monotonic() + self._limits.close_timeout_s
        self._transport.finish(ending.was_clean)
        if self._transport.is_settled:
            self._host.settle(self._transport)

    # -- called in a worker greenlet

    def work(self) -> None:
        """Run every callback that is due; the dispatcher calls this, never twice at once."""
        if not self._is_opened:
            self._open()
        if self._is_recheck_due:
            self._recheck_in_time()

        if self._inbound:
            self._handle_inbound()
        if self._goodbye is not None:
            self._begin_close(*self._goodbye)
        if self._ending is not None and self._state != _CLOSED:
            self._end(self._ending)
        elif self._is_full:
            self._host.hub.loop.run_callback(self._go_on)
        # No switch between the last look at _inbound and here, so nothing is overlooked: _end is
        # the last of all.
        self._is_busy = False
        if self._is_recheck_due:
            self._wake()

    def _handle_inbound(self) -> None:
        inbound, callback, has_rechecks = self._inbound, self._callback, self._has_rechecks
        self._active_at_s = self._host.now_s

        # Goes on into what is appended meanwhile, and ends when close() clears the list.
        for data in inbound:
            if has_rechecks and self._must_recheck():
                self._recheck_in_time()
                if not inbound:
                    break  # refused: what was sent before that is not handled any more
            self._message_count += 1
            try:
                if (result := callback(self, "message", data)) is not None:
                    self._service.told_result("message", result)
            except BaseException as exc:  # noqa: BLE001  # whatever it is, the connection and the worker live on
                self._callback_failed("message", exc)

        inbound.clear()
        self._session.queued_bytes = 0
        if self._weighed_bytes:
            self._weigh()

    def _open(self) -> None:
        self._is_opened = True
        self._log_open()
        self._call("open")

    def _recheck_in_time(self) -> None:
        """Have `auth` asked again, and the next time for it set from now."""
        self._is_recheck_due = False
        self._recheck_at_s = min(time.monotonic() + self._limits.reauth_every, self._auth_ends_s)
        self._recheck()

        # Callbacks that never wait leave the sweeper no turn, so its deadline is looked at here,
        # too.
        if self._auth_ends_s <= time.monotonic():
            self._login_is_stale()

    def _end(self, ending: Ending) -> None:
        if self._state != _OVER:
            self._end_on_wire(ending)
        self._state = _CLOSED
        self._session.drop()
        self._drop_inbound()
        self._log_close(ending)
        self._host.ended(self)
        self._call("close")
        self._is_ended = True
        if self._transport.is_settled or not self._transport.is_open:
            self._host.forget(self)

    def _call(self, event: Event) -> None:
        try:
            if (result := self._callback(self, event, "")) is not None:
                self._service.told_result(event, result)
        except BaseException as exc:  # noqa: BLE001  # as in work()
            self._callback_failed(event, exc)

    def _callback_failed(self, event: str, error: BaseException) -> None:
        if isinstance(error, ConnectionClosed) and self._state != _OPEN:
            self._log(logging.DEBUG, "%s: sent after the end, %s", self._service.path, error)
            return
        if isinstance(error, MessageError):
            self._refuse_message(event, error)
            return
        if isinstance(error, GreenletExit):
            self._log(
                logging.WARNING,
                "callback of %s was killed at %r, connection %s",
                self._service.path,
                event,
                self.id,
            )
        else:
            self._service.tally.error_count += 1
            self._log(
                logging.ERROR,
                "callback of %s raised at %r, connection %s",
                self._service.path,
                event,
                self.id,
                error=error,
            )
        if event == "open" or (event == "message" and self._limits.on_error == "close"):
            self._begin_close(CloseCode.INTERNAL_ERROR, "internal error")
        mishaps.pass_interrupt_on(self._host.hub, error)

    def _refuse_message(self, event: str, error: MessageError) -> None:
        """Tell of a message that its client got wrong: a stranger must not fill the log with
        tracebacks.
        """
        told = ascii(str(error))[1:-1]
        self._log(
            logging.WARNING,
            "message on %s refused, connection %s: %.200s",
            self._service.path,
            self.id,
            told,
        )
        if event == "open" or self._limits.on_error == "close":
            self._begin_close(CloseCode.INVALID_PAYLOAD, "the message can't be read")

    def _log(
        self, level: int, message: str, *args: object, error: BaseException | None = None
    ) -> None:
        mishaps.log(logger, level, message, *args, error=error)

    # -- what Connection fills in

    def _recheck(self) -> None:
        raise NotImplementedError

    @property
    def id(self) -> str:
        """Name the connection in the log."""
        raise NotImplementedError

    def _log_open(self) -> None:
        raise NotImplementedError

    def _log_close(self, ending: Ending) -> None:
        raise NotImplementedError
