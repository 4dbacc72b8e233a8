"""A process forked from one with open connections can't serve, and reaches clients as a publisher
does.
"""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from tests.support.servers import PYTHON, ROOT
from tests.support.site import APPS

Found = dict[str, str]


@pytest.fixture(scope="module")
def found() -> Found:
    """Run apps/forking.py."""
    done = subprocess.run(
        [*PYTHON, "forking.py"],
        cwd=APPS,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=25,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.mark.parametrize("how", ["during", "by connection", "in a grandchild", "in a thread"])
def test_what_a_child_of_a_serving_process_broadcasts_reaches_its_parents_clients(
    found: Found, how: str
) -> None:
    assert found[how] == "done"
    assert found[f"{how}, heard"] == ("from the child" if how == "during" else how)


OF_A_CONNECTION = [
    "send",
    "send_json",
    "join",
    "leave",
    "close",
    "members",
    "refresh_auth",
    "broadcast to all but itself",
    "to a room but itself",
]
CAN_NOT = [
    "counting",
    "disconnecting",
    "asking who is there",
    "serving",
    "alone",
    "alone, broadcast",
    "alone, broadcast_to",
    "alone, broadcast_to_room",
    "forked in a thread",
    *OF_A_CONNECTION,
    *(f"{one}, in a thread" for one in OF_A_CONNECTION),
]


@pytest.mark.parametrize("what", CAN_NOT)
def test_what_a_child_can_not_do_names_what_it_can(found: Found, what: str) -> None:
    assert found[what].startswith("ForkError: this process was forked from one ")
    assert "`broadcast` and `publish`" in found[what]


def test_a_process_forked_before_the_first_connection_may_serve(found: Found) -> None:
    assert found["before"] == "done"


def test_a_process_forked_after_the_last_connection_may_serve(found: Found) -> None:
    assert found["after"] == "done"


def test_the_process_that_forked_goes_on_and_nobody_else_writes_to_its_clients(
    found: Found,
) -> None:
    assert found["a callback that was due"] == "done"
    assert found["parent"] == "\x81\x02hi"
