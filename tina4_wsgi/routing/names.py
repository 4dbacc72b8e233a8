"""Checks the names of paths and rooms: every backplane must be able to carry them.

A name often comes from a client, in a JSON text that may spell what UTF-8 can't express. So each
name is checked at the call that passes it, where the caller can still act, and not where it is
sent.
"""

from __future__ import annotations

import re
from enum import IntEnum

from ..errors import UsageError

MOST_NAME_BYTES = 2_048
"""Room for a token in a path. Every broadcast carries its name to every other process."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class GroupKind(IntEnum):
    """What a group of connections is named by. The numbers travel, see `backplane.envelope`."""

    PATH = 2
    ROOM = 3


def check_path(path: str) -> str:
    """Check that a text is the path of a group of connections, and return it.

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
    """Check that a text may name a group of connections, and return it.

    Args:
        what: "path" or "room", for the message.
    Raises:
        UsageError: it is no text, is too long, or holds a control character or what UTF-8 can't
            express.
    """
    # Nearly every name ends here, and `broadcast_to` asks for every message.
    if (
        name.__class__ is str
        and name.isascii()
        and name.isprintable()
        and len(name) <= MOST_NAME_BYTES
    ):
        return name

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
