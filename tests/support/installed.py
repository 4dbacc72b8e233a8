"""Makes a folder by which the package of this tree is installed, for whoever asks metadata."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.support import servers
from tina4_wsgi import __version__

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def install_into(folder: Path) -> str:
    """Write the metadata of pyproject.toml into a folder; gives the PYTHONPATH with both."""
    project = tomllib.loads((servers.ROOT / "pyproject.toml").read_text())["project"]
    info = folder / f"tina4_wsgi-{__version__}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: tina4-wsgi\nVersion: {__version__}\n"
    )

    groups = {**project["entry-points"], "console_scripts": project["scripts"]}
    lines = [
        line
        for group, points in groups.items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in points.items()), "")
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    return f"{folder}:{servers.ROOT}"
