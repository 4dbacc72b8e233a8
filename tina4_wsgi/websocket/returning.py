"""A connection that may have been here before: it gets what it missed, and says where it is.

How it works. A client that comes back says where it was. Before "open" runs, it is told what it is
(the greeting), gets page after page of what it missed, and joins its path behind the last one,
without a switch in between; so nothing is missing and nothing comes twice. A newcomer gets the
latest messages in the same way where the route says `replay`. Behind "open", in which a callback
may join rooms and get what it missed there, it is told that all has been said.

A client that asked for marks gets one in front of each message. Any other client sees plain
messages, as on every route.

Invariants:
- Between the last look into the journal and the joining of a group nothing switches, and nothing
  that was said before that look is still to be kept.
- A client that is catching up is told a position only when it has caught up. If the epoch changes
  meanwhile, something may have been said that neither the journal nor the group has brought it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..journal.pages import Page
from ..journal.positions import VOID, Position, parse
from ..protocol import marks
from ..routing.names import GroupKind
from .lifecycle import Lifecycle

if TYPE_CHECKING:
    from ..journal.contract import Topic
    from ..protocol.marks import Claim
    from .seams import ConnectionOwner, Keeping
    from .served_route import ServedRoute


class _Past(NamedTuple):
    """What a client that comes has seen.

    Attributes:
        position: where it was; of no epoch for a newcomer, and for one that doesn't know.
        has_been: whether it has been here.
    """

    position: Position
    has_been: bool


class ReturningLifecycle(Lifecycle):
    """The internal side of a connection that may come back.

    Args:
        claim: what the client said of itself; None for one that wants plain messages.

    Attributes:
        is_marking: whether the client has read the greeting, and marks what it says.
    """

    __slots__ = ("_is_behind", "_is_greeted", "_me", "_past", "_resumed", "is_marking")

    def __init__(
        self,
        owner: ConnectionOwner,
        service: ServedRoute,
        window_bits: int,
        claim: Claim | None,
    ) -> None:
        super().__init__(owner, service, window_bits)
        self._me = "" if claim is None else claim.me
        self._resumed: bool | None = None
        self._is_behind = False  # while it catches up with its path
        self._is_greeted = False
        self.is_marking = False
        self.await_mark(self._me != "")
        said = "" if claim is None else claim.position
        # Only until "open" is done.
        self._past: _Past | None = _Past(parse(said), said != "")

    @property
    def may_return(self) -> bool:
        """Yes."""
        return True

    @property
    def me(self) -> str:
        """The name that the client gave itself; "" for one that wants plain messages."""
        return self._me

    @property
    def resumed(self) -> bool | None:
        """See `Connection.resumed`."""
        return self._resumed

    @property
    def is_marked(self) -> bool:
        """Whether each message of the connection begins with a mark."""
        return self._me != ""

    @property
    def is_due(self) -> bool:
        """Whether the client must catch up before it joins its path."""
        past = self._past
        if past is None:
            return False
        return past.has_been or self.service.limits.replay > 0 or self._keeper.is_distant

    @property
    def _keeper(self) -> Keeping:
        keeper = self.owner.keeper
        assert keeper is not None
        return keeper

    # -- coming

    def greet_newcomer(self) -> None:
        """Greet a client that has missed nothing; in the hub, as it joins its path."""
        self._keeper.counts.newcomers += 1
        self._is_greeted = True
        if self._me:
            self._write(marks.greeting(self._me, self._keeper.position, marks.NEWCOMER))

    def _open(self) -> None:
        past = self._past
        assert past is not None
        if self.is_due:
            self._catch_up(past)
        super()._open()

        self._past = None
        if self._me and not self.closed:
            self.owner.finish_keeping()
            self._settle()

    def _catch_up(self, past: _Past) -> None:
        """Send what was missed, and join the path."""
        keeper, topic = self._keeper, (GroupKind.PATH, self.connection.path)
        keeper.hear()
        era = keeper.era
        page: Page | None = None
        if past.has_been and keeper.is_of_now(past.position):
            page = self._missed(topic, past.position.number)
            if keeper.era != era:
                page, era = None, keeper.era
        self._greet(past, is_missing=page is None)
        self._is_behind = True
        if page is None:
            page = self._replayed(topic, past)
        self._send_pages(topic, page, era)
        self._is_behind = False
        if not self.closed:
            self.owner.join_path(self)

    def catch_up_room(self, room: str) -> None:
        """Send what was missed in a room, or its latest messages; the caller joins it at once.

        Only while "open" runs: later, nothing of a room was missed.
        """
        past, topic, era = self._past, (GroupKind.ROOM, room), self._keeper.era
        page: Page | None = None
        if past is not None and self._resumed:
            if self._keeper.is_of_now(past.position):
                page = self._missed(topic, past.position.number)
            if page is None:
                self._note_gap()
        if page is None:
            page = self._replayed(topic, past or _Past(Position("", 0), False))
        self._send_pages(topic, page, era)

    def _send_pages(self, topic: Topic, page: Page, era: object) -> None:
        """Send a page and all behind it, as fast as the client takes them.

        Args:
            era: of the keeper, before anything was read.
        """
        keeper = self._keeper
        while page and not self.closed:
            self._send_kept(page)
            number = page[-1].number
            self.owner.finish_keeping()
            more: Page | None = None
            if keeper.era == era or not self._me:
                more = self._missed(topic, number)
            if more is None:
                self._note_gap()  # it counts from here, and is not behind any more
                era = keeper.era
            page = more or Page()
        if keeper.era != era and self._me:
            self._note_gap()

    def _greet(self, past: _Past, *, is_missing: bool) -> None:
        """Tell the client what it is."""
        counts, position, verdict = self._keeper.counts, self._keeper.position, marks.NEWCOMER
        if not past.has_been:
            counts.newcomers += 1
        elif is_missing:
            counts.gaps += 1
            self._resumed, verdict = False, marks.GAP
        else:
            counts.resumes += 1
            self._resumed, verdict, position = True, marks.RESUMED, str(past.position)
        self._is_greeted = True
        if self._me:
            self._write(marks.greeting(self._me, position, verdict))

    def _note_gap(self) -> None:
        """Tell a client that something which it missed is not there any more."""
        if self._resumed:
            self._resumed = False
            self._keeper.counts.gaps += 1
        self._write_gap()

    def tell_gap(self) -> None:
        """Tell a client that it may have missed something, and where it is now.

        One that is catching up finds out by itself, and one that isn't greeted is told then.
        """
        if self._is_greeted and not self._is_behind:
            if self._past is not None and self._resumed:
                self._resumed = False
            self._write_gap()

    def _write_gap(self) -> None:
        if not self._me or self.closed:
            return
        self._write(marks.greeting(self._me, self._keeper.position, marks.GAP))
        if self._past is None:
            self._settle()

    def _settle(self) -> None:
        """Tell a client that all up to here has been said."""
        position = self._keeper.position
        self._write(marks.VOID_FRAME if position == VOID else marks.settled(position))

    def _missed(self, topic: Topic, number: int) -> Page | None:
        limits = self.owner.limits_of(topic)
        return Page() if limits is None else self._keeper.missed(topic, number, limits)

    def _replayed(self, topic: Topic, past: _Past) -> Page:
        """Return the latest messages, but for those that the client has seen."""
        limits = self.owner.limits_of(topic)
        if limits is None or not limits.replay:
            return Page()
        found = self._keeper.latest(topic, limits.replay, limits)
        if not self._keeper.is_of_now(past.position):
            return found
        return Page(one for one in found if one.number > past.position.number)

    def _send_kept(self, page: Page) -> None:
        """Queue messages of the journal, but for those that aren't for this client.

        Waits while the client takes too few of them.
        """
        transport, counts = self.transport, self._keeper.counts
        enough_bytes = transport.most_bytes // 2
        if page.is_for_all and not self.window_bits:
            frames = page.joined(is_marked=self.is_marked)
            if transport.queued_bytes + len(frames) <= enough_bytes:
                counts.replayed += len(page)
                transport.sent_messages += len(page)
                transport.write(frames)
                return

        for message in page:
            if message.author and message.author == self._me:
                continue
            counts.replayed += 1
            transport.sent_messages += 1
            frame = message.frame
            if self._me:
                frame = marks.marked(frame, marks.kept_mark(message.number))
            self._write(frame)
            if transport.queued_bytes > enough_bytes:
                self._wait_while_over(enough_bytes)
                if self.closed:
                    return

    def is_mark(self, data: str | bytes) -> bool:
        """Return whether something says that the client has read the greeting."""
        return data == f"@{self._me}:"

    # -- sending

    def send(self, frame: bytes) -> None:
        """Send one frame, marked where the client wants it; see `Lifecycle.send`."""
        super().send(marks.marked(frame, marks.PRIVATE) if self._me else frame)

    def tell_position(self, frame: bytes) -> None:
        """Queue the mark that says where a client is, unless it is told at the end of "open"."""
        if self._past is None:
            self.tell(frame)

    def tell(self, frame: bytes) -> None:
        """Queue a frame that is a mark alone, behind the greeting; in the hub."""
        if self._is_greeted and not self.closed:
            self._write(frame)

    def _write(self, frame: bytes) -> None:
        if self.window_bits:
            frame = self._compressed(frame)
        self.transport.write(frame)

    def overflowed(self, size_bytes: int) -> bool:
        """Close rather than drop: a client that gets its past must not lose the present."""
        if self._me:
            self._give_up_on_slow_peer()
            return False
        return super().overflowed(size_bytes)
