"""What the bus and Redis have in common: what a process gives them, and what they give it."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from .envelope import Kind

TIMEOUT_S = 5.0
"""What a process, or Redis, gets to take one message of one who publishes from outside."""

Facts = dict[str, Any]  # Any: whatever the JSON of a question or an answer holds


class Receiver(Protocol):
    """The connections of this process, as other processes may reach them; in the hub, and nothing
    waits.
    """

    def deliver(self, kind: Kind, name: str, frame: bytes) -> None:
        """Send a frame to everybody here who is on path, or in room, `name`."""

    def count_here(self, kind: Kind, name: str) -> int:
        """Count them."""

    def answer(self, question: Facts) -> Facts:
        """Answer another process, or do what it asks for."""


class Receipt(NamedTuple):
    """What became of a message that was published from outside.

    Attributes:
        processes: how many took it, and have handed it to those of their clients whom it is for.
        clients: to how many clients; None where Redis doesn't tell.
    """

    processes: int
    clients: int | None


class OutsidePublisher(Protocol):
    """The bus or Redis, as one who only publishes sees it."""

    def carry(self, kind: Kind, name: str, frame: bytes) -> Receipt:
        """Tell all processes that serve; waits for them.

        Raises:
            BackplaneError: there is none.
        """

    def close(self) -> None:
        """Give the sockets back."""


class Status(NamedTuple):
    """How the backplane of one process is, for a health page.

    Attributes:
        kind: "local", "redis" or "none".
        is_up: whether other processes are reached as they should be.
        siblings: on the bus, how many processes this one is linked to; 0 for Redis, which doesn't
            say.
        queued_messages: publishes that wait for Redis to come back.
        dropped_messages: what could not be kept for a process, or a Redis, that took nothing.
        outages: how often Redis went away, or a sibling was cut off.
        error: why it isn't up; "" if it is.
        denied: Redis channels that the user's ACL forbids: their paths and rooms stay in each
            process, all else is up.
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
    """The way to other processes, living in one hub.

    Greenlets: any of the hub's thread; methods that wait say so.
    """

    @property
    def is_alone(self) -> bool:
        """Whether there surely is nobody to tell; may be read by any thread."""

    def start(self) -> None:
        """Begin; what can't be reached yet is tried again later.

        Raises:
            BackplaneError: this can't work as it is set up.
        """

    def carry(self, kind: Kind, name: str, frame: bytes) -> None:
        """Tell all other processes; never waits."""

    def enter(self, kind: Kind, name: str) -> None:
        """This process has one more reason to hear of `name`."""

    def leave(self, kind: Kind, name: str) -> None:
        """It has one reason less."""

    def wait_until_heard(self, kind: Kind, name: str, timeout_s: float) -> bool:
        """Wait until what others broadcast to `name` surely arrives; not at all during an outage.

        Returns:
            Whether it had to wait.
        """

    def ask(self, question: Facts, timeout_s: float) -> list[Facts]:
        """Ask all other processes and wait for their answers; after the time, give those that
        came.
        """

    def retire(self, timeout_s: float) -> None:
        """Hear nothing more; wait until what was said has left. Saying more is still possible."""

    def close(self) -> None:
        """Give everything back at once."""

    def status(self) -> Status:
        """Say how it is."""
