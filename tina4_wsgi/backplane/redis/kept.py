"""How messages are kept in Redis, as commands and replies; see `scripts` for what Redis does.

The body of an envelope KEPT is a line of text, and the frames of messages that stand side by side:

    <epoch> <number of the first> <number of the topic's last message before>
    <milliseconds since 1970> <ticket of the first> <authors, joined by commas; nothing for none>

Free of gevent.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from ... import jsontext
from ...errors import JournalError
from ...journal.contract import Declared, Draft, Kept, KeptLimits, runs
from ...journal.positions import new_epoch
from ...protocol.marks import split_frames
from ..envelope import NOBODY, Envelope, EnvelopeError, Kind, check_frame, pack
from . import scripts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...journal.contract import Topic
    from .channels import Channels, RedisConnection

Command = tuple["str | bytes | int", ...]
Reply = Any  # each command has its own

_LINE = re.compile(
    rb"(?P<epoch>[\w-]{1,32}) (?P<number>\d{1,18}) (?P<previous>\d{1,18}) (?P<said_ms>\d{1,18}) "
    rb"(?P<ticket>\d{1,18}) (?P<authors>[\w,-]*)"
)
_SENDER = re.compile(rb"(?P<sender>.{16}):(?P<ticket>\d{1,18})", re.DOTALL)
_RUN = re.compile(rb"^(?:run_id|master_replid):(\w+)", re.MULTILINE)


class Known(NamedTuple):
    """What somebody knows of the journal.

    Attributes:
        epoch, number: of the latest message that it has seen; "" and 0 for nothing.
    """

    epoch: str = ""
    number: int = 0


class HeardOf(NamedTuple):
    """A message as Redis tells of it.

    Attributes:
        epoch: of its number; "" where it was read in a stream.
        previous: the number of the topic's last message before it.
        sender, ticket: who said it, and which of that sender's messages it is; b"" and 0 for one
            who publishes from outside.
    """

    epoch: str
    kept: Kept
    previous: int
    sender: bytes
    ticket: int


def greet(connection: RedisConnection) -> str:
    """Have Redis know the scripts, and return which Redis it is.

    Raises:
        Exception: redis-py's errors.
        JournalError: it doesn't say who it is.
    """
    for script in scripts.ALL:
        connection.send_command("SCRIPT", "LOAD", script.source, check_health=False)
    connection.send_command("INFO", "server", check_health=False)
    for _ in scripts.ALL:
        connection.read_response(disconnect_on_error=False)
    found = _RUN.search(connection.read_response(disconnect_on_error=False))
    if found is None:
        connection.send_command("INFO", "replication", check_health=False)
        found = _RUN.search(connection.read_response(disconnect_on_error=False))
    if found is None:
        raise JournalError("redis has no run_id in INFO, expected one to know a restart by")
    return found[1].decode()


class Scribe:
    """Lays out the commands of one app, and reads the replies."""

    def __init__(self, channels: Channels, *, is_sharded: bool) -> None:
        self._channels = channels
        self._publish = "SPUBLISH" if is_sharded else "PUBLISH"

    def channel(self, topic: Topic) -> str:
        """Return the channel of a topic."""
        return self._channels.of(Kind(topic[0]), topic[1])

    def keep(
        self,
        drafts: Sequence[Draft],
        ticket: int,
        run: str,
        known: Known,
        sender: bytes = b"",
        now_ms: int = 0,
    ) -> Command:
        """Lay out the command that keeps drafts.

        Args:
            ticket: of the first; each of the others has the next one.
            run: as `greet` returned it.
            now_ms: since 1970; 0 for the clock of Redis.
        """
        channels = self._channels
        keys, once_keys = [channels.tickets(sender)], list[str]()
        laid_out: list[str | bytes | int] = []
        found = runs(drafts)
        for begin, end in found:
            channel, limits = self.channel(drafts[begin].topic), drafts[begin].limits
            keys += (channels.stream(channel), channels.last(channel))
            longest_ms = int(limits.longest_s * 1000)
            laid_out += (channel, end - begin, limits.most_messages, longest_ms, ticket + begin)
            for draft in drafts[begin:end]:
                laid_out += (draft.frame, draft.author, draft.once and "1")
                if draft.once:
                    once_keys.append(channels.said(channel, draft.once))
        arguments = [sender, pack(Kind.KEPT, "", b"", sender or NOBODY), len(found), *laid_out]
        return self._begin(scripts.KEEP, run, known, now_ms, [*keys, *once_keys], arguments)

    def look(
        self, run: str, known: Known, inbox: str = "", call: int = 0, doomed: str = ""
    ) -> Command:
        """Lay out the command that asks where the journal is.

        Args:
            inbox: a channel on which Redis is to tell it, too; "" for none.
            call: the number of the envelope there.
            doomed: an epoch that is to end; "" for none.
        """
        head = pack(Kind.POINT, "", b"", number=call)
        return self._begin(scripts.LOOK, run, known, 0, [], [inbox, head, doomed])

    def _begin(
        self,
        script: scripts.Script,
        run: str,
        known: Known,
        now_ms: int,
        keys: list[str],
        arguments: list[str | bytes | int],
    ) -> Command:
        channels = self._channels
        keys = [channels.journal, channels.ages, *keys]
        return (
            "EVALSHA",
            script.digest,
            len(keys),
            *keys,
            new_epoch(),
            run,
            known.epoch,
            known.number,
            now_ms,
            self._publish,
            channels.everybody,
            pack(Kind.POINT, "", b""),
            *arguments,
        )

    def missed(
        self, topic: Topic, epoch: str, number: int, end: int, limits: KeptLimits, now_ms: int = 0
    ) -> Command:
        """Lay out the command that reads a page of a topic behind `number` up to `end`."""
        channels, channel = self._channels, self.channel(topic)
        keys = (channels.journal, channels.ages, channels.stream(channel), channels.last(channel))
        return (
            *("EVALSHA", scripts.MISSED.digest, len(keys), *keys),
            *(epoch, number, end, now_ms, int(limits.longest_s * 1000)),
        )

    def latest(
        self, topic: Topic, most: int, end: int, limits: KeptLimits, now_ms: int = 0
    ) -> Command:
        """Lay out the command that reads the latest messages of a topic up to `end`."""
        keys = (self._channels.journal, self._channels.stream(self.channel(topic)))
        return (
            *("EVALSHA", scripts.LATEST.digest, len(keys), *keys),
            *(end, most, now_ms, int(limits.longest_s * 1000)),
        )

    def forget(self, topic: Topic) -> tuple[Command, Command]:
        """Lay out the commands that drop a topic, and have all processes drop it."""
        channel = self.channel(topic)
        notice = pack(Kind.POINT, "", jsontext.encode_bytes({"forget": channel}))
        return (
            ("DEL", self._channels.stream(channel)),
            (self._publish, self._channels.everybody, notice),
        )

    def declare(self, declarations: Sequence[Declared]) -> Command:
        """Lay out the command that says what is kept."""
        return (
            "SET",
            self._channels.declared,
            jsontext.encode_bytes([[one.kind, one.pattern, *one.limits] for one in declarations]),
        )

    def declared(self) -> Command:
        """Lay out the command that asks what is kept."""
        return ("GET", self._channels.declared)


def declared_in(reply: bytes | None) -> list[Declared]:
    """Read the reply to `Scribe.declared`; what a newer version says differently is left out."""
    found = [] if reply is None else jsontext.decode(reply)
    return [
        Declared(kind, pattern, KeptLimits(most, longest_s, replay))
        for kind, pattern, most, longest_s, replay in found
    ]


def encoded(command: Command) -> bytes:
    """Encode a command, as redis-py would, in a tenth of its time."""
    parts = [
        part if isinstance(part, bytes) else str(part).encode(errors="surrogateescape")
        for part in command
    ]
    laid_out = [b"$%d\r\n%b\r\n" % (len(part), part) for part in parts]
    return b"*%d\r\n%b" % (len(parts), b"".join(laid_out))


def heard_in(envelope: Envelope) -> list[HeardOf]:
    """Read an envelope KEPT.

    Raises:
        EnvelopeError: it is garbage.
    """
    line, _, body = envelope.body.partition(b"\n")
    found = _LINE.fullmatch(line)
    if found is None:
        raise EnvelopeError("body of KEPT has no proper first line")
    try:
        frames = split_frames(body)
    except IndexError:
        raise EnvelopeError("body of KEPT ends inside of a frame") from None
    epoch, said_at_s = found["epoch"].decode(), int(found["said_ms"]) / 1000
    authors = found["authors"].decode().split(",") if found["authors"] else [""] * len(frames)
    if not frames or len(authors) != len(frames):
        raise EnvelopeError(f"KEPT has {len(frames)} frames and {len(authors)} authors")

    number, previous, ticket = (int(found[name]) for name in ("number", "previous", "ticket"))
    told = []
    for place, (frame, author) in enumerate(zip(frames, authors, strict=True)):
        check_frame(frame)
        kept = Kept(number + place, frame, author, said_at_s)
        before = number + place - 1 if place else previous
        told.append(HeardOf(epoch, kept, before, envelope.sender, ticket and ticket + place))
    return told


def read_in(entry: Reply) -> HeardOf:
    """Read an entry of a stream.

    Raises:
        EnvelopeError: it is garbage.
    """
    number, fields = entry
    try:
        frame, author, said_ms, previous, sender = fields[1:10:2]
        found = _SENDER.fullmatch(sender)
        kept = Kept(int(number.partition(b"-")[0]), frame, author.decode(), int(said_ms) / 1000)
        who, ticket = (b"", 0) if found is None else (found["sender"], int(found["ticket"]))
        heard = HeardOf("", kept, int(previous), who, ticket)
    except ValueError as exc:
        raise EnvelopeError(f"an entry of a stream is garbage: {exc}") from None
    check_frame(frame)
    return heard


def missed_in(reply: Reply) -> list[HeardOf] | None:
    """Read the reply to `Scribe.missed`; None where something is not there any more."""
    verdict, *entries = reply
    return [read_in(entry) for entry in entries] if verdict == b"ok" else None


def latest_in(reply: Reply) -> list[HeardOf]:
    """Read the reply to `Scribe.latest`, oldest first."""
    return [read_in(entry) for entry in reversed(reply)]
