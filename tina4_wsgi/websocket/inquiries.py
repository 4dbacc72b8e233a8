"""The calls of `auth` that are under way, and the disconnects that arrive meanwhile.

`disconnect` looks at connections. A client whose `auth` still waits for a database has no
connection yet, and a client whose connection is about to get another `auth` isn't found by its new
one. Both would slip through, since an answer from before the log-out arrives after the log-out. So
each `disconnect` is also noted with the open inquiries, which check it once they have their answer.
"""

from __future__ import annotations

from typing import NamedTuple

from ..errors import Refused
from ..protocol.frames import CloseCode
from . import identity

_COMING_BACK = frozenset(
    {CloseCode.GOING_AWAY, CloseCode.SERVICE_RESTART, CloseCode.TRY_AGAIN_LATER}
)
_RETRY_AFTER_S = 1


class Farewell(NamedTuple):
    """A `disconnect`, kept for matching connections that don't exist yet.

    Attributes:
        auth: the user's text, see `identity.text_of`; None for all users on its path.
    """

    auth: str | None
    code: int
    reason: str

    def refusal(self) -> Refused:
        """Return the refusal for a client that has not received its 101 yet.

        401, or 403 for 4403; 503 where the code asks the client to come back.
        """
        if self.code in _COMING_BACK:
            return Refused(503, "come back in a moment", (("Retry-After", str(_RETRY_AFTER_S)),))
        status = 403 if self.code == CloseCode.FORBIDDEN else 401
        return Refused(status, "this login was sent away while it was being looked at")


class Inquiry:
    """One call of an `auth`, open until its answer is in force; for a `with` block.

    Args:
        path: the normalised path that the client joins.
    """

    __slots__ = ("_all", "_farewells", "_is_kept", "path")

    def __init__(self, everyone: Inquiries, path: str) -> None:
        self._all = everyone
        self._farewells: list[Farewell] = []
        self._is_kept = False
        self.path = path

    def __enter__(self) -> Inquiry:
        self._all.open[self] = None
        return self

    def __exit__(self, *raised: object) -> None:
        if not self._is_kept or raised[0] is not None:
            self.end()

    def keep(self) -> None:
        """Stay open after the block, until `end`: the answer isn't in force yet."""
        self._is_kept = True

    def end(self) -> None:
        """Close the inquiry; harmless when repeated."""
        self._all.open.pop(self, None)

    def note(self, farewell: Farewell) -> None:
        """Remember a `disconnect` for the answer; any thread may call this."""
        self._farewells.append(farewell)

    def farewell_to(self, auth: object) -> Farewell | None:
        """Return a `disconnect` of the user `auth` that arrived meanwhile, None without one."""
        if not self._farewells:
            return None
        text = identity.text_of(auth)
        return next((one for one in self._farewells if one.auth is None or one.auth == text), None)


class Inquiries:
    """The open inquiries of one hub.

    Attributes:
        open: the inquiries that wait for an answer. Each change and each copy is one C call, so
            any thread may make it.
    """

    def __init__(self) -> None:
        self.open: dict[Inquiry, None] = {}

    def begin(self, path: str) -> Inquiry:
        """Return a new inquiry, for a `with` block."""
        return Inquiry(self, path)

    def note(self, farewell: Farewell, path: str | None) -> None:
        """Note a `disconnect` with all inquiries that it may concern; any thread may call this.

        Args:
            path: the path that it is limited to; None for all paths.
        """
        for inquiry in list(self.open):
            if path is None or inquiry.path == path:
                inquiry.note(farewell)
