"""Who was owed which message, and what became of it.

A message is owed to each client of its room if its sender was told that it was said, or if any
client heard it. All clients are greeted before the first message is said. A room has one order:
that in which its clients heard what they heard.

- lost: owed, and never heard.
- without a word: lost, and the client wasn't told afterwards that it had missed something.
- late: the client was told, but had heard later messages before: for a while its stream had a hole
  that it didn't know of.
- doubled: heard again; out of order: heard after a later one.
- told for nothing: the client was told that it missed something, and had missed nothing.
- foreign: heard, but said by none of the room's senders; owed to nobody.
- split: rooms in which clients that were never told of a gap saw different sequences.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Event(NamedTuple):
    """What a client noted.

    Attributes:
        what: "open", "close", "greeted" when it first knew where it was, "missed" or "heard".
        text: the message.
    """

    what: str
    text: str = ""
    at_ms: int = 0


@dataclass
class Listener:
    """One client in its room, and its notes in their order."""

    name: str
    room: str
    notes: list[Event] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        """Whether its last line is open."""
        ways = (one.what for one in reversed(self.notes) if one.what in ("open", "close"))
        return next(ways, "") == "open"

    @property
    def is_greeted(self) -> bool:
        """Whether it has known where it is: from then on it can come back."""
        return any(one.what == "greeted" for one in self.notes)

    def heard(self) -> Iterable[tuple[int, str]]:
        """Yield each message with the number of its note."""
        return ((at, one.text) for at, one in enumerate(self.notes) if one.what == "heard")


@dataclass
class Tally:
    """What was judged; all but `owed`, `told` and `split` count messages for one client each.

    Attributes:
        told: how often a client was told that it missed something.
        places: for each kind of fault where it was found.
    """

    owed: int = 0
    lost: int = 0
    silent: int = 0
    late: int = 0
    doubled: int = 0
    disordered: int = 0
    told: int = 0
    for_nothing: int = 0
    foreign: int = 0
    split: int = 0
    places: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


def judge(listeners: Sequence[Listener], said: Mapping[str, Sequence[str]]) -> Tally:
    """Compare what was said in each room, in the order of each sender, with what was heard.

    A message's text is `sender.number`.
    """
    tally = Tally()
    for name, everybody in _by_room(listeners).items():
        senders = _by_sender(said.get(name, ()))
        members = [_without_foreign(one, senders, tally) for one in everybody]
        room = _Room(members, said.get(name, ()))
        for member in members:
            _judge_one(member, room, tally)
        untold = [one for one in members if not any(note.what == "missed" for note in one.notes)]
        sequences = {tuple(text for _, text in one.heard()) for one in untold}
        if len(sequences) > 1:
            tally.split += 1
            tally.places["split"].append(f"{name}: {len(sequences)} sequences")
    return tally


def order_of(members: Sequence[Listener]) -> list[str]:
    """Merge what the clients of a room heard into one order.

    What one client heard after another message stands behind it. Where that leaves a choice, or
    clients contradict each other, what was first heard by anybody goes first.
    """
    heard_at_ms: dict[str, int] = {}
    behind = defaultdict[str, set[str]](set)
    for member in members:
        for note in member.notes:
            if note.what == "heard":
                earlier = heard_at_ms.get(note.text, note.at_ms)
                heard_at_ms[note.text] = min(earlier, note.at_ms)
        for before, text in itertools.pairwise(_first_hearings(member)):
            behind[before].add(text)
    return _sorted(heard_at_ms, behind)


def _sorted(heard_at_ms: Mapping[str, int], behind: Mapping[str, set[str]]) -> list[str]:
    """Sort topologically, and by time."""
    waits_for = Counter(text for texts in behind.values() for text in texts)
    by_time = sorted(heard_at_ms, key=heard_at_ms.__getitem__)
    place = {text: number for number, text in enumerate(by_time)}
    ready = [place[text] for text in by_time if not waits_for[text]]
    order: dict[str, None] = {}
    left = iter(by_time)
    while len(order) < len(by_time):
        # Nothing is ready where clients contradict each other.
        text = by_time[heapq.heappop(ready)] if ready else next(left)
        if text in order:
            continue
        order[text] = None
        for follower in behind.get(text, ()):
            waits_for[follower] -= 1
            if not waits_for[follower]:
                heapq.heappush(ready, place[follower])
    return list(order)


class _Room:
    """What is owed to each client of a room.

    Attributes:
        order: what anybody heard.
        rank: where in it each message stands.
        bounds: for each message the rank that it follows, and the one that it comes before. One
            that nobody heard stands somewhere between the neighbours that its sender gave it; any
            other has its own rank twice.
    """

    def __init__(self, members: Sequence[Listener], said: Iterable[str]) -> None:
        self.order = order_of(members)
        self.rank = {text: number for number, text in enumerate(self.order)}
        self.bounds = {text: (number, number) for text, number in self.rank.items()}
        for stream in _by_sender(said).values():
            self._place(stream)

    def _place(self, stream: Sequence[str]) -> None:
        for at, text in enumerate(stream):
            if text not in self.rank:
                before = (self.rank[one] for one in reversed(stream[:at]) if one in self.rank)
                behind = (self.rank[one] for one in stream[at:] if one in self.rank)
                self.bounds[text] = (next(before, -1), next(behind, len(self.order)))


def _judge_one(member: Listener, room: _Room, tally: Tally) -> None:
    first_at = _judge_hearings(member, room, tally)
    missed_at = [at for at, one in enumerate(member.notes) if one.what == "missed"]
    tally.owed += len(room.bounds)
    tally.told += len(missed_at)
    excused = set[int]()
    for text, bounds in room.bounds.items():
        if bounds[0] not in first_at or bounds[0] != bounds[1]:
            _note("lost", member, text, tally)
            hole_at, goes_on_at = _hole(bounds, first_at, len(room.order), len(member.notes))
            told_at = next((at for at in missed_at if at > hole_at), None)
            if told_at is None:
                _note("silent", member, text, tally)
            elif told_at > goes_on_at:
                _note("late", member, text, tally)
            excused |= {told_at} if told_at is not None else set()
    for at in set(missed_at) - excused:
        _note("for_nothing", member, f"its note {at}", tally)


def _judge_hearings(member: Listener, room: _Room, tally: Tally) -> dict[int, int]:
    """Enter what came again or in the wrong place, and return the first note of each rank."""
    first_at: dict[int, int] = {}
    highest = -1
    for at, text in member.heard():
        rank = room.rank[text]
        if rank in first_at:
            _note("doubled", member, text, tally)
            continue
        if rank < highest:
            _note("disordered", member, text, tally)
        highest = max(highest, rank)
        first_at[rank] = at
    return first_at


def _hole(
    bounds: tuple[int, int], first_at: Mapping[int, int], end: int, note_count: int
) -> tuple[int, int]:
    """Return the notes after and before which a lost message should have been heard."""
    low, high = bounds
    before = (first_at[one] for one in range(low, -1, -1) if one in first_at)
    behind = (first_at[one] for one in range(high, end) if one in first_at)
    return next(before, -1), next(behind, note_count)


def _note(kind: str, member: Listener, what: str, tally: Tally) -> None:
    setattr(tally, kind, getattr(tally, kind) + 1)
    tally.places[kind].append(f"{what} for {member.name} in {member.room}")


def _without_foreign(member: Listener, senders: Collection[str], tally: Tally) -> Listener:
    """Enter what no sender can have said, and return the client without it."""
    kept = []
    for note in member.notes:
        if note.what == "heard" and note.text.rpartition(".")[0] not in senders:
            _note("foreign", member, note.text, tally)
        else:
            kept.append(note)
    return Listener(member.name, member.room, kept)


def _first_hearings(member: Listener) -> list[str]:
    return list(dict.fromkeys(text for _, text in member.heard()))


def _by_room(listeners: Iterable[Listener]) -> dict[str, list[Listener]]:
    rooms = defaultdict(list)
    for one in listeners:
        rooms[one.room].append(one)
    return rooms


def _by_sender(said: Iterable[str]) -> dict[str, list[str]]:
    streams = defaultdict(list)
    for text in said:
        streams[text.rpartition(".")[0]].append(text)
    return streams
