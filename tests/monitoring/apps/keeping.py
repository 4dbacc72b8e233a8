"""An app that keeps history, with all that shows how that goes."""

from gevent import monkey

monkey.patch_all()

import os  # noqa: E402

from tina4_wsgi import App, Router  # noqa: E402

router = Router()


@router.websocket("/ws/kept/{name}", history=3)
def kept(connection, event, data):
    if event == "open":
        connection.send(str(os.getpid()))
    if event == "message":
        connection.broadcast(data, once=data if data.startswith("once") else None)


def admin(request):
    return "admin" if request.cookies.get("admin") == os.environ["ADMIN_COOKIE"] else None


app = App(router=router, live=admin, metrics="/metrics", health="/health")
