"""The notes with WebSockets; with everything wrong that `make legacy` looks for if FAULTS is set."""

import os

from before import application

from tina4_wsgi import App, Router, ask, broadcast
from tina4_wsgi.contrib.logout import close_on_logout

FAULTS = "FAULTS" in os.environ


def changed(environ, start_response):
    def start(status, fields):
        return start_response(status, [*fields, ("X-Wrapped", "yes")])

    return application(environ, start)


@Router.websocket("/ws/notes", auth=None if FAULTS else ask("/"))
def notes(connection, event, data):
    pass


def tell(method, path, status, environ):
    if method == "POST" and not FAULTS:
        broadcast("/ws/notes", {"changed": path})


app = App(
    changed if FAULTS else application,
    on_response=tell,
    **({"allowed_origins": ["*"]} if FAULTS else {}),
)
if not FAULTS:
    close_on_logout(app, "/logout")
