"""Somebody who looks on while an app serves: a test client, see `tina4_wsgi.testing`.

It stands in the environ under `KEY`, where no request can put it; in production nobody does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .websocket.connection import Accepted

KEY = "tina4_wsgi.observer"


class Spy(Protocol):
    """What an app tells the one who looks on, in the greenlet of the request."""

    def visiting(
        self, app: Any, visit: Accepted
    ) -> Accepted:  # Any: an App, which stands in a higher row
        """A handshake has passed, and the socket is about to be taken; gives the visit to go on
        with.
        """

    def failed(self, error: BaseException) -> None:
        """An HTTP handler or an `auth` raised; it was logged, and is being answered with 500."""


def observer_of(environ: Mapping[str, Any]) -> Spy | None:
    """Find who looks on, None if nobody does."""
    return cast("Spy | None", environ.get(KEY))
