"""The paths that name groups of connections, and those of the framework itself."""

from __future__ import annotations

from ..errors import Refused

OWN_PREFIX = "/__tina4"
"""The framework serves its own pages here and below; an app's route only if its path says so."""

LIVE_PAGE = "/__tina4/live"


def live_link(token: str) -> str:
    """Return the address that opens the live page in `debug`, without scheme and host."""
    return f"{LIVE_PAGE}?token={token}"


def decode(raw: str) -> str:
    """Return a path as text; WSGI has its bytes as latin-1 (PEP 3333).

    Raises:
        Refused: 400, it isn't UTF-8.
    """
    if raw.isascii():
        return raw
    try:
        return raw.encode("latin-1").decode()
    except UnicodeError as exc:
        raise Refused(400, "The path is not UTF-8.", detail=repr(raw[:200])) from exc


def normal_path(path: str) -> str:
    """Return the name of a path's group: "/x/" and "/x" are the same path."""
    return path.rstrip("/") or "/"


def is_own(path: str) -> bool:
    """Return whether a path is the framework's own."""
    return path.startswith(OWN_PREFIX) and path[len(OWN_PREFIX) :][:1] in ("", "/")


def has_control_character(path: str) -> bool:
    """Return whether a decoded path holds a C0 control character or DEL."""
    return not path.isprintable() and any(one < " " or one == "\x7f" for one in path)
