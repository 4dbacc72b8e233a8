"""What the clients and Socket.IO need of npm, installed into .cache and nowhere else."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from tests.support.servers import ROOT

FOLDER = ROOT / ".cache" / "chaos" / "npm"
INSTALL_S = 300
NEEDS = (
    "ws@8.23.0",
    "socket.io@4.8.4",
    "socket.io-client@4.8.4",
    "@socket.io/redis-streams-adapter@0.3.1",
    "redis@5.10.0",
)


def install() -> Path:
    """Install the packages unless that was done before, and return the folder of modules.

    Raises:
        AssertionError: node or npm is missing, or npm failed.
    """
    for program in ("node", "npm"):
        assert shutil.which(program), f"{program} is not installed: apt-get install nodejs npm"
    stamp, wanted = FOLDER / "installed", "\n".join(NEEDS)
    if not stamp.exists() or stamp.read_text() != wanted:
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / "package.json").write_text(json.dumps({"private": True}))
        quiet = ("--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
        command = ["npm", "install", "--prefix", str(FOLDER), *quiet, *NEEDS]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=INSTALL_S, check=False
        )
        assert done.returncode == 0, done.stderr
        stamp.write_text(wanted)
    return FOLDER / "node_modules"


def versions() -> dict[str, str]:
    """Return the version of node, and those of the packages."""
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    return {"node": node.stdout.strip().removeprefix("v")} | {
        name: version for name, _, version in (need.rpartition("@") for need in NEEDS)
    }
