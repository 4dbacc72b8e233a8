"""pgAdmin 4 with a WebSocket that hears of changed groups of servers, beside its Socket.IO."""

from before import application as app

from tina4_wsgi import broadcast
from tina4_wsgi.contrib.flask import Live


def tell(method, path, status, environ):
    if method in ("POST", "PUT", "DELETE") and path.startswith("/browser/server_group/"):
        broadcast("/ws/groups", {"changed": path})


live = Live(app, on_response=tell)


@live.websocket("/ws/groups", auth=live.login_required)
def groups(connection, event, data):
    pass  # the page only listens
