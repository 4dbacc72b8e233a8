"""A Bottle program with a WebSocket, to be run by itself or named to `bottle.py`."""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402

import bottle  # noqa: E402
import gevent  # noqa: E402

from tina4_wsgi import Router  # noqa: E402
from tina4_wsgi.contrib.bottle import wrap  # noqa: E402


@bottle.get("/slow/<name>")
def slow(name):
    gevent.sleep(0.05)
    return f"{name} {bottle.request.path}"


@Router.websocket("/ws/echo/{name}")
def echo(connection, event, data):
    if event == "message":
        gevent.sleep(0.05)
        connection.send(f"{bottle.request.path} {data}")
    if event == "close":
        print("closed", flush=True)


if __name__ == "__main__":
    app = wrap(bottle.default_app()) if "wrapped" in sys.argv else None
    bottle.run(app, server="tina4", port=0)
