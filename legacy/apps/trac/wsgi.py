"""Trac with a WebSocket that hears of new and changed tickets."""

from before import application

from tina4_wsgi import App, Router, ask, broadcast
from tina4_wsgi.contrib.logout import close_on_logout


# Trac has no address that tells who is logged in. This page can be read by everybody who may see
# the wiki, which are those who are logged in.
@Router.websocket("/ws/tickets", auth=ask("/wiki/WikiStart?format=txt", bool))
def tickets(connection, event, data):
    pass  # the page only listens


def tell(method, path, status, environ):
    if method == "POST" and path.startswith(("/newticket", "/ticket/")):
        broadcast("/ws/tickets", {"changed": path})


app = App(application, on_response=tell)
close_on_logout(app, "/logout")
