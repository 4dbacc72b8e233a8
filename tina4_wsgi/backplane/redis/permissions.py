"""What the ACL of Redis lets an app do: asked of Redis itself, by the app's own user, and without
being heard.

To be subscribed shows whether a channel may be heard; Redis judges publishing by the same patterns.
Published is one message, on the inbox of a process that doesn't exist.

Free of gevent.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from ...config import Config
from ..envelope import Kind
from .channels import Channels, RedisNode, check_client, client, describe, is_denied, new_connection

_ANSWER_S = 2.0
_ROOM = "doctor"
_LONG = "/" + "a" * 300  # whose channel is named in the other way
_SENDER_BYTES = 8


class Denied(NamedTuple):
    """What is forbidden.

    Attributes:
        user: of Redis.
        commands: by name.
        channels: by name, the first of each kind that is tried.
        rules: of an ACL, which would allow it.
        is_fatal: whether nothing at all reaches other processes.
    """

    user: str
    commands: list[str]
    channels: list[str]
    rules: list[str]
    is_fatal: bool


class CantAsk(Exception):
    """Redis doesn't answer."""


def denied(config: Config, paths: Iterable[str]) -> Denied:
    """Ask what the app's user may not do.

    Args:
        paths: of clients, whose channels are tried too.
    Raises:
        CantAsk: it can't be found out; the text says why, without the password.
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
    except Exception as exc:  # noqa: BLE001  # redis-py raises errors of three trees, and those of sockets
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
        asked.channels.clear()  # the same patterns count for subscribing, which follows
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
    """A connection, and what was denied on it."""

    def __init__(self, config: Config, place: RedisNode) -> None:
        self.commands: dict[str, None] = {}
        self.channels: dict[str, None] = {}
        self._connection: Any = new_connection(config, _ANSWER_S, place)

    def may(self, command: str, *arguments: str | bytes) -> bool:
        """Try a command, whose first argument is a channel where it has one that counts."""
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
        """Give the connection back."""
        self._connection.disconnect()
