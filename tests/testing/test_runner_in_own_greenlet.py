"""Callbacks that run in the test's own greenlet, and so share its thread-locals under
monkey-patching.
"""

from __future__ import annotations

import contextvars

import greenlet
import pytest
from gevent.local import local

from tina4_wsgi import App, Router
from tina4_wsgi.testing import TestClient

stack = contextvars.ContextVar("stack", default="none")


@pytest.fixture
def seen():
    return []


@pytest.fixture
def app(seen):
    router = Router()

    @router.websocket("/ws")
    def callback(connection, event, data):
        seen.append((event, greenlet.getcurrent()))
        if data == "bad":
            raise LookupError("bad message")
        if data == "stop":
            raise KeyboardInterrupt
        if data == "stack":
            connection.send(stack.get())

    return App(router=router)


def test_every_callback_runs_in_it(app, seen):
    here = greenlet.getcurrent()

    with TestClient(app, in_test_greenlet=True) as client, client.websocket("/ws") as ws:
        ws.send("hi")

    assert seen == [("open", here), ("message", here), ("close", here)]


def test_otherwise_callbacks_have_greenlets_of_their_own(app, seen):
    with TestClient(app) as client, client.websocket("/ws"):
        pass

    assert greenlet.getcurrent() not in [where for _, where in seen]


def test_a_local_of_the_test_is_seen_by_the_callback():
    router, transaction = Router(), local()

    @router.websocket("/ws")
    def callback(connection, event, data):
        if event == "message":
            connection.send(transaction.name)

    transaction.name = "the test's"
    with (
        TestClient(App(router=router), in_test_greenlet=True) as client,
        client.websocket("/ws") as ws,
    ):
        ws.send("hi")

        assert ws.receive() == "the test's"


def test_a_callback_still_has_a_context_of_its_own(app):
    stack.set("the test's")

    with TestClient(app, in_test_greenlet=True) as client, client.websocket("/ws") as ws:
        ws.send("stack")

        assert ws.receive() == "none"


def test_an_error_is_raised_in_the_test(app):
    with TestClient(app, in_test_greenlet=True) as client, client.websocket("/ws") as ws:
        with pytest.raises(LookupError, match="bad message"):
            ws.send("bad")
        ws.send("stack")

        assert ws.receive() == "none"


def test_what_is_to_end_the_test_ends_it(app, seen):
    with pytest.raises(KeyboardInterrupt), TestClient(app, in_test_greenlet=True) as client:
        client.websocket("/ws").send("stop")

    assert seen[-1][0] == "close"
