"""The docs build as a site without a warning, with every page in the menu and the whole public API
in the reference.
"""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import tina4_wsgi
from tests.house.test_import_rows import PACKAGE, ROWS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
FOREIGN = re.compile(r'(?:src|href)="((?:https?:)?//[^"]*)"')
ENGINES_OWN = {
    "app_protocol",
    "ask_all",
    "begin",
    "claims_upgrade",
    "close_soon",
    "cut",
    "dismiss",
    "failed",
    "hands_over",
    "is_over",
    "limits",
    "lost",
    "message_count",
    "monitor",
    "on_due",
    "overflowed",
    "peer_finished",
    "received",
    "rooms",
    "service",
    "stalled",
    "transport",
    "waiting_count",
    "warn_of_lost_broadcasts",
    "was_closed_by_peer",
    "was_heard",
    "window_bits",
    "work",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def menu() -> list[str]:
    return list(_pages(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))


def _pages(entries: list[dict[str, Any]]) -> Iterator[str]:
    for entry in entries:
        for value in entry.values():
            yield from _pages(value) if isinstance(value, list) else [value]


def test_every_page_has_one_place_in_the_menu():
    there = {path.name for path in DOCS.glob("*.md")}

    assert len(menu()) == len(set(menu()))
    assert set(menu()) == there


def test_it_builds_without_a_warning(site):
    assert (site / "index.html").is_file()
    assert (site / "tutorial.html").is_file()


def test_it_asks_nobody_else_for_anything(site):
    asked = {
        (page.name, url)
        for page in site.rglob("*.html")
        for url in FOREIGN.findall(re.sub(r"<a [^>]*>", "", page.read_text()))
    }

    assert asked == set()


def test_names_of_files_are_titles_and_other_marks_are_gone(site):
    page = (site / "tutorial.html").read_text()

    assert '<span class="filename">src/routes/echo.py</span>' in page
    assert "<strong><code>src/routes/echo.py" not in page
    assert '<span class="filename">orders/views.py</span>' in (site / "legacy.html").read_text()
    assert "<!-- not run" not in (site / "migrating.html").read_text()


@pytest.mark.parametrize("name", [name for name in tina4_wsgi.__all__ if name != "__version__"])
def test_the_reference_has_every_public_name(site, name):
    assert f'id="{name.lower()}"' in (site / "reference.html").read_text().lower()


@pytest.mark.parametrize(
    "name", ["App", "Router", "Connection", "Request", "Response", "testing.TestClient"]
)
def test_the_reference_has_every_public_member(site, name):
    module, _, member = f"tina4_wsgi.{name}".rpartition(".")
    owner = getattr(importlib.import_module(module), member)
    ours = {base for base in owner.__mro__ if base.__module__.startswith("tina4_wsgi.")}
    public = {one for base in ours for one in vars(base) if not one.startswith("_")}
    told = {
        one
        for one in public - ENGINES_OWN
        if not isinstance(getattr(owner, one, None), bool)
        and inspect.getdoc(getattr(owner, one, None))
    }

    page = (site / "reference.html").read_text()
    missing = {
        one for one in told if f"{member}.{one}<" not in page and f">{one}</code>" not in page
    }

    assert missing == set()


def test_the_reference_of_a_connection_shows_what_people_call_and_nothing_of_the_engine(site):
    told = re.findall(r"<h4[^>]*>Connection\.(\w+)<", (site / "reference.html").read_text())

    assert told[:5] == ["send", "send_json", "json", "broadcast", "broadcast_to"]
    assert {"join", "members", "close", "state", "closed"} <= set(told)
    assert {"received", "lost", "work", "transport"} & set(told) == set()


@pytest.mark.parametrize("picture", ["map.svg", "message.svg"])
def test_the_pictures_name_modules_that_there_are(picture):
    named = re.findall(r'class="module"[^>]*>([\w.]+)<', (DOCS / "images" / picture).read_text())

    missing = [
        name
        for name in named
        if not PACKAGE.joinpath(*name.split(".")).with_suffix(".py").is_file()
        and not PACKAGE.joinpath(*name.split(".")).is_dir()
    ]

    assert len(named) > 10
    assert missing == []


def test_the_map_has_modules_in_their_rows_and_the_compiled_ones_in_blue():
    drawing = (DOCS / "images" / "map.svg").read_text()
    drawn = re.findall(r'class="(row|module|chip hot|chip)"[^>]*>(?:(\d)  )?([\w.]*)', drawing)
    compiled = {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob("*.pxd")
    }
    row, is_blue, wrong, blue = -1, False, [], set()
    for kind, number, name in drawn:
        if kind == "row":
            row = int(number)
        elif kind != "module":
            is_blue = kind == "chip hot"
        else:
            blue |= {name} if is_blue else set()
            names = " ".join(ROWS[row]).split()
            if name not in names and f"{name.rpartition('.')[0]}.*" not in names:
                wrong.append(name)

    assert wrong == []
    assert blue == compiled
