"""What one client's callback leaves behind or raises is nobody else's business."""

from __future__ import annotations

import pytest

from tests.support.site import NATIVE_KINDS, Connect

LEFT = ("thread-local", "greenlet-local", "local of a class", "greenlet", "thread", "thread's name")
RAISED = ("argparse", "sys.exit", "keyboard", "timeout", "killed")


@pytest.mark.parametrize("what", LEFT)
def test_what_one_users_callback_leaves_is_not_seen_by_another(
    kind: str, connect: Connect, what: str
) -> None:
    if kind == "preload" and what in ("thread-local", "local of a class"):
        # Imported before gevent patched `threading`, they are the native thread's, in any
        # application.
        return
    if kind in NATIVE_KINDS:
        # Callbacks run in threads of a pool, as requests do under gthread: what hangs on a thread
        # is seen by whoever has it next, in any application.
        return
    ada, bob = connect("/ws/neighbours/ada"), connect("/ws/neighbours/bob")

    for _ in range(3):
        ada.send_text(f"leave:{what}")
        assert ada.read_text() == "left"
        bob.send_text(f"look:{what}")
        assert bob.read_text() == "None"


@pytest.mark.parametrize("what", RAISED)
def test_what_one_users_callback_raises_costs_another_nothing(connect: Connect, what: str) -> None:
    ada, bob = connect("/ws/neighbours/ada"), connect("/ws/neighbours/bob")
    bob.send_text("pid")
    pid = bob.read_text()

    ada.send_text(f"raise:{what}")
    ada.send_text("pid")
    bob.send_text("pid")

    assert (ada.read_text(), bob.read_text()) == (pid, pid)
