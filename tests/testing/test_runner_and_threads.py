"""Tests that run in several native threads, each with clients of its own."""

from __future__ import annotations

import os
import threading

import pytest

from tina4_wsgi import UsageError
from tina4_wsgi.testing import TestClient

JOIN_S = 20.0


def run_in_threads(*functions):
    """Run each in a native thread, wait for all, and raise what one of them raised."""
    errors = []

    def run(function):
        try:
            function()
        except BaseException as exc:  # noqa: BLE001
            errors.append(exc)

    threads = [threading.Thread(target=run, args=[function]) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(JOIN_S)
    if errors:
        raise errors[0]


def test_each_thread_has_its_own_client_of_one_app(chat):
    def chat_alone(room):
        with TestClient(chat.app) as client, client.websocket(f"/ws/chat/{room}") as ws:
            for number in range(50):
                ws.send(f"{room} {number}")
            assert ws.receive_all() == [f"{room} {number}" for number in range(50)]

    run_in_threads(
        *(lambda room=room: chat_alone(room) for room in ("red", "green", "blue", "grey"))
    )

    assert chat.online == {}


def test_a_broadcast_reaches_the_clients_of_other_threads(chat):
    both_are_in, has_sent = (
        threading.Barrier(2, timeout=JOIN_S),
        threading.Barrier(2, timeout=JOIN_S),
    )

    def listen():
        with TestClient(chat.app) as client, client.websocket("/ws/chat/general") as ws:
            both_are_in.wait()
            has_sent.wait()
            assert "hi" in [ws.receive(), ws.receive()]  # the other one is "joined" or "left"

    def speak():
        with TestClient(chat.app) as client, client.websocket("/ws/chat/general") as ws:
            both_are_in.wait()
            ws.send("hi")
            has_sent.wait()

    run_in_threads(listen, speak)


def test_a_thread_that_ends_leaves_no_hub(chat):
    def test():
        with (
            TestClient(chat.app) as client,
            TestClient(chat.app) as other,
            client.websocket("/ws/chat/general") as ws,
            other.websocket("/ws/chat/general") as second,
        ):
            ws.send("hi")
            assert second.receive() == "hi"

    run_in_threads(test)
    before = len(os.listdir("/proc/self/fd"))

    for _ in range(5):
        run_in_threads(test)

    assert len(os.listdir("/proc/self/fd")) == before


def test_a_client_is_refused_in_another_thread(client):
    def use():
        with pytest.raises(UsageError, match="belongs to another thread"):
            client.get("/online")

    run_in_threads(use)
