"""Publishing from outside loads no gevent, so any script or task queue may import it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support import servers

FREE = (
    "backplane.publishing",
    "backplane.outside",
    "backplane.contract",
    "backplane.envelope",
    "backplane.bus.directory",
    "backplane.bus.outside",
    "backplane.redis.outside",
    "backplane.redis.channels",
    "backplane.redis.permissions",
)

LOAD = """
import importlib, sys

importlib.import_module(sys.argv[1])
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"gevent", "greenlet", "werkzeug"}))
"""


@pytest.mark.parametrize("module", FREE)
def test_a_module_that_publishers_use_loads_no_gevent(module):
    done = subprocess.run(
        [sys.executable, "-c", LOAD, f"tina4_wsgi.{module}"],
        cwd=servers.ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert (done.stdout.strip(), done.stderr) == ("", "")
