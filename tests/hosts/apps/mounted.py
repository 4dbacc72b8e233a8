"""An App below a prefix of a legacy application, which pushes to its groups."""

from __future__ import annotations

from pathlib import Path
from wsgiref.util import shift_path_info

from werkzeug.exceptions import Forbidden
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from tina4_wsgi import App, Router, broadcast

router = Router()


def members_only(request):
    if request.query.get("user") != "ada":
        raise Forbidden("not you")
    return "ada"


@router.get("/page")
def page(request, response):
    return "a page of ours"


@router.websocket("/ws/{room}", subprotocols=("chat.v2",))
def room(connection, event, data):
    if event == "message":
        environ = connection.environ()
        connection.broadcast(
            f"{connection.path} {environ['SCRIPT_NAME']} {connection.subprotocol}: {data}"
        )
    if event == "close":
        print(f"closed with {connection.close_code}", flush=True)


@router.websocket("/private", auth=members_only)
def private(connection, event, data):
    if event == "open":
        connection.send(f"hello, {connection.auth}")


def legacy(environ, start_response):
    """Push what is posted; echo on a socket of its own; say where it was asked otherwise."""
    websocket = environ.get("wsgi.websocket")
    if websocket is not None:
        while (message := websocket.receive()) is not None:
            websocket.send(f"legacy: {message}")
        return []
    if environ["REQUEST_METHOD"] == "POST":
        broadcast("/ws/red", "pushed")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"legacy at {environ['PATH_INFO']}".encode()]


legacy.claims_upgrade = lambda environ: False  # our own server makes them as gevent-websocket does

app = App(router=router, root=Path(__file__).parent)
dispatched = DispatcherMiddleware(legacy, {"/live": app, "/deep/er": app})


def by_hand(environ, start_response):
    """Choose by the first segment, with the tool of the standard library."""
    if environ["PATH_INFO"].startswith("/live/"):
        shift_path_info(environ)
        return app(environ, start_response)
    return legacy(environ, start_response)


by_hand.claims_upgrade = lambda environ: environ["PATH_INFO"].startswith("/live/")


class Framework:
    """An application object as Flask's is: called itself, with the callable inside of it
    replaced.
    """

    def __init__(self):
        self.wsgi_app = DispatcherMiddleware(legacy, {"/live": app})

    def __call__(self, environ, start_response):
        return self.wsgi_app(environ, start_response)


framework = Framework()
