"""A chat room at /ws/room/{room}: what one client says, all clients in the room hear."""

from tina4_wsgi import Router

MOST_CHARACTERS = 2_000


@Router.websocket("/ws/room/{room}")
def chat(connection, event, data):
    if event == "open":
        connection.state["name"] = connection.query.get("name", "").strip()[:40] or "Somebody"
        tell(connection, note=f"{connection.state['name']} came")
    if event == "message":
        message = connection.json(data)  # other text is logged, and the connection stays open
        tell(connection, name=connection.state["name"], text=str(message["text"])[:MOST_CHARACTERS])
    if event == "close":
        tell(connection, note=f"{connection.state.get('name', 'Somebody')} left")


def tell(connection, **message):
    """Send a message to everybody in the connection's room, itself included."""
    connection.broadcast(message)  # a dict is sent as JSON
