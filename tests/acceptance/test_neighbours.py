"""What one client's callback leaves behind or raises is nobody else's business."""

from __future__ import annotations

import pytest

from tests.support.site import Connect

OF_THE_THREAD = ("thread-local", "local of a class")
OF_THE_GREENLET = ("greenlet-local", "greenlet", "thread", "thread's name")
RAISED = ("argparse", "sys.exit", "keyboard", "timeout", "killed")


def check_that_it_is_not_seen_by_another(connect: Connect, what: str) -> None:
    ada, bob = connect("/ws/neighbours/ada"), connect("/ws/neighbours/bob")

    for _ in range(3):
        ada.send_text(f"leave:{what}")
        assert ada.read_text() == "left"
        bob.send_text(f"look:{what}")
        assert bob.read_text() == "None"


def test_what_one_users_callback_leaves_in_a_context_is_not_seen_by_another(
    connect: Connect,
) -> None:
    check_that_it_is_not_seen_by_another(connect, "context variable")


# Callbacks of the native kinds run in threads of a pool, as requests do under gthread: what hangs
# on a thread is seen by whoever has it next, in any application.
@pytest.mark.parametrize("kind", ["own", "gunicorn", "preload"], indirect=True)
@pytest.mark.parametrize("what", OF_THE_GREENLET)
def test_what_one_users_callback_leaves_at_its_greenlet_is_not_seen_by_another(
    connect: Connect, what: str
) -> None:
    check_that_it_is_not_seen_by_another(connect, what)


# Imported before gevent patches `threading`, as with `--preload`, these are the native thread's.
@pytest.mark.parametrize("kind", ["own", "gunicorn"], indirect=True)
@pytest.mark.parametrize("what", OF_THE_THREAD)
def test_what_one_users_callback_leaves_in_a_thread_local_is_not_seen_by_another(
    connect: Connect, what: str
) -> None:
    check_that_it_is_not_seen_by_another(connect, what)


@pytest.mark.parametrize("what", RAISED)
def test_what_one_users_callback_raises_costs_another_nothing(connect: Connect, what: str) -> None:
    ada, bob = connect("/ws/neighbours/ada"), connect("/ws/neighbours/bob")
    bob.send_text("pid")
    pid = bob.read_text()

    ada.send_text(f"raise:{what}")
    ada.send_text("pid")
    bob.send_text("pid")

    assert (ada.read_text(), bob.read_text()) == (pid, pid)
