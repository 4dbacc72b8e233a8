"""Refusing an upgrade: what is logged of it, and how it is said where 101 has been answered
already.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any

from ..errors import Refused
from ..protocol.frames import CloseCode, encode_close
from .takeover import Answered, Taken, find_place, take_over

_LOGGED_PATH_BYTES = 200


def path_for_log(path: str) -> str:
    """Give a raw path as a client would write it, on one line: bytes that are no UTF-8, control
    characters and the quote that ends it in the log as escapes.
    """
    text = (
        path[:_LOGGED_PATH_BYTES]
        .encode("latin-1", "backslashreplace")
        .decode(errors="backslashreplace")
    )
    return "".join(
        one if one.isprintable() and one != "'" else ascii(one + '"')[1:-2] for one in text
    )


def refuse_late(environ: dict[str, Any], start_response: Any, refusal: Refused) -> Iterable[bytes]:
    """Refuse where gevent-websocket's worker has answered 101 before it asked us: by a close
    frame.
    """
    try:
        place = find_place(environ)
    except Refused:
        return Answered()  # a middleware asks again: the first answer stands
    return take_over(place, start_response, [], _LateRefusal(refusal))


class _LateRefusal:
    """Sends the close frame."""

    def __init__(self, refusal: Refused) -> None:
        self._refusal = refusal

    def take(self, taken: Taken) -> None:
        stream = taken.stream
        try:
            stream.send(encode_close(CloseCode.POLICY_VIOLATION, self._refusal.message))
            stream.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it has gone already
        finally:
            stream.close()

    def give_up(self, answer: bytes) -> None:
        """Do nothing: the 101 was there first."""
