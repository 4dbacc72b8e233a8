"""Error trackers, which patch frameworks: each callback that fails is one error, with address,
route and user.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.framework_site import APPS
from tests.support.servers import ROOT

RUN_S = 60.0

ROUTES = {
    "django": ("/ws/{mood}", "ada"),
    "pyramid": ("/ws/{mood}", "ada"),
    "falcon": ("/ws/{mood}", None),
    "bottle": ("__main__.callback", None),
}
"""What Sentry calls the transaction in each framework, and whether it knows users there."""

pytestmark = pytest.mark.deadline(90)


def told_by(framework: str, rate: str) -> list[list[str | None]]:
    """Give what Sentry is told while people connect: exception, address, route and user of each
    error.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tracked", framework, rate],
        cwd=APPS,
        env={"PYTHONPATH": f"{APPS}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.mark.parametrize("rate", ["None", "0.0", "1.0"])
@pytest.mark.parametrize("framework", ROUTES)
def test_sentry_is_told_once_of_each_callback_that_fails_and_of_nothing_else(framework, rate):
    route, user = ROUTES[framework]

    assert told_by(framework, rate) == [
        ["OnPurpose", f"http://localhost/ws/{event}", route, user]
        for event in ("open", "message", "close", "auth")
    ]
