"""The logins that are being asked about, and the disconnects that came meanwhile.

`disconnect` looks at connections. A client whose `auth` still waits for a database has none yet,
and one whose connection is about to get another `auth` isn't found by it. Both would slip through,
since their answer of before the log-out arrives after it. So each `disconnect` is also noted with
the open inquiries, which look at it when they have their answer.
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
    """A `disconnect`, kept for connections that it means but that aren't there yet.

    Attributes:
        auth: the text of the user it means, see `identity.text_of`; None for all on its path.
    """

    auth: str | None
    code: int
    reason: str

    def refusal(self) -> Refused:
        """Return the refusal for a client that has no 101 yet.

        401, or 403 for 4403; 503 where the code asks the client to come back.
        """
        if self.code in _COMING_BACK:
            return Refused(503, "come back in a moment", (("Retry-After", str(_RETRY_AFTER_S)),))
        status = 403 if self.code == CloseCode.FORBIDDEN else 401
        return Refused(status, "this login was sent away while it was being looked at")


class Inquiry:
    """One question to an `auth`, open until its answer is in force; for a `with` block.

    Args:
        path: that is joined, normal.
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
        """Go on behind the block, until `end`: the answer isn't in force yet."""
        self._is_kept = True

    def end(self) -> None:
        """Stop looking; harmless when repeated."""
        self._all.open.pop(self, None)

    def note(self, farewell: Farewell) -> None:
        """Remember a `disconnect` for the answer; any thread may call this."""
        self._farewells.append(farewell)

    def farewell_to(self, auth: object) -> Farewell | None:
        """Return the `disconnect` that has meant `auth` meanwhile, None without one."""
        if not self._farewells:
            return None
        text = identity.text_of(auth)
        return next((one for one in self._farewells if one.auth is None or one.auth == text), None)


class Inquiries:
    """All of one process.

    Attributes:
        open: those that wait for an answer. Changed and copied by one C call each, so any thread
            may.
    """

    def __init__(self) -> None:
        self.open: dict[Inquiry, None] = {}

    def begin(self, path: str) -> Inquiry:
        """Return a new one, for a `with` block."""
        return Inquiry(self, path)

    def note(self, farewell: Farewell, path: str | None) -> None:
        """Note a `disconnect` with all that it may mean; any thread may call this.

        Args:
            path: of the connections it means; None for all paths.
        """
        for inquiry in list(self.open):
            if path is None or inquiry.path == path:
                inquiry.note(farewell)
