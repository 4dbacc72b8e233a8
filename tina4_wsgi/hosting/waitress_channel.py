"""Taking a connection away from waitress, whose main loop owns the sockets of its task threads.

A task thread writes its answer to a channel; the main loop sends what the channel holds, reads what
the client sends meanwhile, and closes. So the channel gets the door that stands before a socket
elsewhere (see `native_shell`): it becomes an object of a class that keeps a 101 back. The main loop
itself then takes the channel out of its map and gives the socket away, between two of its looks
at all channels, so nothing else can be using it.

Bytes that follow a handshake are the beginning of another request to waitress. Until they hold an
empty line they are kept as they came, and are recovered; a handshake behind which waitress has
found whole requests is refused.

Invariants: what the main loop reads once a door has seen its 101 is kept, in order; the socket
leaves the map before it leaves the channel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .switching import HEAD_END, SWITCHING_HEADS

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from .native_shell import NativeSocket

OfWaitress = Any
"""Its channels, their classes, parsers and servers: waitress ships no types."""

_IS_CLOSING = "close_when_flushed"


class WaitressChannel:
    """The channel of one request.

    Args:
        channel: waitress's, of which it is the first request.
    """

    def __init__(self, channel: OfWaitress) -> None:
        self._channel = channel

    @property
    def sock(self) -> NativeSocket:
        """The native socket, or what is left of it."""
        return self._channel.socket

    @property
    def is_taken(self) -> bool:
        """Whether the connection was taken, or is about to be."""
        return isinstance(self._channel, _ChannelDoor)

    @property
    def has_lost_bytes(self) -> bool:
        """Whether the main loop has parsed what followed the handshake, as further requests."""
        channel = self._channel
        with channel.requests_lock:
            return len(channel.requests) > 1 or getattr(channel.request, "headers_finished", False)

    def place_door(
        self, on_switching: Callable[[bytes], None], on_other: Callable[[bytes], None]
    ) -> Callable[[], None]:
        """Wait until the server answers; see `socket_shell.Door`.

        Args:
            on_switching: called in the main loop's thread.
        Returns:
            What leaves the channel as it was.
        """
        channel = self._channel
        channel.door = _Awaited(type(channel), on_switching, on_other)
        channel.__class__ = _door_class(type(channel))
        return lambda: _remove(channel)

    def read_ahead(self) -> bytes:
        """Take what the client sent behind its handshake."""
        early = bytes(self._channel.request.data)
        self._channel.request = None
        return early

    def leave_loop(self) -> None:
        """Take the channel out of the main loop's map, in whose thread this is."""
        channel = self._channel
        channel.del_channel()
        channel.connected = False


class _Collector:
    """Stands in for the parser of a next request, and keeps what arrives.

    Attributes:
        data: all of it.
        completed, expect_continue, headers_finished: as of a request that has just begun.
    """

    completed = expect_continue = headers_finished = False

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)

    def received(self, data: bytes) -> int:
        """Keep it; return how many bytes were taken."""
        self.data += data
        return len(data)


class _Awaited:
    """What a door before a channel waits for.

    Attributes:
        base: the channel's own class.
        head: of the 101, once that was written.
        is_over: whether the connection was taken, or its client is lost.
    """

    def __init__(
        self,
        base: OfWaitress,
        on_switching: Callable[[bytes], None],
        on_other: Callable[[bytes], None],
    ) -> None:
        self.base = base
        self.on_switching = on_switching
        self.on_other = on_other
        self.head = b""
        self.is_over = False

    def forget(self) -> None:
        """Hold the app no longer: a channel and its request would keep each other alive."""
        self.on_switching = self.on_other = _ignore


class _ChannelDoor:
    """The methods by which a task answers, and the main loop sends and closes, each past the door.

    Mixed into the channel's own class.
    """

    # What the channel's own class has.
    connected: bool
    door: _Awaited
    request: OfWaitress
    requests: list[OfWaitress]
    requests_lock: AbstractContextManager[bool]
    server: OfWaitress
    total_outbufs_len: int

    def write_soon(self, data: bytes) -> int:
        """Keep a 101 back; in the task's thread."""
        door = self.door
        if door.head or door.is_over:
            return len(data)  # behind a 101 there is nothing to say by HTTP
        if not self.connected:
            return int(door.base.write_soon(self, data))  # it raises what ends the task

        head = bytes(data)
        if not head.startswith(SWITCHING_HEADS):
            _remove(self)
            door.on_other(head)
            return int(door.base.write_soon(self, data))

        with self.requests_lock:
            is_whole = len(self.requests) == 1
            if is_whole:
                # From here on the main loop's parser gets nothing any more.
                self.request = _Collector(getattr(self.request, "header_plus", b""))
                door.head = head
        if is_whole:
            self.server.trigger.pull_trigger(lambda: _open(self))
        else:
            # Without an answer the server closes when the task ends: the client's bytes are lost.
            _give_up(self)
        return len(data)

    def received(self, data: bytes) -> bool:
        """Keep what comes behind the handshake; in the main loop."""
        door = self.door
        with self.requests_lock:
            if door.head and not door.is_over:
                return bool(self.request.received(data))
        return bool(door.base.received(self, data))

    @property
    def close_when_flushed(self) -> bool:
        """Whether the channel is to be closed: behind a 101, never."""
        return not self.door.head and bool(self.__dict__.get(_IS_CLOSING, False))

    @close_when_flushed.setter
    def close_when_flushed(self, value: bool) -> None:
        self.__dict__[_IS_CLOSING] = value

    def handle_write(self) -> None:
        """Send what is left of an earlier answer, before the connection is taken."""
        door = self.door
        door.base.handle_write(self)
        if door.head:
            _open(self)

    def handle_close(self) -> None:
        """Take the connection, or note that no answer comes any more, and close it."""
        door = self.door
        if door.head and not self.total_outbufs_len:
            _open(self)
        else:
            _give_up(self)
            door.base.handle_close(self)

    def close(self) -> None:
        """Note that no answer comes any more, and close it: the server ends."""
        _give_up(self)
        self.door.base.close(self)


_door_classes: dict[OfWaitress, OfWaitress] = {}


def _door_class(base: OfWaitress) -> OfWaitress:
    found = _door_classes.get(base)
    if found is None:
        found = _door_classes[base] = type(f"_DoorOf{base.__name__}", (_ChannelDoor, base), {})
    return found


def _open(channel: OfWaitress) -> None:
    """Give the connection away, once all that was written before it has left; in the main loop."""
    door = channel.door
    if not door.is_over and not channel.total_outbufs_len:
        door.is_over = True
        head, _, _ = door.head.partition(HEAD_END)
        on_switching = door.on_switching
        door.forget()
        on_switching(head)


def _give_up(channel: OfWaitress) -> None:
    door = channel.door
    if not door.is_over:
        door.is_over = True
        on_other = door.on_other
        door.forget()
        on_other(b"")


def _remove(channel: OfWaitress) -> None:
    channel.__class__ = channel.door.base
    del channel.door


def _ignore(head: bytes) -> None:
    """Say nothing: all has been said."""
