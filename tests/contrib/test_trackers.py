"""Error trackers, which patch frameworks: each callback that fails is one error, with address,
route and user.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import pytest

from tests.support import nursery
from tests.support.framework_site import APPS
from tests.support.nursery import Nursery
from tests.support.servers import ROOT

RUN_S = 60.0

# None of what Sentry looks for has been patched by then, nor has ours looked at it.
IMPORTED = """
from gevent import monkey; monkey.patch_all()
import warnings
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import bottle, django.core.wsgi, django.core.handlers.wsgi, falcon, flask, pyramid.config
import sentry_sdk.transport, tina4_wsgi.app, tina4_wsgi.testing
"""
PROGRAM = """
import os, runpy, sys
sys.path.insert(0, os.getcwd())
runpy.run_module("tracked", run_name="__main__", alter_sys=True)
"""

ROUTES = {
    "django": ("/ws/{mood}", "ada"),
    "pyramid": ("/ws/{mood}", "ada"),
    "falcon": ("/ws/{mood}", None),
    "bottle": ("__main__.callback", None),
}
"""What Sentry calls the transaction in each framework, and whether it knows users there."""

pytestmark = pytest.mark.deadline(90)


@pytest.fixture(scope="module")
def programs() -> Iterator[Nursery]:
    """A process that has imported the frameworks and Sentry."""
    env = {"PYTHONPATH": f"{APPS}:{ROOT}"}
    with nursery.opened((sys.executable,), IMPORTED, env) as one:
        yield one


def told_by(programs: Nursery, framework: str, rate: str) -> list[list[str | None]]:
    """Give what Sentry is told while people connect: exception, address, route and user of each
    error.
    """
    done = programs.run(PROGRAM, APPS, RUN_S, argv=["tracked", framework, rate])
    assert done.returncode == 0, done.stderr[-3_000:]
    return json.loads(done.stdout)  # type: ignore[no-any-return]


@pytest.mark.parametrize("rate", ["None", "0.0", "1.0"])
@pytest.mark.parametrize("framework", ROUTES)
def test_sentry_is_told_once_of_each_callback_that_fails_and_of_nothing_else(
    programs, framework, rate
):
    route, user = ROUTES[framework]

    assert told_by(programs, framework, rate) == [
        ["OnPurpose", f"http://localhost/ws/{event}", route, user]
        for event in ("open", "message", "close", "auth")
    ]
