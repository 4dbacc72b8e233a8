"""A WebSocket callback that returns something is told, and so, in debug, is a handler that returns nothing."""

from __future__ import annotations

import pytest

from tina4_wsgi import App, Router
from tina4_wsgi.testing import TestClient


def told(caplog: pytest.LogCaptureFixture, word: str) -> list[str]:
    return [text for text in caplog.messages if word in text]


def returns(value):
    def callback(connection, event, data):
        if event == "message":
            connection.send("heard")
            return value
        return None

    return callback


@pytest.mark.parametrize("value", ["hello", b"hello", {"n": 1}, [], 0, False, object()])
def test_what_a_callback_returns_is_told_once_for_its_route(caplog, value):
    router = Router()
    router.websocket("/ws/{name}", returns(value))
    with TestClient(App(router=router)) as client:
        for name in ("a", "b"):
            with client.websocket(f"/ws/{name}") as ws:
                ws.send("one")
                ws.send("two")
                assert ws.receive_all() == ["heard", "heard"]

    (line,) = told(caplog, "goes nowhere")
    assert line.startswith(
        f"callback of /ws/{{name}} returned {type(value).__name__} at 'message', which goes nowhere"
    )
    assert "connection.send" in line


@pytest.mark.parametrize("event", ["open", "close"])
def test_so_is_that_of_the_other_events(caplog, event):
    router = Router()
    router.websocket("/ws", lambda connection, now, data: "bye" if now == event else None)
    with TestClient(App(router=router)) as client, client.websocket("/ws"):
        pass

    (line,) = told(caplog, "goes nowhere")
    assert f"returned str at {event!r}" in line


def test_a_callback_that_returns_nothing_is_not(caplog):
    router = Router()
    router.websocket("/ws", returns(None))
    with TestClient(App(router=router)) as client, client.websocket("/ws") as ws:
        ws.send("one")
        assert ws.receive() == "heard"

    assert told(caplog, "goes nowhere") == []


EMPTY = {
    "nothing": lambda request, response: None,
    "a header alone": lambda request, response: response.header("X-Kind", "odd") and None,
}
MEANT = {
    "a status": lambda request, response: response.status(204) and None,
    "a response": lambda request, response: response,
    "an empty dict": lambda request, response: {},
    "an empty text": lambda request, response: "",
    "a body": lambda request, response: response.text("x") and None,
}


def warnings_of(handler, caplog, *, debug: bool) -> list[str]:
    router = Router()
    router.get("/page/{name}", handler)
    with TestClient(App(router=router, debug=debug)) as client:
        for name in ("a", "b"):
            client.get(f"/page/{name}")
    return told(caplog, "empty")


@pytest.mark.parametrize("kind", EMPTY)
def test_in_debug_a_handler_that_returns_nothing_is_told_once(caplog, kind):
    (line,) = warnings_of(EMPTY[kind], caplog, debug=True)

    assert line.startswith(
        "the handler of /page/{name} returned nothing, so its answer is an empty 204; "
    )
    assert "test_results_of_callbacks.py" in line


@pytest.mark.parametrize("kind", MEANT)
def test_a_handler_that_says_what_it_means_is_not(caplog, kind):
    assert warnings_of(MEANT[kind], caplog, debug=True) == []


def test_in_production_an_empty_answer_is_nobodys_business(caplog):
    assert warnings_of(EMPTY["nothing"], caplog, debug=False) == []
