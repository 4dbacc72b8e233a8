"""Who sent what, who heard what, and which of that is a fault.

A line is one connection of a client. What one line sends to one group, a path or a room, is a
stream of numbers: 0, 1, 2 and so on. Each number makes a pair with each line in the group, and a
pair counts only where the outcome is certain:

- from the first number on that was sent after the receiver had read the greeting of its "open":
  earlier ones may have been on their way already;
- to the last number that was sent `SETTLE_S` before either line ended. Later ones may rightly be
  lost, in the buffers of a killed worker or behind a close frame. Lines that live to the end have
  no such tail;
- if the sender's worker wasn't killed and the receiver lives to the end, to the last number that
  the journal knows as broadcast, for between two living workers nothing may be lost at all.

What was heard beyond these bounds has no gap, no double and nothing out of order either: all on the
way are byte streams, so a later number proves that the earlier ones have passed. A kill thus costs
the streams of its lines their tails, and nothing else.
"""

from __future__ import annotations

import bisect
import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

SETTLE_S = 10.0  # the longest stop, five times: what takes longer on a busy machine is a fault, too
FAREWELLS = (1000, 1001)  # the answer to a client's own, and that of a worker that stops


class Stream(NamedTuple):
    """All that one line says to one group."""

    sender: str
    group: str


class Note(NamedTuple):
    """A callback of the line `tag` was called: `what` is "open", "close", or a broadcast's
    group.
    """

    pid: int
    tag: str
    what: str


@dataclass
class Line:
    """One connection, from its greeting on; `owed_from` has the streams that had begun before."""

    tag: str
    groups: Collection[str]
    pid: int
    owed_from: dict[Stream, int]
    heard: dict[Stream, list[int]]
    ended_at_s: float = math.inf
    close_code: int | None = None


@dataclass
class Tally:
    """What was judged, and for each kind of fault where it was found."""

    pairs: int = 0
    opens: int = 0
    faults: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


class Ledger:
    """What the clients did, by a monotonic clock."""

    def __init__(self) -> None:
        self._lines: dict[str, Line] = {}
        self._heard: dict[str, dict[Stream, list[int]]] = defaultdict(lambda: defaultdict(list))
        self._sent_at_s: dict[Stream, list[float]] = defaultdict(list)

    def opened(self, tag: str, groups: Collection[str], pid: int) -> None:
        """Enter a line that has read its greeting."""
        begun = {one: len(sent) for one, sent in self._sent_at_s.items() if one.group in groups}
        self._lines[tag] = Line(tag, groups, pid, begun, self._heard[tag])

    def sent(self, tag: str, group: str, now_s: float) -> int:
        """Enter a message that leaves now, and return its number."""
        times = self._sent_at_s[Stream(tag, group)]
        times.append(now_s)
        return len(times) - 1

    def heard(self, tag: str, stream: Stream, number: int) -> None:
        """Enter a message that arrived, which may have overtaken the greeting."""
        self._heard[tag][stream].append(number)

    def ended(self, tag: str, now_s: float, close_code: int = 1006) -> None:
        """Enter the first sign of a line's end."""
        line = self._lines.get(tag)
        if line is not None and line.close_code is None:
            line.ended_at_s, line.close_code = now_s, close_code

    def judge(self, journal: Iterable[Note], killed: Collection[int]) -> Tally:
        """Compare what the clients saw with what the callbacks noted; who was `killed` owes no
        "close".
        """
        notes, tally = Counter(journal), Tally()
        said = Counter({Stream(note.tag, note.what): count for note, count in notes.items()})
        self._judge_callbacks(notes, killed, tally)
        for stream, sent in self._sent_at_s.items():
            sender = self._lines[stream.sender]
            for line in self._lines.values():
                if stream.group in line.groups:
                    until_s = min(sender.ended_at_s, line.ended_at_s) - SETTLE_S
                    owed_to = bisect.bisect_left(sent, until_s)
                    if sender.pid not in killed and line.close_code is None:
                        owed_to = max(owed_to, said[stream])
                    _judge_pairs(line, stream, owed_to, tally)
        return tally

    def _judge_callbacks(self, notes: Counter[Note], killed: Collection[int], tally: Tally) -> None:
        greeted = {(line.pid, tag): line for tag, line in self._lines.items()}
        for pid, tag in sorted({*greeted, *((note.pid, note.tag) for note in notes)}):
            opens, closes = (notes[Note(pid, tag, what)] for what in ("open", "close"))
            code = greeted[pid, tag].close_code if (pid, tag) in greeted else None
            is_wrong = {
                "open missing": not opens,
                "open twice": opens > 1,
                "close missing": not closes and pid not in killed,
                "close twice": closes > 1,
                "cut off": code not in (None, *FAREWELLS) and pid not in killed,
            }
            tally.opens += opens
            for kind in (kind for kind, is_so in is_wrong.items() if is_so):
                tally.faults[kind].append(f"{tag} in worker {pid}")


def _judge_pairs(line: Line, stream: Stream, owed_to: int, tally: Tally) -> None:
    heard = line.heard.get(stream, [])
    first = min([line.owed_from.get(stream, 0), *heard])
    owed = range(first, max([first, owed_to, *(number + 1 for number in heard)]))
    tally.pairs += len(owed)

    found = [("lost", number) for number in sorted(set(owed) - set(heard))]
    seen, highest = set[int](), -1
    for number in heard:
        if number in seen:
            found.append(("doubled", number))
        elif number < highest:
            found.append(("out of order", number))
        highest = max(number, highest)
        seen.add(number)
    for kind, number in found:
        where = f"{stream.sender} to {stream.group}, for {line.tag} in worker {line.pid}"
        tally.faults[kind].append(f"{number} of {where}")
