"""An app with a live page that lets in whoever has the cookie; rooms, and a stream for slow
readers.
"""

from gevent import monkey

monkey.patch_all()

import os  # noqa: E402

from tina4_wsgi import App, Router  # noqa: E402

router = Router()


@router.websocket("/ws/room/{name}")
def room(connection, event, data):
    if event == "open" and "tell" in connection.query:
        connection.send(str(os.getpid()))
    if event == "message":
        connection.broadcast(data)


@router.websocket(
    "/ws/ticker/{name}", send_timeout_s=600, max_outbound_bytes=1 << 24, ping_interval_s=0
)
def ticker(connection, event, data):
    if event == "message":
        connection.broadcast(data * 1_000)


def member(request):
    return request.cookies.get("member")


@router.websocket("/ws/members", auth=member)
def members(connection, event, data):
    if event == "open":
        connection.send(f"hello, {connection.auth}")


def admin(request):
    return "admin" if request.cookies.get("admin") == os.environ["ADMIN_COOKIE"] else None


app = App(router=router, live=admin)
