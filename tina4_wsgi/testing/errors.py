"""What a test is told when the app did something else than the test expected."""

from __future__ import annotations

from collections.abc import Sequence

from werkzeug.datastructures import Headers

from ..errors import Tina4Error

_SHOWN_CHARACTERS = 200
_SHOWN_MESSAGES = 10


class HandshakeRefused(Tina4Error):
    """The app answered a handshake with something else than 101.

    Attributes:
        status: HTTP status code.
        headers: header fields of the answer; names in any letter case.
        body: of the answer.
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
    """What was waited for, a message or a close frame, did not come in time.

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
    """The app still had something to do when the time was up; the message says what."""


def listed(messages: Sequence[str | bytes]) -> str:
    """Lay out the latest of some messages on one line."""
    latest = [shown(repr(message)) for message in messages[-_SHOWN_MESSAGES:]]
    more = len(messages) - len(latest)
    return ", ".join([*([f"{more} more"] if more else []), *latest])


def shown(text: str) -> str:
    """Cut a text that is too long for a message."""
    return (
        text
        if len(text) <= _SHOWN_CHARACTERS
        else f"{text[:_SHOWN_CHARACTERS]}… ({len(text)} characters)"
    )
