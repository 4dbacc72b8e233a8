"""The spy through which a test client watches an app serve; see `tina4_wsgi.testing`.

The environ holds the spy under `KEY`, where no request can put one; in production there is none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .websocket.connection import Accepted

KEY = "tina4_wsgi.observer"


class Spy(Protocol):
    """The calls of an app to a spy, in the greenlet of the request."""

    def serving(self, app: Any) -> None:  # Any: an App, which stands in a higher row
        """Note an app that is about to hold parts of this thread, for a handshake."""

    def visiting(self, visit: Accepted) -> Accepted:
        """Return the visit to use for a handshake that has passed; the socket is not taken yet."""

    def failed(self, error: BaseException) -> None:
        """Note an error of an HTTP handler or `auth`; it is logged, and answered with 500."""


def spy_of(environ: Mapping[str, Any]) -> Spy | None:
    """Return the spy of a request, None without one."""
    return cast("Spy | None", environ.get(KEY))
