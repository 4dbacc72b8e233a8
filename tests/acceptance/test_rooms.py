"""Ten thousand messages in ten rooms arrive where they belong, under every kind of server."""

from __future__ import annotations

import pytest

from tests.support.crowd import Crowd, Member
from tests.support.site import Site

ROOMS = 10
CLIENTS_PER_ROOM = 5
MESSAGES_PER_CLIENT = 200
MESSAGES_PER_ROOM = CLIENTS_PER_ROOM * MESSAGES_PER_CLIENT
DELIVERIES = ROOMS * CLIENTS_PER_ROOM * MESSAGES_PER_ROOM
PATIENCE_S = 25.0


@pytest.mark.parametrize(
    "path", ["/ws/rooms", "/ws/sleepy"], ids=["at-full-speed", "with-random-naps"]
)
def test_each_client_sees_exactly_its_rooms_messages_once_and_in_each_senders_order(
    site: Site, tag: str, path: str
) -> None:
    with Crowd(site.address) as crowd:
        rooms = {
            room: [
                crowd.join(f"{path}/{tag}-{room}", f"r{room}c{client}")
                for client in range(CLIENTS_PER_ROOM)
            ]
            for room in range(ROOMS)
        }
        crowd.wait_until_open()

        for member in crowd.members:
            for number in range(MESSAGES_PER_CLIENT):
                member.send_text(text_of(member, number))
        crowd.listen_until(lambda: crowd.frame_count >= DELIVERIES, "all deliveries", PATIENCE_S)

        for members in rooms.values():
            expected = {
                sender.name: [text_of(sender, n) for n in range(MESSAGES_PER_CLIENT)]
                for sender in members
            }
            for member in members:
                assert len(member.frames) == MESSAGES_PER_ROOM
                assert by_sender(member) == expected


def text_of(sender: Member, number: int) -> str:
    return f"{sender.name} {number} " + "." * (number % 150)


def by_sender(member: Member) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text in member.texts:
        found.setdefault(text.partition(" ")[0], []).append(text)
    return found


def test_a_newcomer_receives_its_own_join_broadcast_and_a_leaver_not_its_last(
    site: Site, tag: str
) -> None:
    with Crowd(site.address) as crowd:
        ann = crowd.join(f"/ws/guests/{tag}?name=ann")
        crowd.listen_until(lambda: len(ann.frames) == 1, "ann's own join")
        bob = crowd.join(f"/ws/guests/{tag}?name=bob")
        crowd.listen_until(lambda: len(bob.frames) == 1, "bob's own join")

        bob.send_bytes(b"\x88\x82\0\0\0\0\x03\xe8")  # close 1000
        crowd.listen_until(lambda: bob.has_ended and len(ann.frames) == 3, "bob's leaving")

    assert ann.texts == ["ann joined", "bob joined", "bob left"]
    assert bob.texts == ["bob joined"]
    assert [frame.first for frame in bob.frames] == [0x81, 0x88]
