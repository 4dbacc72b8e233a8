"""Which texts may name a path's group or a room: those that every way to other processes can carry.

A name often comes from a client, by a JSON text that may spell what UTF-8 can't express. So each is
checked at the call that gives it, where the caller can do something about it, and not where it is
sent.
"""

from __future__ import annotations

import re

from ..errors import UsageError

MOST_NAME_BYTES = 2_048
"""Room for a token in a path. Every broadcast carries its name to every other process."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def check_path(path: str) -> str:
    """See that a text is the path of a group of connections, and give it.

    Raises:
        UsageError: it can't be a name; or no client can be on it, so that a message would go
            nowhere: it does not begin with a slash, or it is the pattern of a route.
    """
    check_name(path)
    if path[:1] != "/":
        raise UsageError(f"path {path!r} does not begin with a slash, write {'/' + path!r}")
    if "{" in path or "}" in path:
        raise UsageError(
            f"path {path!r} is the pattern of a route, expected a path of its clients, as "
            "'/ws/chat/ada'"
        )
    return path


def check_name(name: str, what: str = "path") -> str:
    """See that a text may name a group of connections, and give it.

    Args:
        what: it names, for the message: "path" or "room".
    Raises:
        UsageError: it is no text, is too long, or holds a control character or what UTF-8 can't
            express.
    """
    if (
        name.__class__ is str
        and name.isascii()
        and name.isprintable()
        and len(name) <= MOST_NAME_BYTES
    ):
        return name  # nearly always, and `broadcast_to` asks for every message
    if not isinstance(name, str):
        raise UsageError(f"{what} is a {type(name).__name__}, expected str")
    if found := _CONTROL.search(name):
        raise UsageError(
            f"{what} holds the control character {found[0]!r}, expected one line of text"
        )
    try:
        size = len(name.encode())
    except UnicodeEncodeError as exc:
        raise UsageError(
            f"{what} holds {exc.object[exc.start]!r}, which UTF-8 can't express"
        ) from exc
    if size > MOST_NAME_BYTES:
        raise UsageError(f"{what} of {size} bytes, at most {MOST_NAME_BYTES} allowed")
    return name
