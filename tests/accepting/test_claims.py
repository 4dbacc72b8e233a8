"""What a client says of its past in its address: the app sees nothing of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, request

from tests.support.own_server import dial, running
from tests.support.raw import RawClient
from tina4_wsgi import App, Router
from tina4_wsgi.contrib import flask as flask_contrib
from tina4_wsgi.server.server import Server

ME = "tab_12345678"


class House:
    """An app that is served, and what its `auth` and its callbacks saw of the address."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.clients: list[RawClient] = []

    def ask(self, path: str) -> tuple[str, dict[str, Any]]:
        """Connect, and give the mark and the rest of the first message that isn't a mark alone."""
        client = dial(self._server)
        self.clients.append(client)
        client.upgrade(path)
        while not (text := client.read_text()).endswith("}"):
            pass
        mark, _, rest = text.partition("{")
        return mark, json.loads("{" + rest)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    router = Router()
    asked: list[dict[str, str]] = []

    def auth(request: Any) -> str:
        asked.append(request.query)
        return "ada"

    def tell(connection: Any, event: str, data: Any) -> None:
        if event == "open":
            connection.send_json(
                {
                    "query": connection.query.to_dict(flat=False),
                    "text": connection.environ()["QUERY_STRING"],
                    "asked": dict(asked[-1]) if asked else None,
                }
            )

    router.websocket("/ws/kept", history=5)(tell)
    router.websocket("/ws/asked", history=5, auth=auth)(tell)
    router.websocket("/ws/plain")(tell)
    app = App(router=router, history_dir=str(tmp_path / "h"))
    with running(app) as server:
        house = House(server)
        yield house
        for one in house.clients:
            one.close()


@pytest.mark.parametrize("path", ["/ws/kept", "/ws/plain"])
@pytest.mark.parametrize(
    "claim", [f"1.{ME}", f"1.{ME}.-", f"1.{ME}.abc.0-1", "2.whatever", "", "rubbish%00"]
)
def test_callbacks_see_the_rest_of_the_query_alone(house: House, path: str, claim: str) -> None:
    mark, told = house.ask(f"{path}?a=1&tina4={claim}&b=2")

    assert told["text"] == "a=1&b=2"
    assert told["query"] == {"a": ["1"], "b": ["2"]}
    assert mark == (":" if path == "/ws/kept" and claim.startswith("1.") else "")


def test_auth_sees_the_rest_of_the_query_alone(house: House) -> None:
    mark, told = house.ask(f"/ws/asked?token=t&tina4=1.{ME}")

    assert mark == ":"
    assert told["asked"] == {"token": "t"}


def test_a_query_of_the_claim_alone_is_empty(house: House) -> None:
    assert house.ask(f"/ws/asked?tina4=1.{ME}")[1]["text"] == ""


def test_a_field_that_only_looks_like_it_stays(house: House) -> None:
    assert house.ask("/ws/kept?xtina4=1")[1]["query"] == {"xtina4": ["1"]}


class Copying:
    """A middleware that hands a copy of the environ on."""

    def __init__(self, wsgi_app: Any) -> None:
        self._wsgi_app = wsgi_app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        return self._wsgi_app({**environ, "seen": "yes"}, start_response)


@pytest.mark.parametrize("has_middleware", [True, False])
def test_a_framework_sees_nothing_of_it_either(tmp_path: Path, has_middleware: bool) -> None:
    app = Flask("shop")
    asked: list[dict[str, str]] = []

    def auth(_: Any) -> str:
        asked.append(request.args.to_dict())
        return "ada"

    @flask_contrib.websocket(app, "/ws/live", history=5, auth=auth)
    def live(connection: Any, event: str, data: Any) -> None:
        if event == "open":
            connection.send_json({"args": request.args.to_dict(), "asked": asked[-1]})

    if has_middleware:
        app.wsgi_app = Copying(app.wsgi_app)  # type: ignore[method-assign]
    with running(flask_contrib.wrap(app, history_dir=str(tmp_path / "h"))) as server:
        house = House(server)
        mark, told = house.ask(f"/ws/live?a=1&tina4=1.{ME}")
        for one in house.clients:
            one.close()

    assert mark == ":"
    assert told == {"args": {"a": "1"}, "asked": {"a": "1"}}
