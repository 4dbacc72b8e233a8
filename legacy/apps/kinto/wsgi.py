"""Kinto with a WebSocket that hears of changed records."""

from before import application

from tina4_wsgi import App, Router, ask, broadcast


@Router.websocket("/ws/records", auth=ask("/v1/", lambda told: told.get("user")), reauth_every=1)
def records(connection, event, data):
    pass  # the page only listens


def tell(method, path, status, environ):
    if method not in ("GET", "HEAD", "OPTIONS") and "/records" in path:
        broadcast("/ws/records", {"changed": path})


app = App(application, on_response=tell)
