"""A small chat, made anew for each test, and a client of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import gevent.event
import pytest

from tina4_wsgi import App, Connection, Request, Response, Router
from tina4_wsgi.testing import TestClient


class Chat:
    """An app with a bit of everything.

    Attributes:
        events: what the callbacks were called with, as (event, data).
        online: the connections by id.
        gate: what a callback that got "wait" waits for.
    """

    def __init__(self, **settings: Any) -> None:
        self.events: list[tuple[str, Any]] = []
        self.online: dict[str, Connection] = {}
        self.gate = gevent.event.Event()
        router = Router()
        router.websocket("/ws/chat/{room}", self.chat, subprotocols=["chat.v2", "chat.v1"])
        router.websocket("/ws/private", self.private, auth=self.user)
        router.websocket("/ws/ticker", self.ticker)
        router.get("/online", self.count)
        router.post("/say/{room}", self.say)
        router.post("/login", self.login)
        router.get("/broken", self.broken)
        self.app = App(router=router, **settings)

    def chat(self, connection: Connection, event: str, data: str | bytes) -> None:
        self.events.append((event, data))
        match event, data:
            case "open", _:
                self.online[connection.id] = connection
                connection.broadcast("joined", exclude_self=True)
            case "message", "bad":
                raise LookupError("bad message")
            case "message", "wait":
                self.gate.wait()
                connection.send("waited")
            case "message", "later":
                gevent.spawn_later(0.02, connection.send, "later")
            case "message", "leave":
                connection.close(4000, "as you like")
            case "message", _:
                connection.broadcast(data)
            case "close", _:
                del self.online[connection.id]
                connection.broadcast("left")

    def private(self, connection: Connection, event: str, data: str | bytes) -> None:
        if event == "open":
            connection.send(f"hello {connection.auth}")

    def ticker(self, connection: Connection, event: str, data: str | bytes) -> None:
        self.events.append((event, data))
        while event == "open":
            connection.send("tick")
            gevent.sleep(0.01)

    def user(self, request: Request) -> str | None:
        if request.query.get("token") == "broken":
            raise LookupError("no database")
        return request.cookies.get("user") or request.headers.get("X-User")

    def count(self, request: Request, response: Response) -> dict[str, int]:
        return {"online": len(self.online)}

    def say(self, request: Request, response: Response) -> str:
        self.app.broadcast(f"/ws/chat/{request.params.room}", request.json["text"])
        return "said"

    def login(self, request: Request, response: Response) -> Response:
        return response.cookie("user", "ada").text("welcome")

    def broken(self, request: Request, response: Response) -> None:
        raise LookupError("broken page")


@pytest.fixture
def chat() -> Chat:
    return Chat()


@pytest.fixture
def client(chat: Chat) -> Iterator[TestClient]:
    with TestClient(chat.app) as client:
        yield client


@pytest.fixture
def chat_with() -> Iterator[Callable[..., tuple[Chat, TestClient]]]:
    """Make a chat with other settings, and a client of it."""
    with contextlib.ExitStack() as stack:

        def make(*, raise_errors: bool = True, **settings: Any) -> tuple[Chat, TestClient]:
            chat = Chat(**settings)
            return chat, stack.enter_context(TestClient(chat.app, raise_errors=raise_errors))

        yield make
