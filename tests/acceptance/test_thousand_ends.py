"""After a thousand connections that ended in every way, the server holds what it held before."""

from __future__ import annotations

import pytest

from tests.support.crowd import Crowd, Member
from tests.support.raw import CLOSE, TEXT, client_frame
from tests.support.site import Details, Site

CONNECTIONS = 1_000
AT_ONCE = 100
SPARE_WORKERS = 16  # what the pool keeps for the next traffic
SETTLED_S = 15.0

HELD = ("connections", "paths", "rooms", "greenlets", "descriptors")

QUERIES = (
    "",
    "",
    "",
    "",
    "open=raise",
    "message=close:4000:x",
    "open=close:4001:y",
    "close=raise",
    "close=close:4002:z",
)


@pytest.mark.deadline(60)
def test_nothing_is_left_of_a_thousand_connections_that_ended_in_every_way(
    site: Site, tag: str
) -> None:
    live_and_die(site, f"{tag}-warm", AT_ONCE)
    before = settled(site)

    for batch in range(CONNECTIONS // AT_ONCE):
        live_and_die(site, f"{tag}-{batch}", AT_ONCE)
    after = settled(site)

    assert {name: after[name] for name in HELD} == {name: before[name] for name in HELD}
    assert after["connections"] == after["paths"] == 0
    assert after["workers"] <= SPARE_WORKERS


def test_no_connection_object_outlives_its_connection(site: Site, tag: str) -> None:
    live_and_die(site, tag, AT_ONCE)

    settled(site)
    # Where callbacks run in threads of their own, the last of them may be letting go just now.
    site.wait_for_state(lambda state: not state["objects"], SETTLED_S)


def live_and_die(site: Site, tag: str, count: int) -> None:
    """Open so many connections at once, say something on each, and end them in every way."""
    with Crowd(site.address) as crowd:
        for number in range(count):
            crowd.join(
                f"/ws/ends/p{number % 7}?tag={tag}-{number}&{QUERIES[number % len(QUERIES)]}"
            )
        crowd.wait_until_open()
        for member in crowd.members:
            member.send_text("a")
        crowd.listen_until(
            lambda: all(member.frames for member in crowd.members), "a first frame each"
        )
        for number, member in enumerate(crowd.members):
            ENDS[number % len(ENDS)](crowd, member)
        crowd.listen_until(lambda: all(member.has_ended for member in crowd.members), "all ends")


def say_goodbye(crowd: Crowd, member: Member) -> None:
    member.send_bytes(client_frame(CLOSE, b"\x03\xe8"))


def break_the_rules(crowd: Crowd, member: Member) -> None:
    member.send_bytes(client_frame(TEXT, b"unmasked", mask=b""))


def raise_in_message(crowd: Crowd, member: Member) -> None:
    member.send_text("end me")
    say_goodbye(crowd, member)


def reset_in_mid_frame(crowd: Crowd, member: Member) -> None:
    member.send_bytes(client_frame(TEXT, b"never whole")[:-4])
    member.write()
    crowd.reset(member)


ENDS = (
    say_goodbye,
    Crowd.close,
    Crowd.reset,
    break_the_rules,
    raise_in_message,
    reset_in_mid_frame,
)


def settled(site: Site) -> Details:
    """Wait until the last connection is forgotten, its socket closed, and the pool trimmed."""
    return site.wait_for_state(
        lambda state: (
            not state["connections"] and not state["settling"] and state["workers"] <= SPARE_WORKERS
        ),
        SETTLED_S,
    )
