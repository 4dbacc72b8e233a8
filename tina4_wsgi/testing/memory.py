"""What a client that comes back knows: who it is, and what it has seen.

It does what `tina4.connect` does in a page, for `TestClient.websocket(path, since=…)`: see
`protocol.marks` for the marks that it reads and writes.
"""

from __future__ import annotations

import re
import secrets

MARK = re.compile(
    r"@(?P<me>[^.:]*)\.(?P<start>[^:]*)\.(?P<how>[nyg]):"
    r"|#(?P<here>[^:]*):"
    r"|(?P<kept>\d+-\d+)?:"
)

_ME_BYTES = 9  # 12 characters
_MOST_MARK_BYTES = 600
_PAIR = re.compile(r"(\d+)-(\d+)")
_VOID = "-"
_RESUMED = {"n": None, "y": True, "g": False}


class Whereabouts(str):
    """The text of a position, which remembers whose it is.

    A client that comes back with it has the name that it had, as a page keeps its own, and gets
    nothing twice that it saw before its line was cut.

    Attributes:
        me: the name that the client gave itself.
        ahead: kept messages that it saw while others were missing, as "shard-number".
    """

    __slots__ = ("ahead", "me")

    me: str
    ahead: frozenset[str]

    def __new__(cls, text: str, me: str, ahead: frozenset[str] = frozenset()) -> Whereabouts:
        """Make the text of a position."""
        seen = super().__new__(cls, text)
        seen.me, seen.ahead = me, ahead
        return seen


class Memory:
    """The memory of one connection.

    Args:
        since: a position; "" for a newcomer.

    Attributes:
        is_marked: whether the server marks its messages; None before the first message.
        resumed: None for a newcomer, True for one that gets all it missed, False behind a gap.
        missed: whether the server has told of a gap.
    """

    def __init__(self, since: str) -> None:
        self._position = str(since)
        self._me = since.me if isinstance(since, Whereabouts) else secrets.token_urlsafe(_ME_BYTES)
        # What came while others are missing; None once all has been said.
        self._ahead: set[str] | None = set(since.ahead) if isinstance(since, Whereabouts) else set()
        self.is_marked: bool | None = None
        self.resumed: bool | None = None
        self.missed = False

    @property
    def position(self) -> Whereabouts:
        """Where this client is, as the next connection says it."""
        return Whereabouts(self._position, self._me, frozenset(self._ahead or ()))

    def claim(self) -> str:
        """Return the field of the query by which this client asks for marks."""
        return f"tina4=1.{self._me}" + (f".{self._position}" if self._position else "")

    def answer(self) -> str:
        """Return what a client says that has read the greeting."""
        return f"@{self._me}:"

    def read(self, message: str | bytes) -> str | bytes | None:
        """Return a message of the server without its mark; None if it is none for the test."""
        head = message if isinstance(message, str) else message[:_MOST_MARK_BYTES].decode("latin-1")
        if self.is_marked is None:
            self.is_marked = head.startswith(f"@{self._me}.")
            if not self.is_marked:
                # Without history nobody knows what was said meanwhile.
                self._begin("", False if self._position else None)
        if not self.is_marked:
            return message

        found = MARK.match(head)
        if found is None:
            return None  # of a newer server
        if found["me"] == self._me:
            self._begin(found["start"], _RESUMED[found["how"]])
        elif found["here"] is not None:
            self._reach(found["here"] or _VOID)
        elif found["me"] is None and self._is_new(found["kept"]):
            return message[found.end() :]
        return None

    def _begin(self, position: str, resumed: bool | None) -> None:
        self.resumed = resumed
        if not resumed:
            self._reach(position)
        if self._ahead is None:
            self._ahead = set()
        if resumed is False:
            self.missed = True

    def _reach(self, position: str) -> None:
        self._position = position
        self._ahead = None if "." in position else set()

    def _is_new(self, kept: str | None) -> bool:
        """Note a kept message; return False if it was seen before."""
        if kept is None:
            return True
        if self._ahead is not None:
            is_new = kept not in self._ahead
            self._ahead.add(kept)
            return is_new

        epoch, _, reached = self._position.partition(".")
        numbers = {int(shard): int(number) for shard, number in _PAIR.findall(reached)}
        shard, number = map(int, kept.split("-"))
        numbers[shard] = max(number, numbers.get(shard, 0))
        pairs = "_".join(f"{one}-{numbers[one]}" for one in sorted(numbers))
        self._position = f"{epoch}.{pairs}"
        return True


def marked(message: str | bytes) -> str | bytes:
    """Put the mark of a client's message in front of it."""
    return f":{message}" if isinstance(message, str) else b":" + message
