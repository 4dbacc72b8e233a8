"""What a client names itself or its path never makes a second line of the log, nor moves a
terminal's cursor.
"""

from __future__ import annotations

import pytest

from tests.support.hostile import read_to_fin
from tests.support.raw import TEXT, RawClient
from tests.support.site import Site

FORGED = "ERROR forged line"


TRICKS = ("%0A", "%0D%0A", "%0D", "%1B%5B2J", "%00", "%C2%85", "%E2%80%A8", "%C2%9B", "%7F")


@pytest.mark.parametrize("what", ["failed", "refused"])
def test_a_path_forges_no_line_of_the_log(arena: Site, tag: str, what: str) -> None:
    log_before = arena.server.log_path.stat().st_size
    for number, trick in enumerate(TRICKS):
        status = try_a_path(arena, f"{tag}-{number}", trick, what)
        # Control characters are refused as a name; what only looks like the end of a line is let
        # in.
        assert (status == 101) == (what == "failed" and trick == "%E2%80%A8")

    log = arena.server.log_path.read_bytes()[log_before:].decode()
    assert not [line for line in log.splitlines() if line.startswith(FORGED)]
    assert not set(log) & set("\0\r\x1b\x7f\x85\x9b\u2028")


def try_a_path(arena: Site, tag: str, trick: str, what: str) -> int:
    """Ask for a path with a trick in it, break the protocol if one is let in, and wait for the line
    that ends it; give the status.
    """
    fields = [("Origin", "null")] if what == "refused" else []
    path = f"/ws/echo/{tag}{trick}{FORGED.replace(' ', '%20')}"
    with RawClient.dial(arena.address) as client:
        head = client.ask_upgrade(path, "dGhlIHNhbXBsZSBub25jZQ==", fields)
        if head.status == 101:
            client.send_frame(TEXT, b"unmasked", mask=b"")
            read_to_fin(client)
    ending = "close" if head.status == 101 else "refused"
    arena.server.wait_for_log(rf"tina4_wsgi\.\w+ {ending} .*/{tag}(?!\d)")
    return head.status
