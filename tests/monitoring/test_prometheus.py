"""What `/metrics` tells of one process."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.monitoring.numbers import Numbers
from tina4_wsgi import App, ConfigError, ConnectionClosed, Router
from tina4_wsgi.testing import HandshakeRefused, TestClient

TOKEN = "secret-token"


@pytest.fixture
def router() -> Router:
    router = Router()

    @router.websocket("/ws/chat/{room}")
    def chat(connection: Any, event: str, data: Any) -> None:
        if event == "message" and data == "fail":
            raise RuntimeError("as asked")
        if event == "message" and data == "all":
            connection.broadcast(data)
        elif event == "message" and data == "leave with 4000":
            connection.close(4_000)
        elif event == "message" and data == "hall":
            connection.join("hall")
            connection.broadcast_to_room("hall", data)
        elif event == "message":
            connection.send(data)

    return router


@pytest.fixture
def client(router: Router, tmp_path: Path) -> Iterator[TestClient]:
    app = App(router=router, metrics="/metrics", metrics_dir=str(tmp_path / "numbers"))
    with TestClient(app) as client:
        yield client


def numbers(client: TestClient) -> Numbers:
    response = client.get("/metrics")
    assert response.status_code == 200
    return Numbers(response.text)


def series(told: Numbers) -> set[Any]:
    return {(one.name, *sorted(one.labels.items())) for one in told.samples}


ROUTE = "/ws/chat/{room}"


def test_open_connections_are_told_by_route(client):
    with client.websocket("/ws/chat/a"), client.websocket("/ws/chat/b"):
        told = numbers(client)

    assert told("tina4_connections", route=ROUTE) == 2
    assert told("tina4_connections_opened_total", route=ROUTE) == 2
    assert told("tina4_workers") == 1


def test_messages_and_bytes_are_told_both_ways(client):
    with client.websocket("/ws/chat/a") as one:
        one.send("hello")
        one.receive()
        told = numbers(client)

    assert told("tina4_messages_received_total", route=ROUTE) == 1
    assert told("tina4_messages_sent_total", route=ROUTE) == 1
    assert told("tina4_received_bytes_total", route=ROUTE) == 2 + 4 + 5
    assert told("tina4_sent_bytes_total", route=ROUTE) == 2 + 5


def test_codes_that_clients_choose_are_one_series_and_what_the_app_says_is_told(client):
    for code in (*range(3_000, 3_020), 4_999, 4_000):
        with client.websocket("/ws/chat/a") as one:
            one.close(code)
    with client.websocket("/ws/chat/a") as one:
        one.send("leave with 4000")
        with pytest.raises(ConnectionClosed):
            one.receive()
    told = numbers(client)

    assert told("tina4_closes_total", route=ROUTE, code="other") == 22
    assert told("tina4_closes_total", route=ROUTE, code="4000") == 1
    assert told("tina4_closes_total", route=ROUTE) == 23


@pytest.mark.parametrize("code", [1_000, 1_001, 1_008, 1_011])
def test_codes_of_the_protocol_are_told_whoever_chose_them(client, code):
    with client.websocket("/ws/chat/a") as one:
        one.close(code)

    assert numbers(client)("tina4_closes_total", route=ROUTE, code=str(code)) == 1


def test_nothing_else_that_a_client_sends_makes_a_series(client):
    def visit(number):
        client.get(f"/nothing/{number}")
        with pytest.raises(HandshakeRefused):
            client.websocket(f"/ws/nothing/{number}", headers={"User-Agent": f"agent {number}"})
        with client.websocket(f"/ws/chat/{number}", subprotocols=[f"p{number}"]) as one:
            one.send(f"hello {number}")
            one.receive()
            one.close(1_000, f"reason {number}")

    visit(0)
    before = series(numbers(client))

    for number in range(1, 20):
        visit(number)

    assert series(numbers(client)) == before


def test_a_broadcast_counts_once_for_every_receiver(client):
    with client.websocket("/ws/chat/a") as one, client.websocket("/ws/chat/a") as two:
        one.send("all")
        one.receive()
        two.receive()
        told = numbers(client)

    assert told("tina4_broadcasts_total", kind="path") == 1
    assert told("tina4_messages_sent_total", route=ROUTE) == 2
    assert told("tina4_fanout_members_sum") == 2
    assert told("tina4_flush_seconds_count") == 1


def test_a_broadcast_to_a_room_counts_too(client):
    with client.websocket("/ws/chat/a") as one:
        one.send("hall")
        one.receive()
        told = numbers(client)

    assert told("tina4_broadcasts_total", kind="room") == 1
    assert told("tina4_messages_sent_total", route=ROUTE) == 1
    assert told("tina4_fanout_members_count") == 1


def test_what_has_gone_stays_counted(client):
    with client.websocket("/ws/chat/a") as one:
        one.send("hello")
        one.receive()
        one.close(1_000)
    told = numbers(client)

    assert told("tina4_connections", route=ROUTE) == 0
    assert told("tina4_closes_total", route=ROUTE, code="1000") == 1
    assert told("tina4_messages_received_total", route=ROUTE) == 1
    assert told("tina4_messages_sent_total", route=ROUTE) == 1


def test_callbacks_that_raise_are_counted(router, tmp_path, caplog):
    caplog.set_level(logging.CRITICAL)
    app = App(router=router, metrics="/metrics", metrics_dir=str(tmp_path / "numbers"))
    with TestClient(app, raise_errors=False) as client, client.websocket("/ws/chat/a") as one:
        one.send("fail")
        one.send("after")
        one.receive()
        told = numbers(client)

    assert told("tina4_callback_errors_total", route=ROUTE) == 1


def test_the_time_of_every_callback_is_in_a_bucket(client):
    with client.websocket("/ws/chat/a") as one:
        one.send("hello")
        one.receive()
        told = numbers(client)

    assert told("tina4_callback_seconds_count", route=ROUTE, event="open") == 1
    assert told("tina4_callback_seconds_count", route=ROUTE, event="message") == 1
    assert told("tina4_callback_seconds_bucket", route=ROUTE, event="message", le="+Inf") == 1
    assert told("tina4_callback_seconds_sum", route=ROUTE, event="message") > 0


def test_refused_handshakes_are_told_by_status(client):
    with pytest.raises(Exception, match="404"):
        client.websocket("/nowhere").__enter__()
    told = numbers(client)

    assert told("tina4_handshakes_refused_total", status="404") == 1


def test_labels_are_routes_and_never_paths_or_tokens(client):
    with client.websocket(f"/ws/chat/general?token={TOKEN}") as one:
        one.send(TOKEN)
        one.receive()
        told = numbers(client)

    assert not [value for value in told.label_values if "general" in value or TOKEN in value]


def test_who_asks_for_openmetrics_gets_it(client):
    response = client.get(
        "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}
    )

    assert response.headers["Content-Type"].startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")


def test_it_is_not_kept_by_caches(client):
    assert client.get("/metrics").headers["Cache-Control"] == "no-store"


def test_it_can_only_be_read(client):
    response = client.post("/metrics")

    assert response.status_code == 405
    assert response.headers["Allow"] == "GET, HEAD, OPTIONS"


def test_a_legacy_app_keeps_the_address_unless_asked(router):
    def legacy(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"legacy " + environ["PATH_INFO"].encode()]

    with TestClient(App(legacy, router=router)) as client:
        answers = [client.get(path).text for path in ("/metrics", "/health", "/__tina4/live")]

    assert answers == ["legacy /metrics", "legacy /health", "legacy /__tina4/live"]


def test_no_times_are_taken_without_the_setting(router):
    app = App(router=router)
    with TestClient(app) as client, client.websocket("/ws/chat/a"):
        (engine,) = app.monitor().process.engines
        (connection,) = engine.connections
        times = connection._lifecycle.service.tally.callback_times

    assert engine.meter is None
    assert times == {}


@pytest.mark.parametrize("setting", ["metrics", "health"])
def test_a_path_without_a_slash_is_refused(setting):
    with pytest.raises(
        ConfigError, match=f"{setting}='x', expected a path that begins with a slash"
    ):
        App(router=Router(), **{setting: "x"})


def test_two_pages_at_one_address_are_refused():
    with pytest.raises(ConfigError, match="health='/m' is the address of metrics too"):
        App(router=Router(), metrics="/m", health="/m")


def test_without_the_library_the_set_up_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)

    with pytest.raises(ConfigError, match=r"pip install 'tina4-wsgi\[metrics\]'"):
        App(router=Router(), metrics="/metrics")


def test_a_folder_of_somebody_else_is_told_in_the_log_and_by_503(router, tmp_path, caplog):
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with TestClient(App(router=router, metrics="/metrics", metrics_dir=str(folder))) as client:
        response = client.get("/metrics")

    assert response.status_code == 503
    assert "that this user alone may write to" in caplog.text


def test_the_way_to_other_processes_is_told(client):
    with client.websocket("/ws/chat/a"):
        told = numbers(client)

    assert told("tina4_backplane_up", kind="local") == 1
    assert told("tina4_backplane_dropped_messages_total", kind="local") == 0
