"""A chat room at /ws/room/{room}: what one client says, all clients in the room hear.

The latest 100 messages of a room are kept for five minutes: a page that was away gets what it
missed, a new one the latest 20.
"""

from tina4_wsgi import Router

MOST_CHARACTERS = 2_000


@Router.websocket("/ws/room/{room}", history=100, replay=20)
def chat(connection, event, data):
    if event == "open":
        connection.state["name"] = connection.query.get("name", "").strip()[:40] or "Somebody"
        note(connection, f"{connection.state['name']} came")
    if event == "message":
        message = connection.json(data)  # other text is logged, and the connection stays open
        text = str(message["text"])[:MOST_CHARACTERS]
        connection.broadcast({"name": connection.state["name"], "text": text})  # sent as JSON
    if event == "close":
        note(connection, f"{connection.state.get('name', 'Somebody')} left")


def note(connection, text):
    """Tell everybody who is in the connection's room now, itself included."""
    connection.broadcast({"note": text}, keep=False)
