"""What decides about paths and answers HTTP knows no gevent: it may be imported, and tested, without
it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

WHAT_IMPORTS_BRING = """
import importlib, json, pkgutil, sys

folder = importlib.import_module(f"tina4_wsgi.{sys.argv[1]}")
names = [one.name for one in pkgutil.walk_packages(folder.__path__, f"{folder.__name__}.")]
brought = {}
for name in names:
    before = set(sys.modules)
    importlib.import_module(name)
    found = {one.partition(".")[0] for one in set(sys.modules) - before}
    brought[name] = sorted(found & {"gevent", "geventwebsocket", "greenlet"})
print(json.dumps(brought))
"""


@pytest.mark.parametrize("folder", ["routing", "http"])
def test_no_module_of_a_folder_brings_gevent_along(folder):
    done = subprocess.run(
        [sys.executable, "-c", WHAT_IMPORTS_BRING, folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert done.stderr == ""
    brought = json.loads(done.stdout)
    assert len(brought) > 5
    assert {name: found for name, found in brought.items() if found} == {}
