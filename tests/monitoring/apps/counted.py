"""An app whose numbers are told, for a server with several workers."""

from gevent import monkey

monkey.patch_all()

import os  # noqa: E402

from tina4_wsgi import App, Router  # noqa: E402

router = Router()


@router.websocket("/ws/room/{name}")
def room(connection, event, data):
    if event == "open":
        connection.send(str(os.getpid()))
    if event == "message":
        connection.send(data)


app = App(router=router, metrics="/metrics", health="/health")
print("loaded by a worker", flush=True)
