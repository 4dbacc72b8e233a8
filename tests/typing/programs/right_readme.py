"""The callback of the README, which has no annotations, in a program that is checked."""

from typing import Any

from tina4_wsgi import App, Router


@Router.websocket("/ws/chat/{room}")
def chat(connection: Any, event: Any, data: Any) -> Any:
    if event == "message":
        connection.broadcast(f"{connection.params.room}: {data}")


@Router.get("/hello/{name}")
def hello(request: Any, response: Any) -> Any:
    return {"hello": request.params.name}


app = App()
