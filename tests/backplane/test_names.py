"""Names of paths and rooms that can't be carried to other processes are refused where they are
given.
"""

from __future__ import annotations

import pytest

from tina4_wsgi import App, Publisher, Router, jsontext
from tina4_wsgi.errors import UsageError
from tina4_wsgi.routing.names import MOST_NAME_BYTES, check_name
from tina4_wsgi.testing import TestClient

HALF = "\ud83d"
BAD = [
    "/a/" + HALF,
    "/\udfff/x",
    "/a\x00b",
    "/a\nb",
    "/tab\there",
    "/del\x7f",
    "/c1\x85",
    "/" + "x" * MOST_NAME_BYTES,
    "/" + "ü" * (MOST_NAME_BYTES // 2),
    b"/bytes",
    7,
    None,
    ["/x"],
]


@pytest.fixture
def app():
    router = Router()

    @router.websocket("/ws/{name:path}")
    def hall(connection, event, data):
        if event != "message":
            return
        order = connection.json(data)
        try:
            getattr(connection, order["do"])(order["name"], *order.get("more", ()))
        except UsageError as exc:
            connection.send(f"refused: {exc}")
        else:
            connection.send("done")

    return App(router=router, backplane="none")


@pytest.mark.parametrize("name", BAD, ids=repr)
def test_what_can_not_be_carried_is_refused(name):
    with pytest.raises(UsageError, match="path"):
        check_name(name)


@pytest.mark.parametrize(
    "name", ["/", "/ws/chat/general", "", "/grüße/日本/🎉", "room 7", "/" + "x" * 2_000]
)
def test_what_can_be_carried_is_given_back(name):
    assert check_name(name) == name


def test_a_subclass_of_str_is_a_name_too():
    class Name(str):
        __slots__ = ()

    assert check_name(Name("/x")) == "/x"


@pytest.mark.parametrize("name", [bad for bad in BAD if bad is not None], ids=repr)
def test_the_calls_of_an_app_refuse_it(app, name):
    for call in (
        lambda: app.broadcast(name, "x"),
        lambda: app.count(name),
        lambda: app.members(name),
        lambda: app.disconnect(path=name),
        lambda: app.disconnect(connection_id=name),
    ):
        with pytest.raises(UsageError):
            call()


@pytest.mark.parametrize("name", BAD, ids=repr)
def test_a_publisher_refuses_it_before_it_looks_for_anybody(tmp_path, name):
    with Publisher(bus_dir=str(tmp_path / "nobody")) as publisher:
        with pytest.raises(UsageError):
            publisher.publish(name, "x")
        with pytest.raises(UsageError, match="room"):
            publisher.publish_to_room(name, "x")


@pytest.mark.parametrize("do", ["join", "leave", "broadcast_to", "broadcast_to_room"])
@pytest.mark.parametrize("name", ["/a\x00", "\x1fa", "x" * 5_000, 5, ["a"]], ids=str)
def test_a_connection_refuses_what_a_client_names(app, do, name):
    with TestClient(app) as client, client.websocket("/ws/x") as ws:
        ws.send_json(
            {"do": do, "name": name, "more": ["text"] if do.startswith("broadcast") else []}
        )

        assert ws.receive().startswith("refused: ")


@pytest.mark.parametrize(
    "text",
    [
        r'"\ud800"',
        r'{"join": "\ud800"}',
        r'{"a": [{"b": "x\udfffy"}]}',
        r'{"k\uDBFF": 1}',
        r'[["\ude00\ud83d"]]',
        '{"a": {"\\ud800": 1}}',
    ],
)
def test_json_that_spells_half_a_pair_is_refused(text):
    for body in (text, text.encode()):
        with pytest.raises(ValueError, match="half of a surrogate pair"):
            jsontext.decode(body)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (r'"\ud83d\ude00"', "😀"),
        (r'"\\ud800"', r"\ud800"),
        ('"grün"', "grün"),
        (r'{"\u00fc": "\ud83d\ude00"}', {"ü": "😀"}),
    ],
)
def test_json_that_spells_whole_pairs_is_read(text, found):
    assert jsontext.decode(text) == jsontext.decode(text.encode()) == found


@pytest.mark.parametrize("path", ["/ws/" + "x" * 3_000, "/ws/" + "%C3%BC" * 1_500])
def test_a_handshake_for_a_name_nobody_could_broadcast_to_is_refused(app, path):
    from tina4_wsgi.testing import HandshakeRefused

    with (
        TestClient(app) as client,
        pytest.raises(HandshakeRefused) as refused,
        client.websocket(path),
    ):
        pass

    assert refused.value.status == 414
