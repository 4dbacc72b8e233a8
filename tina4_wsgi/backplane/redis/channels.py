"""What servers and publishers share in Redis: channel names, connections, and texts of errors.

Free of gevent.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, Protocol, cast
from urllib.parse import parse_qs, unquote, urlsplit

from ...errors import BackplaneError, ConfigError
from ..envelope import TOPIC_OF, Kind

if TYPE_CHECKING:
    from ...config import Config

client: Any  # Any: the module `redis`, or None where it isn't installed; see `check_client`
try:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry
except ImportError:
    client = None
else:
    client = redis

_MOST_NAME_BYTES = 200
"""Longer names are hashed: every PUBLISH carries the name, and logs and MONITOR show it."""

_CONNECT_TIMEOUT_S = 2.0
_SCHEMES = {"valkey": "redis", "valkeys": "rediss"}
_SURROGATES = re.compile(r"[\ud800-\udfff]")
_OWN_OPTIONS = frozenset(
    {
        "client_name",
        "decode_responses",
        "encoding",
        "encoding_errors",
        "health_check_interval",
        "max_connections",
        "protocol",
        "retry",
        "retry_on_error",
        "retry_on_timeout",
        "socket_connect_timeout",
        "socket_timeout",
        "timeout",
    }
)
_WAY_OF_URL = (
    "expected as redis://user:password@host:6379/0 with the special characters of the password "
    "percent-encoded"
)
_KINDS = {Kind.PATH: "path", Kind.ROOM: "room"}
_KIND_NAMED = {name: kind for kind, name in _KINDS.items()}


class RedisConnection(Protocol):
    """What this package uses of a connection of redis-py, whose own types change by version."""

    def connect(self) -> None: ...
    def disconnect(self) -> None: ...
    def send_command(self, *args: str | bytes | int, check_health: bool = True) -> None: ...
    def send_packed_command(self, command: list[bytes], check_health: bool = True) -> None: ...
    def pack_command(self, *args: str | bytes | int) -> list[bytes]: ...
    def read_response(
        self, *, disconnect_on_error: bool = True
    ) -> Any: ...  # Any: each command has its own reply


class Channels:
    """The names of one app's channels.

    Args:
        app_number: which app of its process it is; publishers mean the first, 0.
        is_sharded: whether to keep all channels on one shard of a Redis Cluster.
    """

    def __init__(self, prefix: str, app_number: int = 0, is_sharded: bool = False) -> None:
        self._prefix = prefix if not app_number else f"{prefix}.{app_number}"
        if is_sharded:
            # A hash tag of Redis Cluster: it puts all channels on one shard.
            self._prefix = f"{{{self._prefix}}}"
        self.everybody = f"{self._prefix}:everybody"
        self.journal = f"{self._prefix}:journal"
        self.ages = f"{self._prefix}:ages"
        self.declared = f"{self._prefix}:declared"

    def of(self, kind: Kind, name: str) -> str:
        """Return the channel of a path or a room; it is a name that Redis can carry.

        Args:
            kind: of an envelope that is for its members.
        """
        kind = TOPIC_OF[kind]
        encoded = name.encode(errors="surrogatepass")
        if len(encoded) > _MOST_NAME_BYTES or not _is_utf8(name):
            return f"{self._prefix}:{_KINDS[kind]}#{hashlib.sha256(encoded).hexdigest()}"
        return f"{self._prefix}:{_KINDS[kind]}:{name}"

    def topic_of(self, channel: str) -> tuple[Kind, str] | None:
        """Return the path or room that has a channel; None where its name is hashed."""
        kind, colon, name = channel.removeprefix(f"{self._prefix}:").partition(":")
        return (_KIND_NAMED[kind], name) if colon and kind in _KIND_NAMED else None

    def inbox(self, sender: bytes) -> str:
        """Return the channel on which one process hears answers."""
        return f"{self._prefix}:inbox:{sender.hex()}"

    def stream(self, channel: str) -> str:
        """Return the key of what is kept of a path or room, whose channel this is."""
        return f"{self._prefix}:kept:{channel.removeprefix(f'{self._prefix}:')}"

    def last(self, channel: str) -> str:
        """Return the key of the number of its last message."""
        return f"{self._prefix}:last:{channel.removeprefix(f'{self._prefix}:')}"

    def said(self, channel: str, once: str) -> str:
        """Return the key which says that something was said there under a key of `once`."""
        # No name of a path or room has a line break.
        text = f"{channel.removeprefix(f'{self._prefix}:')}\n{once}"
        encoded = text.encode(errors="surrogatepass")
        if len(encoded) > _MOST_NAME_BYTES or not _is_utf8(text):
            return f"{self._prefix}:once#{hashlib.sha256(encoded).hexdigest()}"
        return f"{self._prefix}:once:{text}"

    def tickets(self, sender: bytes) -> str:
        """Return the key of the last ticket that a sender has used."""
        return f"{self._prefix}:sender:{sender.hex()}"


def _is_utf8(name: str) -> bool:
    return name.isascii() or not _SURROGATES.search(name)


class RedisNode:
    """The node to talk to: that of the URL, or the one to which a Redis Cluster redirected us.

    Attributes:
        address: host and port of a redirect; None for those of the URL.
    """

    _MOVED = re.compile(r"(?:MOVED )?\d+ (?P<host>\S*):(?P<port>\d+)")

    def __init__(self) -> None:
        self.address: tuple[str, int] | None = None

    def is_elsewhere(self, error: BaseException) -> bool:
        """Return whether an error is a redirect to another node, and take its address."""
        if type(error).__name__ != "MovedError" and not str(error).startswith("MOVED "):
            return False
        found = self._MOVED.search(str(error))
        if found is None:
            return False

        self.address = (found["host"], int(found["port"]))
        return True

    def forget(self) -> None:
        """Go back to the node of the URL."""
        self.address = None


def check_client() -> None:
    """Check that redis-py is installed.

    Raises:
        BackplaneError: it isn't.
    """
    if client is None:
        raise BackplaneError(
            "backplane 'redis' needs the package redis: pip install 'tina4-wsgi[redis]'"
        )


def check_url(config: Config) -> None:
    """Check that redis-py can read the URL, without connecting.

    Raises:
        ConfigError: it can't; the text says why, but never quotes the password.
    """
    _refuse_own_options(config.backplane_url)
    if client is None:
        return  # `check_client` complains when the backplane starts
    try:
        _connection(config, 1.0, RedisNode())
    except Exception as exc:  # noqa: BLE001  # redis-py raises errors of three trees for a bad URL
        raise ConfigError(
            f"backplane_url can't be used, {_WAY_OF_URL}: {describe(exc, config)}"
        ) from None


def _refuse_own_options(url: str) -> None:
    """Refuse options that would change how this package reads and writes."""
    for name in parse_qs(urlsplit(url).query, keep_blank_values=True):
        if name in _OWN_OPTIONS:
            raise ConfigError(
                f"backplane_url sets {name!r}, which is this package's own business, expected "
                "without it"
            )


def new_connection(config: Config, timeout_s: float, place: RedisNode) -> RedisConnection:
    """Make a redis-py connection that isn't connected yet.

    Args:
        timeout_s: of every read and write. Always given, because the default of redis-py 8 ends a
            quiet subscriber; for ours, a timeout is the moment to ask whether Redis still lives.
    Raises:
        BackplaneError: the URL is malformed.
    """
    try:
        return _connection(config, timeout_s, place)
    except Exception:  # noqa: BLE001  # redis-py raises errors of three trees for a bad URL
        # Without the cause: if the password holds an unescaped "/", the cause quotes a part of it
        # as the port.
        raise BackplaneError(f"backplane_url can't be read, {_WAY_OF_URL}") from None


def _connection(config: Config, timeout_s: float, place: RedisNode) -> RedisConnection:
    scheme, colon, rest = config.backplane_url.partition(":")
    pool = client.ConnectionPool.from_url(
        _SCHEMES.get(scheme, scheme) + colon + rest,
        socket_timeout=timeout_s,
        socket_connect_timeout=_CONNECT_TIMEOUT_S,
        health_check_interval=0,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
        client_name="tina4_wsgi",
        decode_responses=False,
    )

    options = dict(pool.connection_kwargs)
    if place.address is not None:
        options["host"], options["port"] = place.address
    return cast("RedisConnection", pool.connection_class(**options))


def is_denied(error: BaseException) -> bool:
    """Return whether the ACL of our Redis user forbids the command; trying again is useless."""
    return type(error).__name__ == "NoPermissionError" or str(error).startswith("NOPERM")


def describe(error: BaseException, config: Config) -> str:
    """Describe an error of Redis for the log, without the password."""
    text = f"{type(error).__name__}: {error}".splitlines()[0]
    password = urlsplit(config.backplane_url).password
    if password:
        for secret in (password, unquote(password)):
            text = text.replace(secret, "***")
    return text
