"""Radicale with a WebSocket for each user, which hears of every change below /USER/."""

from before import application
from werkzeug.test import Client

from tina4_wsgi import App, Router, broadcast


def may_read(request):
    # Radicale has no address that tells who is logged in. A PROPFIND is answered with 207 if this
    # user may read this collection.
    credentials = {"Authorization": request.headers.get("Authorization", ""), "Depth": "0"}
    path = f"/{request.params.user}/"
    return Client(application).open(path, method="PROPFIND", headers=credentials).status_code == 207


@Router.websocket("/ws/{user}", auth=may_read, reauth_every=1)
def changes(connection, event, data):
    pass  # the page only listens


def tell(method, path, status, environ):
    if method in ("PUT", "DELETE", "PROPPATCH", "MKCALENDAR", "MOVE"):
        broadcast(f"/ws/{path.split('/')[1]}", {"changed": path})


app = App(application, on_response=tell)
