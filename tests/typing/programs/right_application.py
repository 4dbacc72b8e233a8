"""An application as the documentation shows them."""
# pyright: strict

from __future__ import annotations

import json
from pathlib import Path

from tina4_wsgi import (
    App,
    BackplaneError,
    Connection,
    ConnectionClosed,
    Request,
    Response,
    Router,
    broadcast,
    count,
    members,
    publish,
)
from tina4_wsgi.testing import TestClient

USERS = {"secret": "ada"}


def logged_in(request: Request) -> str | None:
    return USERS.get(request.query.get("token", ""))


@Router.websocket(
    "/ws/room/{name}/{table:int}", auth=logged_in, max_message_bytes=4_096, on_error="close"
)
def room(connection: Connection, event: str, data: str | bytes) -> None:
    name: str = connection.params.name
    table: int = connection.params["table"]
    if event == "open":
        connection.state["name"] = connection.query.get("name", "Anonymous")
        connection.join("everybody")
        connection.send_json(
            {"room": name, "table": table, "user": connection.auth, "id": connection.id}
        )
    elif event == "message":
        message = connection.json(data)
        try:
            connection.broadcast(json.dumps({"text": message["text"]}), exclude_self=True)
        except ConnectionClosed as error:
            print(error.code, error.reason)
    else:
        connection.broadcast_to_room("everybody", f"{connection.path} {connection.close_code}")


Router.websocket("/ws/echo", lambda connection, event, data: connection.send(data))


@Router.get("/room/{name}")
def page(request: Request, response: Response) -> Response:
    return response.html("room.html", {"room": request.params.name})


@Router.post("/announce")
def announce(request: Request, response: Response) -> dict[str, object]:
    broadcast("/ws/room/a/1", request.form.get("text", ""))
    return {
        "count": count("/ws/room/a/1"),
        "who": [member.id for member in members("/ws/room/a/1")],
    }


app = App(
    root=Path("."), drain_timeout_s=3, allowed_origins=["https://example.org"], health="/health"
)
try:
    print(publish("/ws/news", "x").processes)
except BackplaneError as error:
    print(error)
with TestClient(app) as client, client.websocket("/ws/room/a/1", query={"token": "secret"}) as ws:
    ws.send("hi")
    assert ws.receive_json()["room"] == ws.connection.params.name
