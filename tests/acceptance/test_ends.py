"""However a connection ends: "open" first, then its messages, then "close" once, with the right
code.
"""

from __future__ import annotations

import socket
import struct
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.support.raw import BINARY, CLOSE, CONTINUATION, TEXT, RawClient, client_frame
from tests.support.servers import ROOT
from tests.support.site import Site

BURST = 300  # the default limit is 64
OPEN_AND_TWO = ["open", "message: a", "message: b"]

KILLED_CLIENT = """
import sys
from tests.support.raw import RawClient
client = RawClient.open((sys.argv[1], int(sys.argv[2])), sys.argv[3])
client.send_text("a")
client.read_text()
print("ready", flush=True)
sys.stdin.read()
"""


def open_client(site: Site, tag: str, query: str = "", path: str = "/ws/ends/here") -> RawClient:
    return RawClient.open(site.address, f"{path}?tag={tag}&{query}")


def say_a_and_b(client: RawClient) -> None:
    """Send two messages in one segment and await both replies."""
    client.send_bytes(client_frame(TEXT, b"a") + client_frame(TEXT, b"b"))
    assert [client.read_text(), client.read_text()] == ["heard a", "heard b"]


def assert_ended(site: Site, tag: str, before: list[str], code: int, reason: str = "") -> None:
    """Hold that exactly these events came and then one "close", which saw the code and the
    reason.
    """
    close = site.journal.wait_for(tag, "close")
    # Whatever might still come to this connection comes before what comes to a later one.
    with open_client(site, f"{tag}-fence") as fence:
        fence.send_close()
        fence.read_to_end()
    site.journal.wait_for(f"{tag}-fence", "close")

    assert site.journal.events(tag) == [*before, "close"]
    assert (close["code"], close["reason"], close["data"], close["closed"]) == (
        code,
        reason,
        "",
        True,
    )


def test_a_close_frame_is_echoed_and_close_sees_its_code_and_reason(site: Site, tag: str) -> None:
    with open_client(site, tag) as client:
        say_a_and_b(client)
        client.send_close(4321, b"enough")

        assert client.read_frame() == (0x88, struct.pack("!H", 4321))
        assert client.read_to_end() == b""

    assert_ended(site, tag, OPEN_AND_TWO, 4321, "enough")


def test_messages_that_came_before_the_close_frame_are_all_handled_first(
    site: Site, tag: str
) -> None:
    with open_client(site, tag) as client:
        client.send_bytes(
            client_frame(TEXT, b"a") + client_frame(TEXT, b"b") + client_frame(CLOSE, b"\x03\xe8")
        )

        assert [client.read_text(), client.read_text(), client.read_close()] == [
            "heard a",
            "heard b",
            1000,
        ]

    assert_ended(site, tag, OPEN_AND_TWO, 1000)


def send_close(client: RawClient) -> None:
    client.send_close(1000)


def shut_writing(client: RawClient) -> None:
    client.socket.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize(("leave", "code"), [(send_close, 1000), (shut_writing, 1006)])
def test_a_burst_beyond_the_inbound_limit_is_handled_whole_before_the_end(
    site: Site, tag: str, leave: Callable[[RawClient], None], code: int
) -> None:
    with open_client(site, tag) as client:
        client.send_bytes(b"".join(client_frame(TEXT, b"%d" % number) for number in range(BURST)))
        leave(client)

        assert [client.read_text() for _ in range(BURST)] == [
            f"heard {number}" for number in range(BURST)
        ]

    assert_ended(site, tag, ["open", *(f"message: {number}" for number in range(BURST))], code)


def test_a_close_frame_without_a_code_is_1005(site: Site, tag: str) -> None:
    with open_client(site, tag) as client:
        client.send_frame(CLOSE)

        assert client.read_frame() == (0x88, b"")

    assert_ended(site, tag, ["open"], 1005)


def half_a_frame_then(end: Callable[[RawClient], None]) -> Callable[[RawClient], None]:
    def leave(client: RawClient) -> None:
        client.send_bytes(client_frame(TEXT, b"never whole")[:-4])
        end(client)

    return leave


def half_a_message_then(end: Callable[[RawClient], None]) -> Callable[[RawClient], None]:
    def leave(client: RawClient) -> None:
        client.send_bytes(
            client_frame(TEXT, b"never", fin=False)
            + client_frame(CONTINUATION, b"whole", fin=False)
        )
        end(client)

    return leave


@pytest.mark.parametrize(
    "leave",
    [
        pytest.param(shut_writing, id="shut-down"),
        pytest.param(RawClient.close, id="closed"),
        pytest.param(RawClient.reset, id="reset"),
        pytest.param(half_a_frame_then(RawClient.close), id="half-a-frame-closed"),
        pytest.param(half_a_frame_then(RawClient.reset), id="half-a-frame-reset"),
        pytest.param(half_a_message_then(RawClient.reset), id="half-a-message-reset"),
    ],
)
def test_a_client_that_leaves_without_a_word_is_1006(
    site: Site, tag: str, leave: Callable[[RawClient], None]
) -> None:
    with open_client(site, tag) as client:
        say_a_and_b(client)
        leave(client)

        assert_ended(site, tag, OPEN_AND_TWO, 1006)


def test_replies_still_reach_a_client_that_has_only_stopped_sending(site: Site, tag: str) -> None:
    with open_client(site, tag) as client:
        client.send_bytes(client_frame(TEXT, b"a") + client_frame(TEXT, b"b"))
        shut_writing(client)

        assert client.read_to_end() == b"\x81\x07heard a\x81\x07heard b"

    assert_ended(site, tag, OPEN_AND_TWO, 1006)


def test_a_killed_client_is_1006(site: Site, tag: str) -> None:
    command = [
        sys.executable,
        "-c",
        KILLED_CLIENT,
        *map(str, site.address),
        f"/ws/ends/here?tag={tag}",
    ]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.kill()

    assert_ended(site, tag, ["open", "message: a"], 1006)


def test_an_exception_in_open_is_1011_and_no_message_is_handled(site: Site, tag: str) -> None:
    with open_client(site, tag, "open=raise") as client:
        client.send_text("a")

        assert client.read_frame() == (0x88, struct.pack("!H", 1011) + b"internal error")
        client.send_close(1011)
        assert client.read_to_end() == b""

    assert_ended(site, tag, ["open"], 1011, "internal error")


def test_an_exception_in_message_leaves_the_connection_open(site: Site, tag: str) -> None:
    with open_client(site, tag) as client:
        client.send_text("end me")
        say_a_and_b(client)
        client.send_close()
        assert client.read_close() == 1000

    assert_ended(site, tag, ["open", "message: end me", "message: a", "message: b"], 1000)


def test_an_exception_in_message_is_1011_where_the_route_wants_it(site: Site, tag: str) -> None:
    with open_client(site, tag, path="/ws/strict/here") as client:
        client.send_bytes(client_frame(TEXT, b"end me") + client_frame(TEXT, b"a"))

        assert client.read_close() == 1011
        client.send_close(1011)
        assert client.read_to_end() == b""

    assert_ended(site, tag, ["open", "message: end me"], 1011, "internal error")


def test_an_exception_in_close_harms_nobody(site: Site, tag: str) -> None:
    with open_client(site, tag, "close=raise") as client:
        say_a_and_b(client)
        client.send_close(4000, b"enough")

        assert client.read_close() == 4000

    assert_ended(site, tag, OPEN_AND_TWO, 4000, "enough")


def test_close_called_in_open_ends_the_connection(site: Site, tag: str) -> None:
    with open_client(site, tag, "open=close:4401:no+token") as client:
        client.send_text("a")

        assert client.read_frame() == (0x88, struct.pack("!H", 4401) + b"no token")
        client.send_close(4401)
        assert client.read_to_end() == b""

    assert_ended(site, tag, ["open"], 4401, "no token")


def test_close_called_in_message_ends_the_connection_and_drops_what_waits(
    site: Site, tag: str
) -> None:
    with open_client(site, tag, "message=close:4000:enough") as client:
        client.send_bytes(client_frame(TEXT, b"a") + client_frame(TEXT, b"b"))

        assert client.read_text() == "heard a"
        assert client.read_close() == 4000
        client.send_close(1000)
        assert client.read_to_end() == b""

    assert_ended(site, tag, ["open", "message: a"], 4000, "enough")


def test_close_called_in_close_changes_nothing(site: Site, tag: str) -> None:
    with open_client(site, tag, "close=close:4000:again") as client:
        client.send_close(1000, b"enough")

        assert client.read_close() == 1000
        assert client.read_to_end() == b""

    assert_ended(site, tag, ["open"], 1000, "enough")


@pytest.mark.parametrize("leave", [RawClient.close, RawClient.reset])
def test_a_client_that_vanishes_instead_of_answering_our_close_frame_leaves_our_code(
    site: Site, tag: str, leave: Callable[[RawClient], None]
) -> None:
    with open_client(site, tag, "open=close:4000:enough") as client:
        assert client.read_close() == 4000
        leave(client)

    assert_ended(site, tag, ["open"], 4000, "enough")


def test_sending_after_the_end_raises_connection_closed(site: Site, tag: str) -> None:
    with open_client(site, tag, "message=close-and-send&close=close-and-send") as client:
        client.send_text("a")

        assert client.read_text() == "heard a"
        assert client.read_close() == 1000
        client.send_close()
        client.read_to_end()

    site.journal.wait_for(tag, "refused", count=2)
    events = [line["event"] for line in site.journal.lines(tag)]
    assert events == ["open", "message", "refused", "close", "refused"]


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        pytest.param(client_frame(TEXT, b"a", mask=b""), 1002, id="unmasked"),
        pytest.param(client_frame(0x3, b"a"), 1002, id="reserved-opcode"),
        pytest.param(client_frame(TEXT, b"\xc3("), 1007, id="not-utf-8"),
        pytest.param(client_frame(BINARY, bytes(65_537)), 1009, id="too-big"),
    ],
)
def test_a_fault_of_the_client_ends_with_its_code_after_the_messages_before_it(
    site: Site, tag: str, frame: bytes, code: int
) -> None:
    with open_client(site, tag) as client:
        client.send_bytes(client_frame(TEXT, b"a") + client_frame(TEXT, b"b") + frame)

        assert [client.read_text(), client.read_text(), client.read_close()] == [
            "heard a",
            "heard b",
            code,
        ]
        client.read_to_end()

    close = site.journal.wait_for(tag, "close")
    assert_ended(site, tag, OPEN_AND_TWO, code, close["reason"])
    assert close["reason"]
