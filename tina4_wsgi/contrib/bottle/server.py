"""Our own server under Bottle's name for it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import bottle
from gevent import monkey

from ...errors import ConfigError
from ...server.console import configure_logging
from ...server.running import banner, stop_on_signal
from ...server.server import Server
from .bridge import are_greenlet_local, renew_locals, wrap

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def _let_go_of_reloader() -> None:
    """Keep Bottle from waiting for its reloader's thread, which a late patching made unjoinable.

    The thread is a daemon, and has nothing left to do at that point.
    """
    for thread in threading.enumerate():
        if isinstance(thread, bottle.FileCheckerThread):
            vars(thread)["join"] = lambda: None


class Tina4Server(bottle.ServerAdapter):  # type: ignore[misc]  # bottle ships no types
    """Our server as Bottle's "tina4": `bottle.run(server="tina4")`, `bottle.py --server tina4`.

    Importing this module registers the name. It wraps a Bottle app, and serves a wrapped app as it
    is. Its options are those of `tina4_wsgi.server.server.Server`: `certfile`, `keyfile`,
    `unix_path`.
    """

    def run(self, handler: WSGIApplication) -> None:
        """Serve until SIGINT or SIGTERM, then close every WebSocket with 1001.

        Raises:
            ConfigError: gevent hasn't patched the process.
        """
        if not monkey.is_module_patched("socket"):
            raise ConfigError(
                "gevent hasn't patched this process, and one request would hold up all others: "
                "begin the app's module with `from gevent import monkey; monkey.patch_all()`"
            )
        if not are_greenlet_local(bottle):  # `bottle.py` itself came before the app's module
            renew_locals(bottle)
            _let_go_of_reloader()

        configure_logging("warning" if self.quiet else "info")
        app = wrap(handler) if isinstance(handler, bottle.Bottle) else handler
        server = Server(app, self.host, self.port, **self.options)
        server.start()
        stop_on_signal(server)
        if not self.quiet:
            print(banner(server), flush=True)
        server.serve_forever()


bottle.server_names.setdefault("tina4", Tina4Server)
