"""`publish` in a test reaches the apps of that test's process, and no server that runs beside
it.
"""

from __future__ import annotations

import weakref

import pytest

from tina4_wsgi import App, Publisher, Receipt, Router, publish
from tina4_wsgi.backplane.isolation import isolation
from tina4_wsgi.testing import TestClient


@pytest.fixture(autouse=True)
def no_other_apps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no living app of an earlier test be counted."""
    monkeypatch.setattr(isolation, "receivers", weakref.WeakSet())


def rooms() -> App:
    router = Router()

    @router.websocket("/ws/rooms/{name}")
    def room(connection, event, data):
        if event == "open":
            connection.join("everybody")

    return App(router=router)


def test_a_published_message_arrives_and_its_receipt_counts_the_clients():
    with (
        TestClient(rooms()) as client,
        client.websocket("/ws/rooms/a") as ada,
        client.websocket("/ws/rooms/b") as bob,
    ):
        assert publish("/ws/rooms/a", "hi") == Receipt(1, 1)

        assert ada.receive() == "hi"
        bob.receive_nothing()


def test_a_publisher_reaches_named_rooms_too():
    with (
        TestClient(rooms()) as client,
        client.websocket("/ws/rooms/a") as ada,
        client.websocket("/ws/rooms/b") as bob,
    ):
        with Publisher() as publisher:
            receipt = publisher.publish_to_room("everybody", {"to": "all"})

        assert receipt == Receipt(1, 2)
        assert ada.receive_json() == bob.receive_json() == {"to": "all"}


def test_a_message_to_a_path_where_nobody_is_is_taken_as_by_a_server_without_clients():
    with TestClient(rooms()) as client, client.websocket("/ws/rooms/a"):
        assert publish("/ws/rooms/empty", "hi") == Receipt(1, 0)


def test_a_publisher_of_a_test_needs_no_backplane():
    with TestClient(rooms()) as client, client.websocket("/ws/rooms/a") as ada:
        publish("/ws/rooms/a", "hi", backplane="none")

        assert ada.receive() == "hi"
