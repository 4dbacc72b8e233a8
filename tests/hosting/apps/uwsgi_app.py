"""An application behind middlewares that treat handshakes badly, and one that has an `atexit`."""

from __future__ import annotations

import io

import uwsgi

from tina4_wsgi import App, Router

router = Router()


@router.websocket("/ws/echo")
def echo(connection, event, data):
    if event == "message":
        connection.send(data)
    if event == "close":
        print(f"closed with {connection.close_code}", flush=True)


def legacy(environ, start_response):
    start_response("404 Not Found", [("Content-Length", "0")])
    return []


app = App(legacy, router=router, gevent_websocket_paths=["/old"])


def around(environ, start_response):
    """Do to a handshake what its query says."""
    return KINDS.get(environ["QUERY_STRING"], app)(environ, start_response)


def replaced(environ, start_response):
    """Answer something else, once the app has answered 101."""

    def refuse(status, headers, exc_info=None):
        return start_response("403 Forbidden", [("Content-Length", "4")])

    app(environ, refuse)
    return [b"go", b"ne"]


def raising(environ, start_response):
    """Find out in the middle that this was wrong, and answer that."""

    def refuse(status, headers, exc_info=None):
        raise LookupError("no such session")

    try:
        return app(environ, refuse)
    except LookupError:
        start_response("409 Conflict", [("Content-Length", "0")])
        return [b""]


def twice(environ, start_response):
    """Call the app for a handshake that it has answered."""
    app(environ, start_response)
    return app(environ, lambda status, headers, exc_info=None: print(f"again: {status}"))


def hidden(environ, start_response):
    """Replace wsgi.input."""
    return app({**environ, "wsgi.input": io.BytesIO()}, start_response)


KINDS = {kind.__name__: kind for kind in (replaced, raising, twice, hidden)}


def farewell():
    print("the application's own atexit", flush=True)


uwsgi.atexit = farewell
