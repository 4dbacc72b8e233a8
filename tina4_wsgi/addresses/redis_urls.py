"""How the address of a Redis is written: as a URL of TCP, TLS or a UNIX socket."""

from __future__ import annotations

from urllib.parse import urlsplit

from ..errors import ConfigError

_SCHEMES = ("redis://", "rediss://", "valkey://", "valkeys://", "unix://")


def check(name: str, url: str) -> None:
    """Check the parts of a Redis URL; no message quotes them, since they may hold a password.

    Args:
        name: of the setting.
    Raises:
        ConfigError: there is no way to a Redis in it.
    """
    if not url.startswith(_SCHEMES):
        raise ConfigError(f"{name}, expected one that begins with {' or '.join(_SCHEMES)}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ConfigError(
            f"{name} has no proper host or port, expected as "
            "redis://user:password@host:6379/0 with the special "
            "characters of the password percent-encoded"
        ) from None

    if port == 0:
        raise ConfigError(f"{name} has port 0, expected 1 to 65535")
    if parts.fragment:
        raise ConfigError(f"{name} has a part behind #, expected the # of a password as %23")

    if parts.scheme == "unix":
        if not parts.path.strip("/"):
            raise ConfigError(f"{name} names no socket, expected as unix:///run/redis/redis.sock")
        return

    database = parts.path.strip("/")
    if database and not (database.isascii() and database.isdecimal()):
        raise ConfigError(
            f"{name} has no number of a database behind the host, expected as redis://host:6379/0"
        )
