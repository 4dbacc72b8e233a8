"""What a backplane and the process that uses it promise each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from .envelope import Kind

TIMEOUT_S = 5.0
"""How long a process, or Redis, may take over one message of a publisher from outside."""

Facts = dict[str, Any]  # Any: whatever JSON holds
"""A JSON object: a question, an answer, or what a worker tells about itself."""


class Receiver(Protocol):
    """The connections of this process, as other processes may reach them.

    Greenlets: every method is called in the hub and must not wait.
    """

    def deliver(self, kind: Kind, name: str, frame: bytes) -> None:
        """Send a frame to every connection here on path, or in room, `name`."""

    def hear_bell(self) -> None:
        """Read in the journal what others have kept."""

    def lose(self, kind: Kind, name: str, frame: bytes) -> None:
        """Send a frame that should be in the journal and isn't to every connection here.

        Args:
            kind: PATH or ROOM.
        """

    def keeps(self, kind: Kind, name: str) -> bool:
        """Return whether history is kept of path, or room, `name`."""

    def say(self, kind: Kind, name: str, frame: bytes, once: str) -> None:
        """Broadcast a frame, and keep it where its path or room keeps history."""

    def count_here(self, kind: Kind, name: str) -> int:
        """Count the connections here on path, or in room, `name`."""

    def answer(self, question: Facts) -> Facts:
        """Answer another process, or do what it asks for."""


class Receipt(NamedTuple):
    """What became of a message that was published from outside.

    Attributes:
        processes: how many took it, and have handed it to those of their clients whom it is for; 0
            for a message that is kept while nobody serves, or that had been said before.
        clients: to how many clients; None where Redis doesn't tell.
    """

    processes: int
    clients: int | None


class SaidBefore(Receipt):
    """What became of a message whose `once` had been said before: nobody gets it again."""

    __slots__ = ()


class OutsidePublisher(Protocol):
    """The bus or Redis, as seen by a process that only publishes."""

    def carry(self, kind: Kind, name: str, frame: bytes, once: str = "") -> Receipt:
        """Tell all serving processes, and wait for them.

        Args:
            once: a key; what was said under it isn't said again. "" for none.
        Raises:
            BackplaneError: no process took the message.
            UsageError: `once` where nothing is kept.
        """

    def ring(self, kind: Kind, name: str, frames: list[bytes]) -> Receipt:
        """Tell all serving processes that the journal has news; harmless if there is none."""

    def close(self) -> None:
        """Close the sockets."""


class Status(NamedTuple):
    """The state of one process's backplane, for a health page.

    Attributes:
        kind: "local", "redis" or "none".
        is_up: whether other processes are reached as they should be.
        siblings: on the bus, how many processes this one is linked to; 0 for Redis, which doesn't
            tell.
        queued_messages: publishes that wait for Redis to come back.
        dropped_messages: messages lost because a process, or Redis, did not take them in time.
        outages: how often Redis went away, or a sibling was cut off.
        error: why it isn't up; "" if it is.
        denied: Redis channels that the user's ACL forbids: messages to their paths and rooms stay
            in each process, everything else is up.
    """

    kind: str
    is_up: bool
    siblings: int = 0
    queued_messages: int = 0
    dropped_messages: int = 0
    outages: int = 0
    error: str = ""
    denied: tuple[str, ...] = ()


class Backplane(Protocol):
    """The connection to other processes; it lives in one hub.

    Greenlets: any of the hub's thread; methods that wait say so.
    """

    @property
    def is_alone(self) -> bool:
        """Whether there is certainly no other process; any thread may read it."""

    def start(self) -> None:
        """Start; what can't be reached yet is tried again later.

        Raises:
            BackplaneError: the settings can't work.
        """

    def carry(self, kind: Kind, name: str, frame: bytes) -> None:
        """Tell all other processes; never waits."""

    def ring(self, kind: Kind, name: str, frames: list[bytes]) -> None:
        """Tell all other processes that the journal has news; never waits.

        Args:
            kind: PATH_BELL or ROOM_BELL.
            frames: the news themselves, for processes that know of no journal.
        """

    def enter(self, kind: Kind, name: str) -> None:
        """Count one more reason why this process must hear of `name`."""

    def leave(self, kind: Kind, name: str) -> None:
        """Count one reason less."""

    def wait_until_heard(self, kind: Kind, name: str, timeout_s: float) -> bool:
        """Wait until broadcasts of others to `name` certainly arrive; during an outage don't wait.

        Returns:
            Whether it had to wait.
        """

    def hear_all(self, timeout_s: float) -> None:
        """Have broadcasts to whatever name arrive from now on, if they may not; may wait."""

    def ask(self, question: Facts, timeout_s: float) -> list[Facts]:
        """Ask all other processes, and return the answers that came within `timeout_s`."""

    def retire(self, timeout_s: float) -> None:
        """Stop hearing, and wait until everything said has left; more may still be said."""

    def close(self) -> None:
        """Close all sockets at once."""

    def status(self) -> Status:
        """Return the present state."""
