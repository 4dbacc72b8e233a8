"""Finds out what the ACL of Redis lets an app do, without disturbing anybody.

It asks Redis as the app's own user. Subscribing shows whether a channel is allowed; Redis judges
publishing by the same patterns. One message is published, to the inbox of a process that doesn't
exist.

Free of gevent.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from ..envelope import Kind
from .channels import Channels, RedisNode, check_client, client, describe, is_denied, new_connection

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...config import Config

_ANSWER_S = 2.0
_ROOM = "doctor"
_LONG = "/" + "a" * 300  # long enough that the name of its channel is hashed
_SENDER_BYTES = 8


class Denied(NamedTuple):
    """What is forbidden.

    Attributes:
        user: the Redis user.
        commands: names of forbidden commands.
        channels: names of forbidden channels, the first of each kind that was tried.
        rules: ACL rules that would allow them.
        is_fatal: whether no message at all reaches other processes.
    """

    user: str
    commands: list[str]
    channels: list[str]
    rules: list[str]
    is_fatal: bool


class CantAsk(Exception):
    """The question can't be settled: Redis doesn't answer."""


def denied(config: Config, paths: Iterable[str]) -> Denied:
    """Return what the app's user is forbidden to do.

    Args:
        paths: paths of clients, whose channels are tried too.
    Raises:
        CantAsk: Redis doesn't answer; the text says why, without the password.
        BackplaneError: the package redis is missing.
    """
    check_client()
    place = RedisNode()
    try:
        try:
            return _ask(config, place, [*paths])
        except client.ResponseError as exc:
            if not place.is_elsewhere(exc):
                raise
            return _ask(config, place, [*paths])
    except Exception as exc:  # noqa: BLE001  # redis-py raises errors of three trees
        raise CantAsk(describe(exc, config)) from None


def _ask(config: Config, place: RedisNode, paths: list[str]) -> Denied:
    channels = Channels(config.backplane_prefix, is_sharded=config.backplane_sharded)
    inbox = channels.inbox(secrets.token_bytes(_SENDER_BYTES))
    prefix = channels.everybody.removesuffix("everybody")

    rule_of = {channels.everybody: f"&{channels.everybody}", inbox: f"&{prefix}inbox:*"}
    needed = frozenset(rule_of)
    rule_of |= {channels.of(Kind.PATH, path): f"&{prefix}path*" for path in (*paths, _LONG)}
    rule_of |= {channels.of(Kind.ROOM, room): f"&{prefix}room*" for room in (_ROOM, _LONG)}

    publish, subscribe, unsubscribe = (
        f"{'S' if config.backplane_sharded else ''}{name}"
        for name in ("PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE")
    )

    asked = _Asked(config, place)
    try:
        asked.may("PING")
        asked.may(
            "PUBSUB", f"{'SHARD' if config.backplane_sharded else ''}NUMSUB", channels.everybody
        )
        asked.may(publish, inbox, b"")
        asked.channels.clear()  # subscribing, which follows, is judged by the same patterns
        for channel in rule_of:
            if asked.may(subscribe, channel):
                asked.may(unsubscribe, channel)
    finally:
        asked.close()

    found = sorted({rule_of[channel]: channel for channel in reversed(asked.channels)}.items())
    return Denied(
        unquote(urlsplit(config.backplane_url).username or "default"),
        [*asked.commands],
        [channel for _, channel in found],
        [*(f"+{command}" for command in asked.commands), *(rule for rule, _ in found)],
        bool(asked.commands or needed & set(asked.channels)),
    )


class _Asked:
    """A connection, and what Redis denied on it."""

    def __init__(self, config: Config, place: RedisNode) -> None:
        self.commands: dict[str, None] = {}
        self.channels: dict[str, None] = {}
        self._connection = new_connection(config, _ANSWER_S, place)

    def may(self, command: str, *arguments: str | bytes) -> bool:
        """Try a command and return whether it is allowed; a channel is its first argument."""
        try:
            self._connection.send_command(command, *arguments)
            self._connection.read_response()
        except client.ResponseError as exc:
            if not is_denied(exc):
                raise
            if "channel" in str(exc):
                self.channels[str(arguments[0])] = None
            else:
                self.commands[command.lower()] = None
            return False
        return True

    def close(self) -> None:
        """Close the connection."""
        self._connection.disconnect()
