"""What `/health` tells a load balancer."""

from __future__ import annotations

from typing import Any

from tina4_wsgi import App, Router
from tina4_wsgi.testing import TestClient


def app_with_room(**settings: Any) -> App:
    router = Router()
    router.websocket("/ws", lambda connection, event, data: None)
    return App(router=router, health="/health", **settings)


def test_a_worker_that_serves_is_ready():
    with TestClient(app_with_room()) as client, client.websocket("/ws"):
        response = client.get("/health")

    assert response.status_code == 200
    assert response.json["status"] == "ready"
    assert response.json["connections"] == 1


def test_a_worker_that_drains_is_not():
    app = app_with_room()
    with TestClient(app) as client:
        app.monitor().process.is_draining = True
        response = client.get("/health")

    assert response.status_code == 503
    assert response.json["status"] == "draining"


def test_it_may_be_asked_by_head():
    with TestClient(app_with_room()) as client:
        response = client.head("/health")

    assert (response.status_code, response.text) == (200, "")


def test_a_route_of_the_app_does_not_hide_it():
    app = app_with_room()
    app.router.get("/{anything}", lambda request, response: "mine")

    with TestClient(app) as client:
        assert client.get("/health").json["status"] == "ready"
        assert client.get("/other").text == "mine"


def test_the_way_to_other_processes_is_told_without_its_address(tmp_path):
    with (
        TestClient(app_with_room(bus_dir=str(tmp_path / "bus"))) as client,
        client.websocket("/ws"),
    ):
        backplane = client.get("/health").json["backplane"]

    assert backplane == {"kind": "local", "is_up": True, "siblings": 0, "queued_messages": 0}
