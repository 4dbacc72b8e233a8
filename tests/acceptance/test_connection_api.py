"""What a connection offers its callback, seen from the wire."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tests.support.raw import BINARY, RawClient
from tests.support.site import Connect, Site

THREADS = 4
MESSAGES_PER_THREAD = 250


def command(client: RawClient, *words: object) -> None:
    """Have one method called; what it sends comes before the "ok"."""
    client.send_text(json.dumps(words))


def heard(client: RawClient) -> list[str]:
    """Give what came since, up to the "ok" of a command that does nothing."""
    return do(client, "leave", "no such room")


def do(client: RawClient, *words: object) -> list[str]:
    """Have one method called and give what came to this client before its "ok"."""
    command(client, *words)
    texts = []
    while (text := client.read_text()) != "ok":
        texts.append(text)
    return texts


def about(connect: Connect, path: str, fields: list[tuple[str, str]]) -> Any:
    client = connect(path, [("X-Colour", "blue"), *fields])
    client.send_text("who am I?")
    return json.loads(client.read_text())


def test_a_connection_knows_how_it_was_opened(connect: Connect) -> None:
    path = "/ws/about/J%C3%BCrgen%20%26%20co/7?a=1&b=%C3%A9+x&a=2&empty="

    said = about(connect, path, [("Cookie", "session=abc; theme=dark")])

    assert said["by_attribute"] == said["by_item"] == ["Jürgen & co", 7]
    assert said["path"] == "/ws/about/Jürgen & co/7"
    assert said["query"] == {"a": ["1", "2"], "b": ["é x"], "empty": [""]}
    assert said["header"] == "blue"
    assert said["cookies"] == {"session": "abc", "theme": "dark"}
    assert said["ip"] == "127.0.0.1"
    assert (said["subprotocol"], said["auth"], said["closed"], said["close_code"]) == (
        None,
        None,
        False,
        None,
    )
    age = datetime.now(timezone.utc) - datetime.fromisoformat(said["connected_at"])
    assert timedelta(seconds=-1) < age < timedelta(minutes=1)


def test_ids_are_of_128_bits_and_differ(connect: Connect) -> None:
    ids = {about(connect, "/ws/about/x/1", [])["id"] for _ in range(20)}

    assert len(ids) == 20
    assert all(len(bytes.fromhex(one)) == 16 for one in ids)


def test_the_first_subprotocol_of_the_clients_list_that_the_route_speaks_is_chosen(
    site: Site,
) -> None:
    with RawClient.dial(site.address) as client:
        head = client.upgrade(
            "/ws/about/x/1",
            [("Sec-WebSocket-Protocol", "chat, chat.v2, soap"), ("X-Colour", "red")],
        )
        client.send_text("which?")

        assert head.headers["sec-websocket-protocol"] == "chat.v2"
        assert json.loads(client.read_text())["subprotocol"] == "chat.v2"


def test_without_a_common_subprotocol_none_is_answered(site: Site) -> None:
    with RawClient.dial(site.address) as client:
        head = client.upgrade("/ws/about/x/1", [("Sec-WebSocket-Protocol", "chat")])

        assert "sec-websocket-protocol" not in head.headers


def test_what_auth_gives_becomes_the_connections(connect: Connect) -> None:
    assert about(connect, "/ws/members/x/1?token=ann", [])["auth"] == {"user": "ann"}


def test_state_belongs_to_one_connection(connect: Connect, tag: str) -> None:
    ann, bob = connect(f"/ws/commands/{tag}"), connect(f"/ws/commands/{tag}")

    do(ann, "remember", "name", "ann")
    (of_bob,) = do(bob, "remember", "colour", "red")
    (of_ann,) = do(ann, "remember", "age", 7)

    assert json.loads(of_bob) == {"colour": "red"}
    assert json.loads(of_ann) == {"name": "ann", "age": 7}


def test_bytes_travel_as_binary(connect: Connect, tag: str) -> None:
    client = connect(f"/ws/commands/{tag}")

    command(client, "send-bytes", "\0 raw")

    assert client.read_frame() == (0x80 | BINARY, b"\0 raw")


def test_a_broadcast_reaches_everybody_on_the_path_and_nobody_else(
    connect: Connect, tag: str
) -> None:
    ann, bob, eve = (
        connect(f"/ws/commands/{tag}"),
        connect(f"/ws/commands/{tag}"),
        connect(f"/ws/commands/{tag}-2"),
    )

    assert do(ann, "all", "hello") == ["hello"]
    assert heard(bob) == ["hello"]
    assert heard(eve) == []


def test_a_path_with_and_without_a_slash_at_the_end_is_one_group(
    connect: Connect, tag: str
) -> None:
    ann, bob = connect(f"/ws/commands/{tag}"), connect(f"/ws/commands/{tag}/")

    do(ann, "all", "hello")

    assert heard(bob) == ["hello"]


def test_exclude_self_leaves_the_sender_out(connect: Connect, tag: str) -> None:
    ann, bob = connect(f"/ws/commands/{tag}"), connect(f"/ws/commands/{tag}")

    assert do(ann, "others", "hello") == []
    assert heard(bob) == ["hello"]


def test_broadcast_to_reaches_another_path(connect: Connect, tag: str) -> None:
    ann, bob, eve = (
        connect(f"/ws/commands/{tag}"),
        connect(f"/ws/commands/{tag}"),
        connect(f"/ws/commands/{tag}-2"),
    )

    assert do(ann, "to", f"/ws/commands/{tag}-2", "hello") == []
    assert heard(bob) == []
    assert heard(eve) == ["hello"]


def test_a_room_spans_paths_and_can_be_left(connect: Connect, tag: str) -> None:
    ann, bob, eve = (connect(f"/ws/commands/{tag}-{number}") for number in range(3))
    for client in (ann, bob):
        do(client, "join", tag)
        do(client, "join", tag)  # twice is once

    assert do(ann, "tell", tag, "both") == ["both"]
    assert do(ann, "tell-others", tag, "bob only") == []
    assert do(eve, "tell", tag, "from outside") == []
    assert do(bob, "leave", tag) == ["both", "bob only", "from outside"]
    assert do(ann, "tell", tag, "ann only") == ["from outside", "ann only"]

    assert heard(bob) == heard(eve) == []


def test_a_client_that_ends_leaves_its_rooms(site: Site, connect: Connect, tag: str) -> None:
    leaver = connect(f"/ws/commands/{tag}")
    do(leaver, "join", tag)
    assert site.state()["rooms"] == 1
    leaver.send_close()
    leaver.read_to_end()

    assert site.wait_for_state(lambda state: state["rooms"] == 0)


def test_sends_from_native_threads_arrive_whole_and_each_thread_in_order(
    connect: Connect, tag: str
) -> None:
    client = connect(f"/ws/commands/{tag}")

    command(client, "send-from-threads", THREADS, MESSAGES_PER_THREAD)
    texts = [client.read_text() for _ in range(THREADS * MESSAGES_PER_THREAD + 1)]

    texts.remove("ok")
    assert_all_in_order(texts)


def test_sends_from_greenlets_arrive_whole_and_each_greenlet_in_order(
    connect: Connect, tag: str
) -> None:
    client = connect(f"/ws/commands/{tag}")

    assert_all_in_order(do(client, "send-from-greenlets", THREADS, MESSAGES_PER_THREAD))


def assert_all_in_order(texts: list[str]) -> None:
    for thread in range(THREADS):
        numbers = [int(number) for name, number in map(str.split, texts) if name == str(thread)]
        assert numbers == list(range(MESSAGES_PER_THREAD))


@pytest.mark.parametrize("pieces", ["whole", "byte by byte"])
def test_frames_right_behind_the_handshake_are_not_lost(site: Site, tag: str, pieces: str) -> None:
    request = (
        f"GET /ws/ends/early?tag={tag} HTTP/1.1\r\nHost: {site.address[0]}:{site.address[1]}\r\n"
        "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()
    data = request + b"\x81\x81\0\0\0\0a\x81\x81\0\0\0\0b"
    with RawClient.dial(site.address) as client:
        for piece in (
            [data] if pieces == "whole" else [data[at : at + 1] for at in range(len(data))]
        ):
            client.send_bytes(piece)

        assert client.read_head().headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert [client.read_text(), client.read_text()] == ["heard a", "heard b"]
