"""Many WebSocket clients in one thread: raw bytes, one selector, no library.

`RawClient` waits for one answer at a time, which is right for a conversation. A crowd sends on and
listens to all of its members at once, fast enough that the server and not the test is what takes
the time.
"""

from __future__ import annotations

import base64
import os
import selectors
import socket
import struct
import time
from collections.abc import Callable, Iterable

from tests.support.raw import ANSWER_S, CLOSE, PING, PONG, TEXT, Frame, client_frame, request_head

READ_BYTES = 262_144
SLICE_S = 0.05  # how often a condition is looked at while nothing arrives


class Member:
    """One client of a crowd; made by `Crowd.join`.

    Attributes:
        name: what the test calls it.
        frames: what has arrived and is neither a ping nor a pong, in order.
        is_open: whether the 101 has come.
        has_ended: whether the stream is over, by an end or a reset.
        was_reset: whether it was a reset.
        is_listening: a member that isn't reads nothing.
        may_be_refused: whether anything but a 101 just ends it, instead of failing the test.
    """

    def __init__(self, name: str, sock: socket.socket) -> None:
        self.name = name
        self.socket = sock
        self.frames: list[Frame] = []
        self.is_open = self.has_ended = self.was_reset = False
        self.is_listening = True
        self.answers_pings = True
        self.may_be_refused = False
        self._received = b""
        self._unsent = bytearray()

    @property
    def texts(self) -> list[str]:
        """The text messages so far; other frames are left out."""
        return [frame.payload.decode() for frame in self.frames if frame.first == 0x80 | TEXT]

    @property
    def close_frame(self) -> Frame | None:
        """The server's close frame, None as long as there was none."""
        return next((frame for frame in self.frames if frame.opcode == CLOSE), None)

    @property
    def unsent_bytes(self) -> int:
        """How much the kernel has not taken yet."""
        return len(self._unsent)

    def send_bytes(self, data: bytes) -> None:
        """Queue bytes; they leave while the crowd listens."""
        self._unsent += data

    def send_text(self, text: str) -> None:
        """Queue a text message."""
        self.send_bytes(client_frame(TEXT, text.encode()))

    def write(self) -> None:
        """Give the kernel what it takes of the queued bytes."""
        if not self._unsent:
            return
        try:
            with memoryview(self._unsent) as view:
                sent = self.socket.send(view[:READ_BYTES])
            del self._unsent[:sent]
        except BlockingIOError:
            pass
        except ConnectionError:
            self._unsent.clear()  # how it ended is found out by reading

    def read(self) -> int:
        """Take what has arrived and give the number of new frames."""
        try:
            data = self.socket.recv(READ_BYTES)
        except BlockingIOError:
            return 0
        except ConnectionError:
            self.has_ended = self.was_reset = True
            return 0
        if not data:
            self.has_ended = True
        self._received += data
        return self._read_head() if not self.is_open else self._read_frames()

    def _read_head(self) -> int:
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if not end:
            return 0
        if not head.startswith(b"HTTP/1.1 101 "):
            assert self.may_be_refused, f"{self.name} was refused: {self._received!r}"
            self.has_ended = True
            return 0
        self.is_open, self._received = True, rest
        return self._read_frames()

    def _read_frames(self) -> int:
        data, position, before = self._received, 0, len(self.frames)
        while len(data) - position >= 2:
            length, start = data[position + 1], position + 2
            assert length < 0x80, "the server sent a masked frame"
            if length == 126:
                if len(data) < start + 2:
                    break
                length, start = int.from_bytes(data[start : start + 2], "big"), start + 2
            elif length == 127:
                if len(data) < start + 8:
                    break
                length, start = int.from_bytes(data[start : start + 8], "big"), start + 8
            if len(data) < start + length:
                break
            self._take(Frame(data[position], data[start : start + length]))
            position = start + length
        self._received = data[position:]
        return len(self.frames) - before

    def _take(self, frame: Frame) -> None:
        if frame.opcode == PING:
            if self.answers_pings:
                self.send_bytes(client_frame(PONG, frame.payload))
        elif frame.opcode != PONG:
            self.frames.append(frame)


class Crowd:
    """Clients that are served together by `listen_until`; ends with its `with` block.

    Attributes:
        members: in the order of joining.
        frame_count: frames that arrived at all of them, pings and pongs apart.
    """

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.members: list[Member] = []
        self.frame_count = 0
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *raised: object) -> None:
        self._selector.close()
        for member in self.members:
            member.socket.close()

    def join(
        self,
        path: str,
        name: str = "",
        fields: Iterable[tuple[str, str]] = (),
        receive_buffer_bytes: int = 0,
    ) -> Member:
        """Connect one client and send its handshake; see `wait_until_open`."""
        sock = socket.socket()
        try:
            if receive_buffer_bytes:  # counts only if set before the connection is made
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
            sock.settimeout(ANSWER_S)
            sock.connect(self.address)
            sock.setblocking(False)
        except BaseException:
            sock.close()
            raise
        member = self.adopt(sock, name or f"{path} {len(self.members)}")
        key = base64.b64encode(os.urandom(16)).decode()
        member.send_bytes(request_head(path, f"{self.address[0]}:{self.address[1]}", key, fields))
        return member

    def adopt(self, sock: socket.socket, name: str, early: bytes | None = None) -> Member:
        """Take a connected socket in.

        Args:
            early: what came behind its 101; None if it is yet to make its handshake, or to read the
                answer.
        """
        sock.setblocking(False)
        member = Member(name, sock)
        if early is not None:
            member.is_open, member._received = True, early
            self.frame_count += member._read_frames()
        self.members.append(member)
        self._selector.register(sock, selectors.EVENT_READ, member)
        return member

    def wait_until_open(self) -> None:
        """Wait for everybody's 101."""
        self.listen_until(lambda: all(member.is_open for member in self.members), "everybody's 101")

    def listen_until(
        self, is_done: Callable[[], bool], what: str, timeout_s: float = ANSWER_S
    ) -> None:
        """Send and receive until `is_done()`; too late is an AssertionError that names `what`."""
        give_up_at = time.monotonic() + timeout_s
        while not is_done():
            assert time.monotonic() < give_up_at, (
                f"{what}: not within {timeout_s:g} s\n{self._describe()}"
            )
            self._turn()

    def _turn(self) -> None:
        is_stuck = False
        for member in self.members:
            if member.unsent_bytes:
                member.write()
                is_stuck = is_stuck or member.unsent_bytes > 0
        # With something unsent look again soon; polling is simpler than a second interest, and fast
        # enough.
        for key, _ in self._selector.select(0.001 if is_stuck else SLICE_S):
            member = key.data
            if member.is_listening:
                self.frame_count += member.read()
            if member.has_ended or not member.is_listening:
                self._selector.unregister(member.socket)

    def listen_to(self, member: Member) -> None:
        """Begin to read a member that was not listening."""
        if not member.is_listening:
            member.is_listening = True
            if member.socket.fileno() not in self._selector.get_map():
                self._selector.register(member.socket, selectors.EVENT_READ, member)

    def reset(self, member: Member) -> None:
        """End a member's connection with an RST."""
        member.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close(member)

    def close(self, member: Member) -> None:
        """Close a member's socket, without a close frame."""
        if member.socket.fileno() in self._selector.get_map():
            self._selector.unregister(member.socket)
        member.socket.close()
        member.has_ended = True
        member._unsent.clear()

    def _describe(self) -> str:
        lines = [
            f"{member.name}: open {member.is_open}, ended {member.has_ended}, {len(member.frames)} "
            "frames, "
            f"{member.unsent_bytes} bytes unsent, last {member.frames[-1:]!r:.200}"
            for member in self.members
        ]
        return "\n".join(lines[:20])
