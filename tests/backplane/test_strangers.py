"""Questions and answers of other processes, as somebody sends them who only may publish in the same
Redis.
"""

from __future__ import annotations

import pytest

from tina4_wsgi import App, Router
from tina4_wsgi.engine import presence
from tina4_wsgi.monitoring import live_feed
from tina4_wsgi.testing import TestClient

NUMBERS = [
    5,
    999,
    1004,
    1006,
    1015,
    2_999,
    5_000,
    10**400,
    -1,
    1000.5,
    float("nan"),
    "1008",
    True,
    None,
    [1008],
    {},
]


@pytest.fixture
def client():
    router = Router()

    @router.websocket("/ws/hall")
    def hall(connection, event, data):
        if event == "message":
            connection.send(data)

    app = App(router=router, backplane="none", debug=True)
    with TestClient(app) as client:
        client.asked = lambda question: app._here().answer(question)
        yield client


def answer(client, question):
    return client.asked(question)


@pytest.mark.parametrize("code", NUMBERS, ids=str)
def test_a_close_code_that_may_not_travel_sends_nobody_away(client, code):
    with client.websocket("/ws/hall") as ws:
        assert answer(client, {"ask": "disconnect", "path": "/ws/hall", "code": code}) == {}

        ws.send("still here")
        assert ws.receive() == "still here"


@pytest.mark.parametrize(
    "question",
    [
        {},
        {"ask": None},
        {"ask": "explode"},
        {"ask": ["count"]},
        {"ask": {}},
        {"ask": "count"},
        {"ask": "count", "path": None},
        {"ask": "count", "path": ["/ws/hall"]},
        {"ask": "members", "path": 5},
        {"ask": "members", "path": {"a": 1}},
        {"ask": "disconnect"},
        {"ask": "disconnect", "path": 7},
        {"ask": "disconnect", "id": ["x"]},
        {"ask": "disconnect", "path": "/ws/hall", "reason": {"a": 1}},
        {"ask": "disconnect", "path": None, "id": None, "auth": None},
        {"ask": "find", "path": 1, "text": "x"},
        {"ask": "find", "path": "", "text": ["x"]},
    ],
    ids=str,
)
def test_what_no_process_of_ours_asks_is_answered_with_nothing(client, question):
    with client.websocket("/ws/hall") as ws:
        assert answer(client, question) == {}

        ws.send("still here")
        assert ws.receive() == "still here"


def test_a_question_of_ours_is_answered(client):
    with client.websocket("/ws/hall") as ws:
        assert answer(client, presence.count_question("/ws/hall")) == {"count": 1}
        assert answer(client, live_feed.find_question("", ""))["count"] == 1
        assert answer(
            client, presence.disconnect_question(None, "/ws/hall", None, 4000, "out")
        ) == {"closed": 1}

        assert ws.wait_closed() == (4000, "out")


ROW = {"id": "a", "path": "/x", "route": "/x", "ip": "10.0.0.1", "since_s": 1.0}
PATH = {"path": "/x", "route": "/x", "connections": 1, "queued_bytes": 0}
FOUND = {"rows": [ROW], "count": 1, "paths": [PATH], "path_count": 1}


@pytest.mark.parametrize(
    "change",
    [
        {"rows": 5},
        {"rows": [7]},
        {"rows": [{}]},
        {"rows": [{**ROW, "since_s": "x"}]},
        {"rows": [{**ROW, "since_s": float("nan")}]},
        {"rows": [{**ROW, "since_s": float("inf")}]},
        {"rows": [{**ROW, "path": None}]},
        {"count": "1"},
        {"count": -1},
        {"count": 10**400},
        {"path_count": None},
        {"paths": {"/x": 1}},
        {"paths": [{**PATH, "connections": "9"}]},
        {"paths": [{**PATH, "queued_bytes": 1e400}]},
    ],
    ids=str,
)
def test_what_no_live_page_of_ours_tells_is_left_out(change):
    found = live_feed.found_in([FOUND, {**FOUND, **change}])

    assert found["count"] == 1
    assert found["rows"] == [ROW]
    assert found["paths"] == [PATH]


@pytest.mark.parametrize("count", [-5, 10**30, 1.5, "7", None, [1], float("nan")], ids=str)
def test_a_count_that_can_not_be_is_not_added(count):
    assert presence.counts_in([{"count": 2}, {"count": count}, {"count": 3}]) == 5
