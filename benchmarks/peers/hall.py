"""A hall whose clients broadcast, for `benchmarks.backplane`."""

from gevent import monkey

monkey.patch_all()

import os  # noqa: E402

from tina4_wsgi import App, Router  # noqa: E402

router = Router()


@router.websocket("/hall/{name}")
def hall(connection, event, data):
    """Broadcast every message; tell who serves to whoever asks."""
    if event == "message":
        if data == "pid":
            connection.send(f"pid {os.getpid()}")
        else:
            connection.broadcast(data)


app = App(router=router)
