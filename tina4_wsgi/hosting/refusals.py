"""Refusing an upgrade: the path in the log, and the answer where 101 was sent already."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from ..errors import Refused
from ..protocol.frames import CloseCode, encode_close
from .switching import Answered
from .takeover import find_place, take_over

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from .switching import Taken

_LOGGED_PATH_BYTES = 200


def path_for_log(path: str) -> str:
    """Return a raw path as a client would write it, on one line.

    Bytes that are no UTF-8, control characters, and the quote that ends it are escaped.
    """
    text = (
        path[:_LOGGED_PATH_BYTES]
        .encode("latin-1", "backslashreplace")
        .decode(errors="backslashreplace")
    )
    return "".join(
        one if one.isprintable() and one != "'" else ascii(one + '"')[1:-2] for one in text
    )


def refuse_late(
    environ: WSGIEnvironment, start_response: StartResponse, refusal: Refused
) -> Iterable[bytes]:
    """Refuse by a close frame where gevent-websocket's worker has sent the 101 already."""
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
        assert not isinstance(stream, int)  # of our own server, which answers nothing by itself
        try:
            stream.send(encode_close(CloseCode.POLICY_VIOLATION, self._refusal.message))
            stream.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it has gone already
        finally:
            stream.close()

    def give_up(self, answer: bytes, nearest: str) -> None:
        """Do nothing: the 101 was there first."""
