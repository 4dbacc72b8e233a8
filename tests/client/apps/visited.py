"""What the tests of the browser client connect to. Whatever is said is written down, for the time
after a kill.
"""

from gevent import monkey

monkey.patch_all()

import os  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

from werkzeug.exceptions import Forbidden  # noqa: E402

from tina4_wsgi import App, Router, broadcast, position  # noqa: E402

router = Router()
journal = os.open(os.environ["JOURNAL"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)

PAGE = """<!doctype html>
<meta charset="utf-8"><title>client</title><link rel="icon" href="data:,">
<script src="{prefix}/__tina4/tina4-ws.js"></script>
"""


@router.get("/")
def page(request, response):
    return PAGE.format(prefix=request.environ.get("SCRIPT_NAME", ""))


@router.get("/deep/down/{name}")
def deep_page(request, response):
    return page(request, response)


@router.websocket("/ws/echo")
def echo(connection, event, data):
    if event == "message":
        os.write(journal, f"{data}\n".encode())
        connection.send(data)


@router.websocket("/ws/kept", history=100)
def kept(connection, event, data):
    if event == "open":
        os.write(journal, f"{connection.resumed}\n".encode())
    if event == "message":
        connection.broadcast(data)


@router.post("/say")
def say(request, response):
    broadcast("/ws/kept", request.body.decode())
    return "said"


@router.get("/rendered")
def rendered(request, response):
    """A page that is old when it arrives: something was said since its position was taken."""
    since = position("/ws/kept")
    broadcast("/ws/kept", f"said behind {request.query['number']}")
    return f"{page(request, response)}<script>window.since = {since!r}</script>"


@router.websocket("/ws/count")
def count(connection, event, data):
    os.write(journal, f"{event}\n".encode())


@router.websocket("/ws/drain")
def drain(connection, event, data):
    if event == "message":
        connection.close(1012, data)


def logged_in(request):
    if request.cookies.get("session") == "stranger":
        raise Forbidden("not you")
    return request.cookies.get("session")


@router.websocket("/ws/private", auth=logged_in)
def private(connection, event, data):
    if event == "message":
        connection.refresh_auth()


@router.websocket(
    "/ws/users/{name}", auth=lambda request: Path(os.environ["USERS"]).read_text() or None
)
def user(connection, event, data):
    if event == "message":
        connection.refresh_auth()


@router.get("/ticket")
def ticket(request, response):
    """One that works until the time it names."""
    return response.text(str(time.time() + float(request.query.get("for_s", 60))))


def by_ticket(request):
    offered = request.headers.get("Sec-WebSocket-Protocol", "")
    until = request.query.get("token") or offered.rpartition(",")[2]
    return "ada" if time.time() < float(until or 0) else None


@router.websocket("/ws/ticket", auth=by_ticket, reauth_every=1, subprotocols=["v1"])
def with_ticket(connection, event, data):
    pass


app = App(router=router)


def mounted(environ, start_response):
    """The same below /shop, as a front server mounts it."""
    path = environ["PATH_INFO"]
    if path.startswith("/shop/"):
        environ["SCRIPT_NAME"], environ["PATH_INFO"] = "/shop", path.removeprefix("/shop")
    return app(environ, start_response)
