"""The hall, and beside it an app that nobody uses."""

from __future__ import annotations

from gevent.monkey import get_original
from hall import COMMANDS, app, router

import tina4_wsgi
from tina4_wsgi import App, Router

__all__ = ["app", "idle", "router"]


def shout(connection, rest):
    """Speak to whichever app has members there, from a native thread."""
    get_original("_thread", "start_new_thread")(tina4_wsgi.broadcast, (connection.path, rest))


COMMANDS["shout"] = shout
idle = App(router=Router())
