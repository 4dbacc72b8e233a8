"""Peers that are slow, greedy or silent cost neither memory nor anybody else's messages.

The settings are in conftest.TIGHT_LIMITS.
"""

from __future__ import annotations

import select
import socket
import time

from tests.support.crowd import Crowd, Member
from tests.support.raw import CLOSE, PING, PONG, TEXT, RawClient, client_frame
from tests.support.site import Site

SMALL_BUFFER_BYTES = 16_384
LARGE_TEXT_BYTES = 60_000
LARGE_TEXTS = 250  # 15 MB: mostly more than the kernel's buffers and the outbound limit together
MOST_TEXTS = (
    2_000  # 120 MB: the buffers of one connection grow to some 40 MB where the kernel is generous
)
ENDLESS_BYTES = 32 << 20  # more than the kernel's buffers hold in both directions
PING_BYTES = 16 << 20  # their pongs would take as much memory; pings are always read
FLAT_BYTES = 8 << 20
STUCK_S = 0.3  # no byte taken for so long: reading has stopped


def open_deaf(crowd: Crowd, path: str, name: str) -> Member:
    """Connect a client that reads its 101 and then nothing any more."""
    member = crowd.join(path, name, receive_buffer_bytes=SMALL_BUFFER_BYTES)
    crowd.wait_until_open()
    member.is_listening = False
    return member


def listen_to_the_end(crowd: Crowd, member: Member) -> None:
    """Read what a deaf member was sent, to the close frame or the end of its stream."""
    crowd.listen_to(member)
    crowd.listen_until(
        lambda: member.has_ended or member.close_frame is not None, "the end of a deaf client"
    )


def test_a_client_that_never_reads_is_closed_with_1013_and_the_others_lose_nothing(
    tight_site: Site, tag: str
) -> None:
    with Crowd(tight_site.address) as crowd:
        deaf = open_deaf(crowd, f"/ws/loud/{tag}?tag={tag}", "deaf")
        sender, *others = (crowd.join(f"/ws/loud/{tag}", name) for name in ("sender", "ann", "bob"))
        crowd.wait_until_open()

        for number in range(LARGE_TEXTS):
            sender.send_text(large_text(number))
            crowd.listen_until(
                lambda number=number: all(len(one.frames) > number for one in (sender, *others)),
                "the others' copy",
            )

        close = tight_site.journal.wait_for(tag, "close")
        assert (close["code"], close["reason"]) == (1013, "slow consumer")
        for member in (sender, *others):
            assert member.texts == [large_text(number) for number in range(LARGE_TEXTS)]
        listen_to_the_end(crowd, deaf)
        assert deaf.texts == [large_text(number) for number in range(len(deaf.texts))]
        assert deaf.was_reset or (
            deaf.close_frame is not None and deaf.close_frame.close_code == 1013
        )
    assert tight_site.journal.events(tag) == ["open", "close"]


def large_text(number: int) -> str:
    return f"{number} ".ljust(LARGE_TEXT_BYTES, chr(97 + number % 26))


def test_a_client_that_sends_much_before_it_reads_is_made_to_wait_and_loses_nothing(
    tight_site: Site, tag: str
) -> None:
    with Crowd(tight_site.address) as crowd:
        sender = open_deaf(crowd, f"/ws/loud/{tag}?tag={tag}", "sender")
        count = send_until_unsent(crowd, sender)

        crowd.listen_to(sender)
        crowd.listen_until(lambda: len(sender.frames) >= count, "all that was sent")

        assert sender.texts == [large_text(number) for number in range(count)]
    assert tight_site.journal.wait_for(tag, "close")["code"] == 1006


def send_until_unsent(crowd: Crowd, member: Member) -> int:
    """Have a member send texts until the kernel takes no more of them, and give how many it was
    given.
    """
    for count in range(LARGE_TEXTS, MOST_TEXTS, LARGE_TEXTS):
        for number in range(count - LARGE_TEXTS, count):
            member.send_text(large_text(number))
        wait_until_stuck(crowd, member)
        if member.unsent_bytes:
            return count
    raise AssertionError("whatever is sent, it is read")


def wait_until_stuck(crowd: Crowd, member: Member) -> None:
    """Let a member send until the kernel takes no more of it, or has it all."""
    unsent_bytes, progressed_at = 0, time.monotonic()

    def is_stuck() -> bool:
        nonlocal unsent_bytes, progressed_at
        if member.unsent_bytes != unsent_bytes:
            unsent_bytes, progressed_at = member.unsent_bytes, time.monotonic()
        return time.monotonic() - progressed_at > STUCK_S

    crowd.listen_until(is_stuck, "a sender that is stuck")


def send_until_stuck(client: RawClient, piece: bytes, most_bytes: int) -> int:
    """Send the same bytes again and again until nobody takes them any more, and give how many were
    taken.
    """
    client.socket.setblocking(False)
    taken, offset, progressed_at = 0, 0, time.monotonic()
    while time.monotonic() - progressed_at < STUCK_S and taken < most_bytes:
        try:
            sent = client.socket.send(piece[offset:])
        except BlockingIOError:
            select.select([], [client.socket], [], STUCK_S)
            continue
        except ConnectionError:
            break
        taken, offset, progressed_at = taken + sent, (offset + sent) % len(piece), time.monotonic()
    return taken


def growth_while_sending(
    site: Site, client: RawClient, piece: bytes, most_bytes: int = ENDLESS_BYTES
) -> tuple[int, int]:
    """Send until stuck; give what was taken, and by how much the server grew."""
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER_BYTES)
    before = site.state()["resident_bytes"]
    taken = send_until_stuck(client, piece, most_bytes)
    return taken, site.state()["resident_bytes"] - before


def test_a_client_that_is_faster_than_its_callback_is_not_read_any_further(
    tight_site: Site, tag: str
) -> None:
    with RawClient.open(tight_site.address, f"/ws/napping/{tag}") as client:
        taken, grown = growth_while_sending(tight_site, client, client_frame(TEXT, bytes(60_000)))

        tight_site.request("POST", f"/wake/{tag}")
        assert taken < ENDLESS_BYTES
        assert grown < FLAT_BYTES


def test_a_client_that_never_reads_its_echoes_is_not_read_any_further(
    tight_site: Site, tag: str
) -> None:
    with RawClient.open(tight_site.address, f"/ws/echo/x?tag={tag}") as client:
        taken, grown = growth_while_sending(tight_site, client, client_frame(TEXT, bytes(60_000)))

        assert taken < ENDLESS_BYTES
        assert grown < FLAT_BYTES
        assert tight_site.journal.wait_for(tag, "close")["code"] == 1013


def test_a_callback_that_sends_without_end_to_a_deaf_client_gets_connection_closed(
    tight_site: Site, tag: str
) -> None:
    with RawClient.open(tight_site.address, f"/ws/flooding/x?tag={tag}") as client:
        client.send_text("so short that the kernel takes a frame whole or not at all")

        close = tight_site.journal.wait_for(tag, "close")

        assert (close["code"], close["reason"]) == (1013, "slow consumer")
        assert [line["event"] for line in tight_site.journal.lines(tag)] == [
            "open",
            "refused",
            "message",
            "close",
        ]


def test_pings_without_end_whose_pongs_are_never_read_cost_no_memory(
    tight_site: Site, tag: str
) -> None:
    with RawClient.open(tight_site.address, f"/ws/echo/{tag}") as client:
        _, grown = growth_while_sending(
            tight_site, client, client_frame(PING, bytes(125)) * 500, PING_BYTES
        )

        assert grown < FLAT_BYTES


def test_a_peer_that_answers_no_ping_is_given_up_with_1006(tight_site: Site, tag: str) -> None:
    with RawClient.open(tight_site.address, f"/ws/pinged/x?tag={tag}") as client:
        assert client.read_frame() == (0x80 | PING, b"")
        close = tight_site.journal.wait_for(tag, "close")

        assert (close["code"], close["reason"]) == (1006, "no pong")
        assert client.read_to_end() == b""
    assert tight_site.journal.events(tag) == ["open", "close"]


def test_a_peer_that_answers_pings_or_sends_messages_stays(tight_site: Site, tag: str) -> None:
    path = f"/ws/pinged/x?tag={tag}"
    with (
        RawClient.open(tight_site.address, path) as answering,
        RawClient.open(tight_site.address, path) as talking,
    ):
        for _ in range(3):
            assert answering.read_frame() == (0x80 | PING, b"")
            answering.send_frame(PONG)
            assert talking.read_frame() == (0x80 | PING, b"")
            talking.send_text("still here")
        for client in (answering, talking):
            client.send_close()

            assert client.read_close() == 1000


def test_a_peer_that_never_answers_our_close_frame_is_cut_in_time(
    tight_site: Site, tag: str
) -> None:
    with RawClient.open(tight_site.address, f"/ws/parting/x?tag={tag}") as client:
        assert client.read_close() == 4000
        close = tight_site.journal.wait_for(tag, "close")

        assert (close["code"], close["reason"]) == (4000, "enough")
        assert client.read_to_end() == b""


def test_a_ping_is_answered_while_the_callback_naps(tight_site: Site) -> None:
    with RawClient.open(tight_site.address, "/ws/napping/other") as client:
        client.send_bytes(
            client_frame(TEXT, b"a") * 3 + client_frame(PING, b"7") + client_frame(CLOSE)
        )

        assert client.read_frame() == (0x80 | PONG, b"7")
        assert client.read_frame() == (0x80 | CLOSE, b"")
