"""Finds out what the ACL of Redis lets an app do, without disturbing anybody.

It asks Redis as the app's own user. Subscribing shows whether a channel is allowed; Redis judges
publishing by the same patterns. One message is published, to the inbox of a process that doesn't
exist.

What history needs is tried in ways that change nothing: on a key that doesn't exist, or with
arguments that Redis refuses, which it does only where the command itself is allowed.

Free of gevent.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from ..envelope import Kind
from . import scripts
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
        keys: names of forbidden keys, the first that was tried.
        rules: ACL rules that would allow them.
        is_fatal: whether no message at all reaches other processes.
    """

    user: str
    commands: list[str]
    channels: list[str]
    keys: list[str]
    rules: list[str]
    is_fatal: bool


class CantAsk(Exception):
    """The question can't be settled: Redis doesn't answer."""


def denied(config: Config, paths: Iterable[str], *, has_history: bool = False) -> Denied:
    """Return what the app's user is forbidden to do.

    Args:
        paths: paths of clients, whose channels are tried too.
        has_history: whether the app keeps history, which needs more.
    Raises:
        CantAsk: Redis doesn't answer; the text says why, without the password.
        BackplaneError: the package redis is missing.
    """
    check_client()
    place = RedisNode()
    try:
        try:
            return _ask(config, place, [*paths], has_history)
        except client.ResponseError as exc:
            if not place.is_elsewhere(exc):
                raise
            return _ask(config, place, [*paths], has_history)
    except Exception as exc:  # noqa: BLE001  # redis-py raises errors of three trees
        raise CantAsk(describe(exc, config)) from None


def _ask(config: Config, place: RedisNode, paths: list[str], has_history: bool) -> Denied:
    channels = Channels(config.backplane_prefix, is_sharded=config.backplane_sharded)
    inbox = channels.inbox(secrets.token_bytes(_SENDER_BYTES))
    prefix = channels.everybody.removesuffix("everybody")

    rule_of = {channels.everybody: f"&{channels.everybody}", inbox: f"&{prefix}inbox:*"}
    needed = frozenset(rule_of)
    rule_of |= {channels.of(Kind.PATH, path): f"&{prefix}path*" for path in (*paths, _LONG)}
    rule_of |= {channels.of(Kind.ROOM, room): f"&{prefix}room*" for room in (_ROOM, _LONG)}

    asked = _Asked(config, place)
    try:
        _try_channels(asked, config, inbox, rule_of)
        is_mute = bool(asked.commands or needed & set(asked.channels))
    finally:
        asked.close()
    if has_history:
        keeping = _Asked(config, place)
        try:
            _try_history(keeping, channels)
        finally:
            keeping.close()
        asked.commands |= keeping.commands
        asked.keys |= keeping.keys

    found = sorted({rule_of[channel]: channel for channel in reversed(asked.channels)}.items())
    rules = [f"+{command}" for command in asked.commands]
    rules += [f"~{prefix}*"] if asked.keys else []
    return Denied(
        unquote(urlsplit(config.backplane_url).username or "default"),
        [*asked.commands],
        [channel for _, channel in found],
        [*asked.keys][:1],
        [*rules, *(rule for rule, _ in found)],
        is_mute,
    )


def _try_channels(asked: _Asked, config: Config, inbox: str, names: Iterable[str]) -> None:
    publish, subscribe, unsubscribe = (
        f"{'S' if config.backplane_sharded else ''}{name}"
        for name in ("PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE")
    )
    everybody = next(iter(names))
    asked.may("PING")
    asked.may("PUBSUB", f"{'SHARD' if config.backplane_sharded else ''}NUMSUB", everybody)
    asked.may(publish, inbox, b"")
    asked.channels.clear()  # subscribing, which follows, is judged by the same patterns
    for channel in names:
        if asked.may(subscribe, channel):
            asked.may(unsubscribe, channel)


def _try_history(asked: _Asked, channels: Channels) -> None:
    """Try what the scripts do, and what is done with them; see `kept` and `scripts`."""
    nowhere = channels.tickets(secrets.token_bytes(_SENDER_BYTES))
    for command, *arguments in (
        ("INFO", "server"),
        ("SCRIPT LOAD", scripts.LATEST.source),
        ("TIME",),
        ("DEL", nowhere),
        ("PEXPIRE", nowhere, "1"),
        ("GET", nowhere),
        ("SET", nowhere, "1", "no option"),
        ("HMGET", nowhere, "f"),
        ("HSET", nowhere, "f", "1", "no value"),
        ("HMSET", nowhere, "f", "1", "no value"),
        ("ZADD", nowhere, "no score", "1"),
        ("ZRANGEBYSCORE", nowhere, "0", "1"),
        ("ZREMRANGEBYRANK", nowhere, "0", "0"),
        ("XADD", nowhere, "no id", "f", "1"),
        ("XDEL", nowhere, "0-1"),
        ("XRANGE", nowhere, "-", "+"),
        ("XREVRANGE", nowhere, "+", "-"),
    ):
        asked.may_try(command, *arguments)
    channel = channels.of(Kind.PATH, "/")
    for key in (
        *(channels.journal, channels.ages, channels.declared, nowhere),
        *(channels.stream(channel), channels.last(channel), channels.said(channel, "key")),
    ):
        asked.may_try("EVALSHA", "0" * 40, "1", key)


class _Asked:
    """A connection, and what Redis denied on it."""

    def __init__(self, config: Config, place: RedisNode) -> None:
        self.commands: dict[str, None] = {}
        self.channels: dict[str, None] = {}
        self.keys: dict[str, None] = {}
        self._place = place
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

    def may_try(self, command: str, *arguments: str) -> None:
        """Try a command that may fail; a key is its last argument if Redis says that it is one."""
        try:
            self._connection.send_command(*command.split(), *arguments)
            self._connection.read_response(disconnect_on_error=False)
        except client.ResponseError as exc:
            if self._place.is_elsewhere(exc):
                raise
            if not is_denied(exc):
                return
            if "command" in str(exc):
                self.commands[command.lower().replace(" ", "|")] = None
            elif command == "EVALSHA":
                self.keys[arguments[-1]] = None

    def close(self) -> None:
        """Close the connection."""
        self._connection.disconnect()
