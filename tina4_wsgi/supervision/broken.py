"""What `serve --reload` answers while the application can't be loaded, until a file has changed.

Only browsers that have followed the link of this start see the reason, as with `debug`: see
`monitoring.start_link`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import escape

from ..http import error_pages
from ..http.response import Response
from ..protocol import handshake

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from ..monitoring.start_link import StartLink
    from ..server.loading import LoadError

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
  :root {{ color-scheme: light dark }}
  body {{ font-family: system-ui, sans-serif }}
  body {{ margin: 2rem auto; max-width: 60rem; padding: 0 1rem }}
  h1 {{ font: 600 1.25rem/1.4 ui-monospace, monospace; overflow-wrap: anywhere }}
  pre {{ border: 1px solid #8886; border-radius: .5rem }}
  pre {{ line-height: 1.5; overflow: auto; padding: 1rem }}
</style>
<h1>{title}</h1>
<pre>{details}</pre>
<p>This page loads again when a file has changed.</p>
</html>
"""


class Broken:
    """Stands in for an application that could not be loaded.

    Args:
        error: why it couldn't be loaded.
        link: opens the page with the traceback.
    """

    def __init__(self, error: LoadError, link: StartLink) -> None:
        self._link = link
        self._title = str(error)
        self._details = error.user_traceback

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request (PEP 3333)."""
        return self._answer(environ)(environ, start_response)

    def claims_upgrade(self, environ: WSGIEnvironment) -> bool:
        """Claim every upgrade, to answer it 503: clients come back until one is accepted."""
        return True

    def _answer(self, environ: WSGIEnvironment) -> WSGIApplication:
        if handshake.wants_websocket(environ):
            return error_pages.error(
                environ, 503, "The application can't be loaded now.", [("Retry-After", "1")]
            )
        if self._link.is_followed(environ):
            return self._link.follow(environ, "/") or _hidden(environ)
        if not self._link.shows_tracebacks(environ):
            return _hidden(environ)

        response = Response().status(500).header("Cache-Control", "no-store")
        if error_pages.preferred_kind(environ) != "text/html":
            return response.text(f"{self._details}{self._title}\n")
        return response.markup(
            _PAGE.format(title=escape(self._title), details=escape(self._details))
        )


def _hidden(environ: WSGIEnvironment) -> Response:
    return error_pages.error(
        environ,
        500,
        "The application can't be loaded; the terminal says why. To see it here, open the link "
        "with a token that stands there.",
    )
