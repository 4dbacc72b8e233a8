"""Every error that this package raises, in one tree.

The class says whose fault it is: the peer's (`ProtocolError`, `Refused`), no one's
(`ConnectionClosed`), the caller's (`UsageError`, `RouteError`) or the set-up's (`ConfigError`).
Messages are lower case: the fact first, then what is expected.
"""

from __future__ import annotations


class Tina4Error(Exception):
    """The base class of all errors of this package."""


class ProtocolError(Tina4Error):
    """The peer broke RFC 6455 or a limit; its connection is failed (§7.1.7).

    Caught in one place, logged as one line and answered with a close frame; callbacks never see it.

    Attributes:
        close_code: what the close frame carries: 1002, 1007, 1008 or 1009.
        reason: what was wrong and what was expected; at most 123 bytes in UTF-8.
    """

    def __init__(self, close_code: int, reason: str) -> None:
        super().__init__(f"{close_code} {reason}")
        self.close_code = close_code
        self.reason = reason


class Refused(Tina4Error):
    """A request is answered with an error: an upgrade before its 101, or a malformed head.

    Attributes:
        status: HTTP status code, 400-599.
        message: one line of text for the body; constant, so it never repeats the peer's bytes.
        headers: further header fields of the answer, such as `Sec-WebSocket-Version`.
        detail: what the log line adds; may quote the peer, never a token.
    """

    def __init__(
        self,
        status: int,
        message: str,
        headers: tuple[tuple[str, str], ...] = (),
        detail: str = "",
    ) -> None:
        super().__init__(f"{status} {message}")
        self.status = status
        self.message = message
        self.headers = headers
        self.detail = detail


class ConnectionClosed(Tina4Error):
    """The connection is over: what was asked of it can't be done any more.

    Attributes:
        code: the close code, 1005 for a close frame without one, 1006 for no close frame at all.
        reason: the close reason, "" if none was given.
        was_clean: whether close frames went both ways.
    """

    def __init__(self, code: int, reason: str = "", was_clean: bool = False) -> None:
        super().__init__(f"connection is closed: {code} {reason}".rstrip())
        self.code = code
        self.reason = reason
        self.was_clean = was_clean


class MessageError(Tina4Error, ValueError):
    """A client sent a message that can't be read as what the callback expects: not JSON, say.

    An app may raise it for mistakes of its own protocol. It is the client's fault: one WARNING
    without a traceback, no report to error trackers, and where `on_error` is "close" the connection
    ends with 1007.
    """


class ForkError(Tina4Error):
    """A forked process can't serve the open connections of its parent.

    Args:
        connection_count: how many.
        consequence: what can't be done.
    """

    def __init__(self, connection_count: int, consequence: str) -> None:
        super().__init__(
            f"this process was forked from one with {connection_count} open connections, "
            f"{consequence}; "
            "`broadcast` and `publish` tell clients something from here where there is a backplane"
        )


class BackplaneError(Tina4Error):
    """Other processes can't be reached: none serves, Redis is away, the bus has no folder."""


class JournalError(Tina4Error):
    """The journal of kept messages can't be read or written: a full disk, a folder that is gone."""


class UsageError(Tina4Error, ValueError):
    """The caller asked for something impossible, such as to send neither str nor bytes."""


class RouteError(UsageError):
    """A route was refused when it was registered.

    The message names file and line of the callback, and the right spelling.
    """


class ConfigError(Tina4Error, ValueError):
    """A setting is wrong; the message names the setting, its value and what is allowed.

    Raised at start.
    """
