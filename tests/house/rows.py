"""The table of folders: which part of the package may import which.

`scripts/measure_house.py` holds it, README and docs/contributing.md show it with a sentence each.
"""

from __future__ import annotations

GROUND = "errors version addresses config settings jsontext logs spy"

ROWS = {
    "errors version": "",
    "addresses": "errors",
    "config settings jsontext logs spy": "errors version addresses",
    "protocol": "errors addresses",
    "hub": "",
    "journal": f"{GROUND} protocol hub",
    "routing": f"{GROUND} protocol",
    "http": f"{GROUND} protocol routing",
    "hosting": f"{GROUND} protocol hub",
    "backplane": f"{GROUND} protocol hub journal routing.host_map routing.matching routing.names "
    "routing.paths routing.pattern routing.rooms",
    "websocket": f"{GROUND} protocol hub journal routing http",
    "engine": f"{GROUND} protocol hub journal routing hosting backplane websocket",
    "accepting": f"{GROUND} protocol hub journal routing http hosting backplane websocket engine",
    "monitoring": "above",
    "app": "above",
    "server": f"{GROUND} protocol hub hosting late:app",
    "worker": f"{GROUND} server",
    "supervision": f"{GROUND} protocol routing http hosting monitoring app server",
    "contrib": "above",
    "cli": f"{GROUND} protocol routing http hosting backplane journal monitoring app server supervision",
    "testing": f"{GROUND} protocol hub routing http hosting backplane websocket server app",
    "pytest_plugin packing __main__ hooks": "testing cli server.loading",
}
"""From the ground up. A key names the parts of one row, which may import each other; the value
names what they may import of the rows above it: folders, modules of the root, or single modules of
a folder. `above` stands for all of them, `late:` for an import inside a function alone.
"""
