"""The errors of a test client: what happened instead of what the test expected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import Tina4Error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from werkzeug.datastructures import Headers

_SHOWN_CHARACTERS = 200
_SHOWN_MESSAGES = 10


class HandshakeRefused(Tina4Error):
    """The app answered a handshake with another status than 101.

    Attributes:
        status: HTTP status code of the response.
        headers: its header fields; names in any letter case.
        body: its body.
    """

    def __init__(self, path: str, status: str, headers: Headers, body: bytes) -> None:
        self.status = int(status.split()[0])
        self.headers = headers
        self.body = body

        super().__init__(
            f"handshake for {path} was answered {status}, expected 101: {shown(self.text.strip())}"
        )

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode(errors="replace")


class ReceiveTimeout(Tina4Error, TimeoutError):
    """A message or a close frame did not come in time.

    Attributes:
        received: what the WebSocket has received before, oldest first.
    """

    def __init__(
        self, path: str, timeout_s: float, received: Sequence[str | bytes], what: str = "message"
    ) -> None:
        self.received = tuple(received)
        before = listed(self.received) if received else "nothing"
        super().__init__(f"no {what} on {path} within {timeout_s:g} s; received before: {before}")


class NotSettled(Tina4Error, TimeoutError):
    """The app still had work to do when the time was up; the message says which."""


def listed(messages: Sequence[str | bytes]) -> str:
    """Put the latest messages on one line."""
    latest = [shown(repr(message)) for message in messages[-_SHOWN_MESSAGES:]]
    more = len(messages) - len(latest)
    return ", ".join([*([f"{more} more"] if more else []), *latest])


def shown(text: str) -> str:
    """Cut a text that is too long for an error message."""
    if len(text) <= _SHOWN_CHARACTERS:
        return text
    return f"{text[:_SHOWN_CHARACTERS]}… ({len(text)} characters)"
