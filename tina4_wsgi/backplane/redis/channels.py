"""The Redis side that servers and publishers share: names of channels, connections, and what may be
said of errors.

Free of gevent.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from ...config import Config
from ...errors import BackplaneError, ConfigError
from ..envelope import Kind

client: Any  # the module `redis`; None where it is not installed, and `check_client` says so
try:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry
except ImportError:
    client = None
else:
    client = redis

_MOST_NAME_BYTES = 200
"""Names that are longer are hashed: every PUBLISH carries the name, and logs and MONITOR show it.
"""

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


class Channels:
    """The names of one app's channels.

    Args:
        app_number: which of its process's apps it is; publishers mean the first, 0.
        is_sharded: keep all on one shard of a Redis Cluster.
    """

    def __init__(self, prefix: str, app_number: int = 0, is_sharded: bool = False) -> None:
        self._prefix = prefix if not app_number else f"{prefix}.{app_number}"
        if is_sharded:
            self._prefix = (
                f"{{{self._prefix}}}"  # a Redis Cluster's hash tag: all of them lie on one shard
            )
        self.everybody = f"{self._prefix}:everybody"

    def of(self, kind: Kind, name: str) -> str:
        """Give the channel of a path or a room; whatever the name is, Redis can carry that of its
        channel.
        """
        encoded = name.encode(errors="surrogatepass")
        if len(encoded) > _MOST_NAME_BYTES or not _is_utf8(name):
            return f"{self._prefix}:{_KINDS[kind]}#{hashlib.sha256(encoded).hexdigest()}"
        return f"{self._prefix}:{_KINDS[kind]}:{name}"

    def inbox(self, sender: bytes) -> str:
        """Give the channel on which one process hears answers."""
        return f"{self._prefix}:inbox:{sender.hex()}"


def _is_utf8(name: str) -> bool:
    return name.isascii() or not _SURROGATES.search(name)


class RedisNode:
    """Where Redis is: at the address of the URL, or, of a Redis Cluster, where that has sent us.

    Attributes:
        address: host and port that override the URL's; None for the URL's own.
    """

    _MOVED = re.compile(r"(?:MOVED )?\d+ (?P<host>\S*):(?P<port>\d+)")

    def __init__(self) -> None:
        self.address: tuple[str, int] | None = None

    def is_elsewhere(self, error: BaseException) -> bool:
        """Whether an error says that another node has our shard; `address` is that node's then."""
        if type(error).__name__ != "MovedError" and not str(error).startswith("MOVED "):
            return False
        found = self._MOVED.search(str(error))
        if found is None:
            return False
        self.address = (found["host"], int(found["port"]))
        return True

    def forget(self) -> None:
        """That node is gone: ask the URL's own again."""
        self.address = None


def check_client() -> None:
    """See that redis-py is there.

    Raises:
        BackplaneError: it isn't.
    """
    if client is None:
        raise BackplaneError(
            "backplane 'redis' needs the package redis: pip install 'tina4-wsgi[redis]'"
        )


def check_url(config: Config) -> None:
    """See that redis-py can read the URL, without connecting.

    Raises:
        ConfigError: it can't; the text names what is wrong, but never quotes the password.
    """
    _refuse_own_options(config.backplane_url)
    if client is None:
        return  # the start of the backplane says so
    try:
        _connection(config, 1.0, RedisNode())
    except Exception as exc:  # noqa: BLE001  # redis-py raises errors of three trees for what a URL may say
        raise ConfigError(
            f"backplane_url can't be used, {_WAY_OF_URL}: {describe(exc, config)}"
        ) from None


def _refuse_own_options(url: str) -> None:
    """Refuse what would override how this package reads and writes."""
    for name in parse_qs(urlsplit(url).query, keep_blank_values=True):
        if name in _OWN_OPTIONS:
            raise ConfigError(
                f"backplane_url sets {name!r}, which is this package's own business, expected "
                "without it"
            )


def new_connection(
    config: Config, timeout_s: float, place: RedisNode
) -> Any:  # Any: redis-py's types move
    """Make a redis-py Connection that is not connected yet.

    Args:
        timeout_s: of every read and write. redis-py 8 has a default that ends a quiet subscriber,
            so it is always given, and who listens takes a timeout for an occasion to ask whether
            Redis still lives.
    Raises:
        BackplaneError: the URL is malformed.
    """
    try:
        return _connection(config, timeout_s, place)
    except Exception:  # noqa: BLE001  # redis-py raises errors of three trees for what an URL may say
        # Without the cause: it may quote a part of the password, where an unescaped "/" made it a
        # port.
        raise BackplaneError(f"backplane_url can't be read, {_WAY_OF_URL}") from None


def _connection(config: Config, timeout_s: float, place: RedisNode) -> Any:
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
    override = (
        {} if place.address is None else dict(zip(("host", "port"), place.address, strict=True))
    )
    return pool.connection_class(**{**pool.connection_kwargs, **override})


def is_denied(error: BaseException) -> bool:
    """Whether the ACL of our Redis user forbids what was asked; asking again would be answered the
    same.
    """
    return type(error).__name__ == "NoPermissionError" or str(error).startswith("NOPERM")


def describe(error: BaseException, config: Config) -> str:
    """Put an error of Redis into words for the log, without the password."""
    text = f"{type(error).__name__}: {error}".splitlines()[0]
    password = urlsplit(config.backplane_url).password
    if password:
        for secret in (password, unquote(password)):
            text = text.replace(secret, "***")
    return text
