"""The bus: links the serving processes of one app on one machine, without a broker.

How it works. Each process listens on a socket in the bus directory. A new one connects to all that
are there and says HELLO; a process that hears HELLO connects back. So each direction has a link of
its own, and messages of one process arrive in order and once. With one link for both directions,
two processes that start at once would have two, and messages on the way while one of them is given
up would be lost or overtaken. The directory is scanned again every few seconds, which heals
whatever went wrong. Broadcasts go to all siblings but those that have asked to skip their path or
room, see `interest`.

Publishers from outside connect, say HELLO as such, and get an ACK for each message, sent after the
flush that hands the message to the clients' sockets.

Invariants: nothing here waits or logs unless it says so; a sibling that takes nothing is cut off,
and never waited for.
"""

from __future__ import annotations

import _socket
import logging
import os
import random
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import gevent
from gevent.event import Event

from ...errors import UsageError
from ...journal.contract import VERSION
from ..contract import Facts, Receiver, Status
from ..envelope import BELL_OF, TOPIC_OF, Envelope, EnvelopeError, Kind, pack, pack_json, sized
from ..questions import Questions, answer_of
from .directory import BusDirectory, app_of, peer_uid, raw_socket, sender_of, socket_name
from .interest import MOST_TOPICS, Interest
from .link import Link

if TYPE_CHECKING:
    from gevent.hub import Hub

    from .interest import Asked, Topic

logger = logging.getLogger("tina4_wsgi.backplane")

_SCAN_S = 3.0
_SOON_S = 0.1
_HELLO_S = 5.0
"""A peer that connects and hasn't said HELLO after this time is disconnected."""

_ACCEPTS_PER_TURN = 32
_FLUSH_BYTES = 262_144
_POLL_S = 0.01
_READABLE = 1  # libev's

PUBLISHER, WORKER = "publisher", "worker"
JOURNAL = VERSION
"""What a process says in its HELLO if it knows the journal, and what bells are."""

_MOST_DIGITS = 20
_BELLS = frozenset(BELL_OF.values())
_TOPIC_KINDS = {kind.name: kind for kind in (Kind.PATH, Kind.ROOM)}


class Pending(NamedTuple):
    """What waits for the end of the turn.

    Attributes:
        topic: whom it is for.
        data: the envelope, with its size in front.
        older: for a sibling that knows of no journal; the same for most.
    """

    topic: Topic
    data: bytes
    older: bytes


class LocalBus:
    """This process on the bus; see `contract.Backplane`.

    Args:
        hub: the hub of this thread.
        app_number: which app of the process this is; it links to the app with the same number in
            other processes.
        receiver: the connections here.
        most_bytes: how much may wait for one sibling.
    """

    def __init__(
        self,
        hub: Hub,
        directory: BusDirectory,
        app_number: int,
        receiver: Receiver,
        most_bytes: int,
    ) -> None:
        self._hub = hub
        self._directory = directory
        self._app_number = app_number
        self._receiver = receiver
        self._most_bytes = most_bytes
        self._name = socket_name(app_number)
        self._sender = sender_of(self._name)
        self._pid = os.getpid()
        self._listener: _socket.socket | None = None
        self._acceptor: Any = None  # Any: gevent ships no types
        self._watchers: list[Any] = []
        self._out: dict[str, Link] = {}  # by the sibling's name
        self._targets: tuple[Link, ...] = ()  # of _out; replaced, so any thread may read it
        self._in: set[Link] = set()
        self._pending: list[Pending] = []
        self._pending_bytes = 0
        self._acks: list[tuple[Link, bytes]] = []
        self._interest = Interest()
        self._questions = Questions()
        self._number = 0
        self._awaited: set[str] = set()
        self._is_ready = Event()
        self._is_retired = False
        self._is_scan_near = False
        self._scan_error = ""
        self._cut_count = 0
        self._dropped_count = 0

    # -- what a process does with it

    @property
    def line(self) -> None:
        """None: the journal is a file of this machine."""

    @property
    def is_alone(self) -> bool:
        """Whether no sibling is linked."""
        return not self._targets

    def start(self) -> None:
        """Listen, and connect to all siblings that are there.

        Raises:
            BackplaneError: the directory can't be used.
            OSError: it isn't writable.
        """
        self._listen()

        timer = self._hub.loop.timer(_SCAN_S * random.uniform(0.8, 1.2), _SCAN_S, ref=False)
        timer.start(self._scan, update=True)
        self._watchers.append(timer)

        self._scan()
        self._awaited = set(self._out)
        self._check_ready()

    def carry(self, kind: Kind, name: str, frame: bytes) -> None:
        """Tell all siblings at the end of this turn of the hub."""
        if not self._targets:
            return
        data = older = self._packed(kind, name, frame)
        if kind is not TOPIC_OF[kind] and self._has_older:
            older = self._packed(TOPIC_OF[kind], name, frame)
        self._put(Pending((TOPIC_OF[kind], name), data, older))

    def ring(self, kind: Kind, name: str, frames: list[bytes], before: int) -> None:
        """Tell all siblings at the end of this turn that the journal has news."""
        if not self._targets:
            return
        data, topic = self._packed(kind, name, b"%d" % before), TOPIC_OF[kind]
        older = b""
        if self._has_older:
            older = b"".join([self._packed(topic, name, frame) for frame in frames])
        self._put(Pending((topic, name), data, older))

    @property
    def _has_older(self) -> bool:
        """Whether a sibling knows of no journal."""
        return not all(link.knows_journal for link in self._targets)

    def _packed(self, kind: Kind, name: str, body: bytes) -> bytes:
        """Return an envelope with its size in front; b"" for one that is too long."""
        try:
            data = sized(pack(kind, name, body, self._sender, self._number + 1))
        except UsageError as exc:
            self._dropped_count += 1
            self._report(logging.ERROR, "a broadcast stays in this process: %s", exc)
            return b""
        self._number += 1
        return data

    def _put(self, pending: Pending) -> None:
        if not pending.data:
            return
        if not self._pending:
            self._hub.loop.run_callback(self._flush)
        self._pending.append(pending)
        self._pending_bytes += len(pending.data)
        if self._pending_bytes > _FLUSH_BYTES:
            self._flush()

    def enter(self, kind: Kind, name: str) -> None:
        """Count one more reason to hear of `name`, and have it told again where it isn't."""
        asked = self._interest.enter((kind, name))
        if asked is not None:
            self._ask_to_resume(asked)

    def leave(self, kind: Kind, name: str) -> None:
        """Count one reason less."""
        self._interest.leave((kind, name))

    def hear_all(self, timeout_s: float) -> None:
        """Have siblings tell everything again and for good, and wait until they do."""
        for asked in self._interest.hear_all():
            self._ask_to_resume(asked)
            self._interest.wait(asked.topic, timeout_s)

    def wait_until_heard(self, kind: Kind, name: str, timeout_s: float) -> bool:
        """Wait until siblings that were asked to skip `name` tell it again.

        Once per process, wait also until all siblings found at the start have linked back.
        """
        had_to_wait = not self._is_ready.is_set()
        if had_to_wait:
            self._is_ready.wait(timeout_s)
            self._is_ready.set()
        return self._interest.wait((kind, name), timeout_s) or had_to_wait

    def ask(self, question: Facts, timeout_s: float) -> list[Facts]:
        """Ask all siblings, and wait for their answers."""
        number, asked = self._questions.new([link.sender for link in self._targets])
        try:
            self._flush()  # earlier broadcasts arrive before the question
            data = sized(pack_json(Kind.ASK, "", question, self._sender, number))
            for link in self._targets:
                link.write(data)
            return asked.wait(timeout_s)
        finally:
            self._questions.close(number)

    def retire(self, timeout_s: float) -> None:
        """Leave the directory, and wait until siblings took everything said. Not in the hub."""
        if self._is_retired:
            return

        self._is_retired = True
        self._stop_listening()
        for link in list(self._in):
            link.close()

        self._flush()
        give_up_at_s = time.monotonic() + timeout_s
        while any(link.queued_bytes for link in self._targets) and time.monotonic() < give_up_at_s:
            gevent.sleep(_POLL_S)

    def close(self) -> None:
        """Close every socket."""
        self._is_retired = True
        self._flush()
        self._stop_listening()
        for link in [*self._in, *self._out.values()]:
            link.close()

    def status(self) -> Status:
        """Return the present state."""
        return Status(
            "local",
            not self._scan_error,
            siblings=len(self._targets),
            dropped_messages=self._dropped_count,
            outages=self._cut_count,
            error=self._scan_error,
        )

    # -- finding each other

    def _listen(self) -> None:
        self._directory.make()
        self._listener = self._directory.listen(self._name)
        self._acceptor = self._hub.loop.io(self._listener.fileno(), _READABLE, ref=False)
        self._acceptor.start(self._accept)
        self._watchers.append(self._acceptor)

    def _stop_listening(self) -> None:
        for watcher in self._watchers:
            watcher.stop()
            watcher.close()
        self._watchers.clear()
        if self._listener is None:
            return

        self._directory.unlink(self._name)
        self._listener.close()
        self._listener = None

    def _scan(self) -> None:
        """Connect to all siblings in the directory that aren't linked yet."""
        self._is_scan_near = False
        if self._is_retired or os.getpid() != self._pid:
            return

        try:
            names = [name for name in self._directory.names() if app_of(name) == self._app_number]
            for name in names:
                if name != self._name and name not in self._out:
                    self._connect(name)

            self._send_silent_away()
            if self._name not in names:
                self._come_back()
            if not self._acceptor.active:
                self._acceptor.start(self._accept)
            self._scan_error = ""
        except BaseException as exc:  # noqa: BLE001  # an exception that leaves would end the timer
            if str(exc) != self._scan_error:  # log it once, however often it is tried again
                self._scan_error = str(exc)
                self._report(logging.ERROR, "looking for siblings failed: %s", exc)

    def _scan_soon(self) -> None:
        if not self._is_scan_near and not self._is_retired:
            self._is_scan_near = True
            timer = self._hub.loop.timer(_SOON_S * random.uniform(0.5, 1.5), ref=False)
            timer.start(self._scan_once, timer, update=True)

    def _scan_once(self, timer: Any) -> None:
        timer.close()
        self._scan()

    def _come_back(self) -> None:
        """Listen again: somebody removed the name of our socket, perhaps the whole folder."""
        self._stop_listening()

        # The timer first: if listening fails, the next scan tries again.
        timer = self._hub.loop.timer(_SCAN_S, _SCAN_S, ref=False)
        timer.start(self._scan, update=True)
        self._watchers.append(timer)

        self._listen()
        self._report(
            logging.WARNING, "the socket in %s was gone; it is there again", self._directory.path
        )

    def _connect(self, name: str) -> None:
        try:
            sock = raw_socket()
        except OSError:
            return  # out of descriptors; a later scan tries again
        if not self._directory.connect(name, sock):
            sock.close()
            return

        link = Link(sock, self._hub.loop, self, self._most_bytes, name)
        link.sender = sender_of(name)
        hello = {"name": self._name, "pid": self._pid, "role": WORKER, "journal": JOURNAL}
        link.write(sized(pack_json(Kind.HELLO, "", hello, self._sender)))
        if link.is_open:
            self._out[name] = link
            self._targets = tuple(self._out.values())
            for asked in self._interest.asked_of(link.sender):
                self._say(name, Kind.RESUME, asked.topic, asked.number)

    def _accept(self) -> None:
        if os.getpid() != self._pid or self._listener is None:
            return  # a fork has a copy of the watcher, but connections are meant for the parent

        for _ in range(_ACCEPTS_PER_TURN):
            try:
                # typeshed leaves this method out.
                descriptor, _address = self._listener._accept()  # type: ignore[attr-defined]
            except BlockingIOError:
                return
            except OSError:
                # Out of descriptors: the watcher would fire without end. The next scan starts it.
                self._acceptor.stop()
                return

            sock = _socket.socket(fileno=descriptor)
            sock.setblocking(False)
            if peer_uid(sock) != os.geteuid():
                sock.close()
                self._report(logging.WARNING, "another user's process was sent away")
                continue
            self._in.add(Link(sock, self._hub.loop, self, self._most_bytes))

    def _send_silent_away(self) -> None:
        now_s = self._hub.loop.now()
        for link in [
            link for link in self._in if not link.sender and now_s - link.opened_at_s > _HELLO_S
        ]:
            link.close("said no HELLO")

    def _check_ready(self) -> None:
        if not self._awaited:
            self._is_ready.set()

    # -- what comes

    def received(self, link: Link, envelopes: list[Envelope]) -> None:
        """Take what a sibling, or a publisher from outside, says."""
        for envelope in envelopes:
            kind = envelope.kind
            if kind is Kind.HELLO:
                self._greet(link, envelope)
            elif link not in self._in or not link.sender:
                raise EnvelopeError(f"{kind.name} before HELLO")
            elif kind in TOPIC_OF:
                self._deliver(link, envelope)
            elif kind is Kind.ASK:
                self._answer(link, envelope)
            elif kind is Kind.ANSWER:
                self._questions.take(envelope.number, link.sender, envelope.json())
            elif kind is Kind.SKIP:
                self._skip(link, envelope)
            elif kind is Kind.RESUME:
                self._resume(link, envelope)
            elif kind is Kind.RESUMED:
                self._note_resumed(link, envelope)

    def _greet(self, link: Link, envelope: Envelope) -> None:
        if link not in self._in or link.sender:
            raise EnvelopeError("HELLO where none is expected")

        hello = envelope.json()
        link.knows_journal = hello.get("journal") == JOURNAL
        if hello.get("role") == PUBLISHER:
            link.is_outsider, link.sender = True, envelope.sender
            return

        name = hello.get("name")
        if (
            not isinstance(name, str)
            or app_of(name) != self._app_number
            or sender_of(name) != envelope.sender
        ):
            raise EnvelopeError("HELLO without the name of its sender's socket")

        link.name, link.sender = name, envelope.sender
        if name not in self._out:
            self._connect(name)
        if (out := self._out.get(name)) is not None:
            out.knows_journal = link.knows_journal
        self._awaited.discard(name)
        self._check_ready()

    def _deliver(self, link: Link, envelope: Envelope) -> None:
        kind, name = TOPIC_OF[envelope.kind], envelope.name
        topic = (kind, name)
        if link.is_outsider:
            count = self._receiver.count_here(kind, name)
            if not self._acks:
                # After the flush of the groups, which the first broadcast of this turn has
                # scheduled or will schedule: so one round of callbacks later; behind a bell, whose
                # news are read in that round, two.
                later = self._hub.loop.run_callback
                later(later, later, self._send_acks)
            data = pack_json(Kind.ACK, "", {"clients": count}, self._sender, envelope.number)
            self._acks.append((link, sized(data)))
        elif not self._is_wanted(topic) and self._interest.is_tired_of(topic, link.sender):
            self._say(link.name, Kind.SKIP, topic)
        self._hand_on(link, envelope, kind)

    def _hand_on(self, link: Link, envelope: Envelope, kind: Kind) -> None:
        receiver, name, frame = self._receiver, envelope.name, envelope.body
        if envelope.kind is kind:
            # One that knows of no journal, or not of this path, doesn't keep what it says.
            is_lost = not link.knows_journal and receiver.keeps(kind, name)
        elif envelope.kind in _BELLS:
            if not frame.isdigit() or len(frame) > _MOST_DIGITS:
                raise EnvelopeError("a bell without the number of a message")
            receiver.hear_bell(kind, name, int(frame))
            return
        else:
            is_lost = True

        if is_lost:
            receiver.lose(kind, name, frame)
        else:
            receiver.deliver(kind, name, frame)

    # -- who wants to hear of what

    def _is_wanted(self, topic: Topic) -> bool:
        # A bus that could not start at first hasn't been told of those who came before.
        return self._interest.has(topic) or self._receiver.count_here(*topic) > 0

    def _ask_to_resume(self, asked: Asked) -> None:
        names = {link.sender: name for name, link in self._out.items()}
        for sender in list(asked.senders):
            # One without a link to it is asked as soon as there is one; see `_connect`.
            if sender in names:
                self._say(names[sender], Kind.RESUME, asked.topic, asked.number)

    def _skip(self, link: Link, envelope: Envelope) -> None:
        topic, out = _topic_of(envelope), self._out.get(link.name)
        if out is not None and len(out.skipped) < MOST_TOPICS:
            out.skipped.add(topic)

    def _resume(self, link: Link, envelope: Envelope) -> None:
        topic, out = _topic_of(envelope), self._out.get(link.name)
        if out is not None:
            out.skipped.discard(topic)
        self._say(link.name, Kind.RESUMED, topic, envelope.number)

    def _note_resumed(self, link: Link, envelope: Envelope) -> None:
        topic = _topic_of(envelope)
        if not link.is_outsider:  # which may call itself whatever it likes
            self._interest.resumed(topic, link.sender, envelope.number)

    def _say(self, name: str, kind: Kind, topic: Topic, number: int = 0) -> None:
        """Tell a sibling something about a topic, behind all broadcasts so far."""
        link = self._out.get(name)
        if link is not None:
            self._flush()
            body = {"kind": topic[0].name}
            link.write(sized(pack_json(kind, topic[1], body, self._sender, number)))

    def _send_acks(self) -> None:
        acks, self._acks = self._acks, []
        for link, data in acks:
            link.write(data)

    def _answer(self, link: Link, envelope: Envelope) -> None:
        data = sized(answer_of(self._receiver, envelope.json(), self._sender, envelope.number))
        target = link if link.is_outsider else self._out.get(link.name)
        if target is not None:
            self._flush()
            target.write(data)

    def _flush(self) -> None:
        pending = self._pending
        if not pending:
            return

        self._pending = []
        self._pending_bytes = 0
        everything = b"".join([one.data for one in pending])
        for link in self._targets:
            data = everything
            if link.skipped or not link.knows_journal:
                data = b"".join(
                    [
                        one.data if link.knows_journal else one.older
                        for one in pending
                        if one.topic not in link.skipped
                    ]
                )
            if data:
                link.write(data)

    def ended(self, link: Link, reason: str) -> None:
        """Forget a link that is gone."""
        if link in self._in:
            self._in.discard(link)
            if not link.is_outsider:
                self._end_requests(link)
        elif self._out.get(link.name) is link:
            del self._out[link.name]
            self._targets = tuple(self._out.values())
            self._questions.give_up_on(link.sender)
            self._awaited.discard(link.name)
            self._check_ready()
            # The scan unlinks the socket of a process that died, and links again to a living one.
            self._scan_soon()

        if reason:
            self._cut_count += 1
            self._report(
                logging.WARNING,
                "process %s %s",
                link.name.split("-")[1] if link.name else "unknown",
                reason,
            )

    def _end_requests(self, link: Link) -> None:
        """Forget what was agreed with a sibling whose link to this process has ended."""
        self._interest.forget(link.sender)
        out = self._out.get(link.name)
        if out is not None:
            out.skipped.clear()

    def _report(self, level: int, message: str, *args: object) -> None:
        """Log in a greenlet of its own: in the hub, logging could wait for a lock."""
        gevent.spawn(logger.log, level, message, *args)


def _topic_of(envelope: Envelope) -> Topic:
    """Return what SKIP, RESUME or RESUMED is about.

    Raises:
        EnvelopeError: it says something else.
    """
    kind = _TOPIC_KINDS.get(str(envelope.json().get("kind")))
    if kind is None:
        raise EnvelopeError(f"{envelope.kind.name} of neither a path nor a room")
    return kind, envelope.name
