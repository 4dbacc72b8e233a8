"""WebSocket as a route: each message goes back to its sender.

One route, one callback, three arguments. `event` is "open", "message" or "close";
`data` is the text of the message and empty for the other two events.
"""

from tina4_wsgi import Router


@Router.websocket("/ws/echo")
def echo(connection, event, data):
    if event == "message":
        connection.send(f"Echo: {data}")
