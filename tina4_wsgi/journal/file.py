"""A journal in a file: for all processes of one machine, and over their restarts.

The frames that one process says in a row to one path are one row of a table, since a row costs more
than a frame. Their numbers are `first` to `n`.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from operator import attrgetter
from typing import TYPE_CHECKING

from ..protocol.marks import split_frames
from .contract import (
    MOST_PAGE_BYTES,
    MOST_ROWS,
    NEWS_S,
    Appended,
    Declared,
    Kept,
    KeptLimits,
    News,
    Point,
    Row,
    runs,
)
from .database import TOP, Database, meta
from .positions import new_epoch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .contract import Draft, Topic

_LEAST_TRIM = 16
"""After so many messages of a topic, at least, those that are too many are looked for."""

_CHECK_BYTES = 1 << 20
"""After so many bytes the size of the file is looked at."""

_SWEPT_ROWS = 500
_MOST_FLOORS = 100_000
_MOST_TRIMMING = 10_000
_ROW_BYTES = 100  # what a row takes besides its frames


class FileJournal:
    """See `contract.Journal`.

    Args:
        path: of the file.
        make_folder: see `Database`.
        most_bytes: how much the messages may take.

    Threads: one at a time.
    """

    def __init__(self, path: str, make_folder: Callable[[], None], most_bytes: int) -> None:
        self._database = Database(path, make_folder, self._redeclare)
        self._most_bytes = most_bytes
        self._declarations: list[Declared] | None = None
        # How many messages came since a topic was trimmed, and up to which number it was.
        self._untrimmed: dict[Topic, tuple[int, int]] = {}
        # Once a second: the time, and a number that is older than that.
        self._ages: deque[tuple[float, int]] = deque()
        # The size is looked at with the first message: a publisher may say no second one.
        self._unchecked_bytes = _CHECK_BYTES
        self._swept_to = 0

    # -- writing

    def append(self, drafts: Sequence[Draft], now_s: float) -> Appended:
        """Keep all drafts; see `contract.Journal`."""

        def change(connection: sqlite3.Connection) -> Appended:
            before = _point(connection)
            numbers = _numbers(connection, drafts, before.number, now_s)
            kept = drafts
            if 0 in numbers:
                kept = [one for one, number in zip(drafts, numbers, strict=True) if number]
            self._note_age(before.number, now_s)
            added_bytes = 0
            for begin, end in runs(kept):
                together = kept[begin:end]
                added_bytes += _insert(connection, together, before.number + end, now_s)
                self._trim(connection, together[0], len(together), now_s)
            self._check_size(connection, added_bytes, before.number)
            return Appended(before, numbers)

        appended = self._database.write(change)
        before, numbers = appended
        self._database.note(before.copy_id, max(numbers, default=0) or before.number)
        return appended

    def forget(self, topic: Topic) -> None:
        """Drop all messages of a topic."""

        def change(connection: sqlite3.Connection) -> None:
            _drop(connection, "topic=?", (_text(topic),))

        self._database.write(change)
        self._database.erase()

    def renew(self) -> Point:
        """Begin a new epoch; a file that can't be read is made anew."""

        def change(connection: sqlite3.Connection) -> Point:
            connection.execute("UPDATE meta SET epoch=?", (new_epoch(),))
            return _point(connection)

        point = self._database.write(change)
        self._database.believe()
        return point

    def sweep(self, now_s: float) -> None:
        """Drop what is too old, some rows at a time, and what is too much."""

        def change(connection: sqlite3.Connection) -> None:
            end = connection.execute(
                "SELECT n FROM rows WHERE n>? ORDER BY n LIMIT 1 OFFSET ?",
                (self._swept_to, _SWEPT_ROWS),
            ).fetchone()
            top = _point(connection).number
            last = top if end is None else end[0]
            _drop(
                connection,
                "n>? AND n<=? AND until<? AND said_at<?",
                (self._swept_to, last, now_s, now_s - NEWS_S),
            )
            self._swept_to = 0 if end is None else last
            connection.execute("DELETE FROM said WHERE until<?", (now_s,))
            _forget_floors(connection)
            self._check_size(connection, _CHECK_BYTES, top)

        self._database.write(change)

    def declare(self, declarations: Sequence[Declared]) -> None:
        """Say what is kept; writes only what isn't there, and that in each new file."""
        self._declarations = sorted(set(declarations))
        if self.declared() != self._declarations:
            self._database.write(self._write_declarations)

    def _redeclare(self, connection: sqlite3.Connection) -> None:
        """Say what is kept in a file that was just opened; it may be a new one."""
        if self._declarations is not None and _declared(connection) != self._declarations:
            connection.execute("BEGIN IMMEDIATE")
            self._write_declarations(connection)
            connection.execute("COMMIT")

    def _write_declarations(self, connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM declared")
        connection.executemany(
            "INSERT OR REPLACE INTO declared VALUES (?, ?, ?, ?, ?)",
            [(one.kind, one.pattern, *one.limits) for one in self._declarations or ()],
        )

    def _note_age(self, number: int, now_s: float) -> None:
        ages = self._ages
        if ages and now_s < ages[-1][0] - 1:
            ages.clear()  # the clock was set back
        if not ages or now_s > ages[-1][0] + 1:
            ages.append((now_s, number))
        while len(ages) > 1 and ages[1][0] < now_s - NEWS_S:
            ages.popleft()

    def _oldest_news(self, now_s: float) -> int:
        """Return a number up to which nothing is news any more."""
        said_at_s, number = self._ages[0]
        return number if said_at_s < now_s - NEWS_S else 0

    def _trim(self, connection: sqlite3.Connection, draft: Draft, added: int, now_s: float) -> None:
        """Now and then, drop the messages of a topic that are too many and no news."""
        topic, most = draft.topic, draft.limits.most_messages
        count, trimmed_to = self._untrimmed.get(topic, (0, 0))
        oldest, count = self._oldest_news(now_s), count + added
        self._untrimmed[topic] = count, trimmed_to
        if count < max(_LEAST_TRIM, most // 4) or oldest == trimmed_to:
            return
        if len(self._untrimmed) > _MOST_TRIMMING:
            self._untrimmed.clear()
        self._untrimmed[topic] = 0, oldest

        left = most
        for number, first in connection.execute(
            "SELECT n, first FROM rows WHERE topic=? ORDER BY n DESC", (_text(topic),)
        ):
            if left <= 0:
                last = min(number, oldest)
                _drop(connection, "topic=? AND n<=?", (_text(topic), last))
                return
            left -= number - first + 1

    def _check_size(self, connection: sqlite3.Connection, added_bytes: int, last: int) -> None:
        """Now and then, drop the oldest rows where there are too many bytes.

        Args:
            last: nothing behind it is dropped: it was just said, and has yet to be heard.
        """
        self._unchecked_bytes += added_bytes
        if self._unchecked_bytes < min(_CHECK_BYTES, self._most_bytes // 8):
            return
        self._unchecked_bytes = 0
        excess_bytes = _size_bytes(connection) - self._most_bytes
        if excess_bytes <= 0:
            return

        excess_bytes += self._most_bytes // 8
        for number, size in connection.execute(
            "SELECT n, length(frames) FROM rows WHERE n<=? ORDER BY n", (last,)
        ):
            excess_bytes -= size + _ROW_BYTES
            if excess_bytes <= 0:
                last = number
                break
        _drop(connection, "n<=?", (last,))

    # -- reading

    def news(self, number: int) -> News:
        """Return what was said behind `number`; see `contract.Journal`."""

        def ask(connection: sqlite3.Connection) -> News:
            epoch, top, dropped, cuts, copy_id = connection.execute(
                f"SELECT epoch, {TOP}, dropped, cuts, copy_id FROM meta"
            ).fetchone()
            if number >= top:
                return News(Point(epoch, top, copy_id), [], number == top, cuts)
            rows = [
                Row(_topic(topic), _messages(last, authors, frames, said_at_s))
                for last, topic, said_at_s, authors, frames in connection.execute(
                    "SELECT n, topic, said_at, authors, frames FROM rows WHERE n>? "
                    "ORDER BY n LIMIT ?",
                    (number, MOST_ROWS),
                )
            ]
            if len(rows) == MOST_ROWS:
                top = rows[-1].messages[-1].number
            return News(Point(epoch, top, copy_id), rows, number >= dropped, cuts)

        return self._database.read(ask)

    def missed(
        self, topic: Topic, number: int, end: int, limits: KeptLimits, now_s: float
    ) -> list[Kept] | None:
        """Return a page of what was missed; see `contract.Journal`."""

        def ask(connection: sqlite3.Connection) -> list[Kept] | None:
            text = _text(topic)
            if number < _floor(connection, text):
                return None
            count = connection.execute(
                "SELECT sum(n - max(first, ?) + 1) FROM rows WHERE topic=? AND n>?",
                (number + 1, text, number),
            ).fetchone()[0]
            if (count or 0) > limits.most_messages:
                return None
            found = _rows_of(connection, text, number, "ASC")
            if found and found[0].said_at_s < now_s - limits.longest_s:
                return None
            return [one for one in found if number < one.number <= end]

        return self._database.read(ask)

    def latest(
        self, topic: Topic, most: int, end: int, limits: KeptLimits, now_s: float
    ) -> list[Kept]:
        """Return the last messages of a topic; see `contract.Journal`."""

        def ask(connection: sqlite3.Connection) -> list[Kept]:
            oldest_s, found = now_s - limits.longest_s, list[Kept]()
            for last, said_at_s, authors, frames in connection.execute(
                "SELECT n, said_at, authors, frames FROM rows WHERE topic=? AND first<=? "
                "ORDER BY n DESC",
                (_text(topic), end),
            ):
                if said_at_s < oldest_s or len(found) >= most:
                    break
                messages = _messages(last, authors, frames, said_at_s)
                found.extend(one for one in reversed(messages) if one.number <= end)
            return found[:most][::-1]

        return self._database.read(ask)

    def point(self) -> Point:
        """Return where the journal is."""
        return self._database.read(_point)

    def declared(self) -> list[Declared]:
        """Return what was declared, sorted."""

        return self._database.read(_declared)

    def size_bytes(self) -> int:
        """Return how much room the messages take."""
        return self._database.read(_size_bytes)

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def _declared(connection: sqlite3.Connection) -> list[Declared]:
    return sorted(
        Declared(kind, pattern, KeptLimits(most, longest_s, replay))
        for kind, pattern, most, longest_s, replay in connection.execute(
            "SELECT kind, pattern, most, longest_s, replay FROM declared"
        )
    )


def _text(topic: Topic) -> str:
    return f"{topic[0]:d}{topic[1]}"


def _topic(text: str) -> Topic:
    return int(text[0]), text[1:]


def _point(connection: sqlite3.Connection) -> Point:
    epoch, copy_id, number, _ = meta(connection)
    return Point(epoch, number, copy_id)


def _is_new(connection: sqlite3.Connection, draft: Draft, now_s: float) -> bool:
    """Note that something is said under a key; return whether it is for the first time."""
    # A key belongs to its topic, and no name has a line break.
    key = f"{_text(draft.topic)}\n{draft.once}"
    said = connection.execute(
        "INSERT OR IGNORE INTO said VALUES (?, ?)", (key, now_s + draft.limits.longest_s)
    )
    return said.rowcount > 0


def _numbers(
    connection: sqlite3.Connection, drafts: Sequence[Draft], number: int, now_s: float
) -> list[int]:
    """Give drafts the numbers behind `number`, but 0 to those whose key was used before."""
    if not any(map(attrgetter("once"), drafts)):
        return list(range(number + 1, number + len(drafts) + 1))
    numbers = []
    for one in drafts:
        is_new = not one.once or _is_new(connection, one, now_s)
        number += is_new
        numbers.append(number if is_new else 0)
    return numbers


def _insert(
    connection: sqlite3.Connection, drafts: Sequence[Draft], last: int, now_s: float
) -> int:
    """Write messages of one topic as one row; return how many bytes they have.

    Args:
        last: the number of the last one.
    """
    authors = ",".join([one.author for one in drafts])
    frames = b"".join([one.frame for one in drafts])
    connection.execute(
        "INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            last,
            last - len(drafts) + 1,
            _text(drafts[0].topic),
            now_s,
            now_s + drafts[0].limits.longest_s,
            authors.strip(",") and authors,
            frames,
        ),
    )
    return len(frames)


def _messages(last: int, authors: str, frames: bytes, said_at_s: float) -> list[Kept]:
    """Take a row apart."""
    try:
        split = split_frames(frames)
    except IndexError:
        raise sqlite3.DatabaseError(f"malformed row: {len(frames)} bytes aren't frames") from None
    names = authors.split(",") if authors else [""] * len(split)
    if len(names) != len(split):
        raise sqlite3.DatabaseError(f"malformed row: {len(split)} messages of {len(names)}")
    first = last - len(split) + 1
    return [
        Kept(first + place, frame, name, said_at_s)
        for place, (frame, name) in enumerate(zip(split, names, strict=True))
    ]


def _rows_of(connection: sqlite3.Connection, topic: str, number: int, order: str) -> list[Kept]:
    found: list[Kept] = []
    size = 0
    for last, said_at_s, authors, frames in connection.execute(
        f"SELECT n, said_at, authors, frames FROM rows WHERE topic=? AND n>? ORDER BY n {order}",
        (topic, number),
    ):
        found.extend(_messages(last, authors, frames, said_at_s))
        size += len(frames)
        if len(found) >= MOST_ROWS or size >= MOST_PAGE_BYTES:
            break
    return found


def _floor(connection: sqlite3.Connection, topic: str) -> int:
    """Return the last number of a topic that was dropped, or that may have been."""
    found = connection.execute(
        "SELECT max(floor, coalesce((SELECT n FROM floors WHERE topic=?), 0)) FROM meta", (topic,)
    ).fetchone()
    return int(found[0])


def _drop(connection: sqlite3.Connection, condition: str, values: tuple[object, ...]) -> None:
    """Drop rows, and note which numbers they had."""
    connection.execute(
        "INSERT INTO floors SELECT topic, max(n) FROM rows "
        f"WHERE {condition} GROUP BY topic "
        "ON CONFLICT (topic) DO UPDATE SET n=max(n, excluded.n)",
        values,
    )
    connection.execute(
        f"UPDATE meta SET top={TOP}, cuts=cuts+1, dropped=max(dropped, coalesce("
        f"(SELECT max(n) FROM rows WHERE {condition}), 0))",
        values,
    )
    connection.execute(f"DELETE FROM rows WHERE {condition}", values)


def _forget_floors(connection: sqlite3.Connection) -> None:
    """Where topics are too many, take the older half of their floors for one that holds for all."""
    count = connection.execute("SELECT count(*) FROM floors").fetchone()[0]
    if count <= _MOST_FLOORS:
        return
    middle = connection.execute(
        "SELECT n FROM floors ORDER BY n LIMIT 1 OFFSET ?", (count // 2,)
    ).fetchone()[0]
    connection.execute("UPDATE meta SET floor=max(floor, ?)", (middle,))
    connection.execute("DELETE FROM floors WHERE n<=?", (middle,))


def _size_bytes(connection: sqlite3.Connection) -> int:
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)
