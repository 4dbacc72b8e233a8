"""The docs build as a site without a warning, with every page in the menu and the whole public API
in the reference.
"""

from __future__ import annotations

import ast
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
from tests.house.rows import GROUND, ROWS

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "tina4_wsgi"
DOCS = ROOT / "docs"
FOLDERS = re.compile(r"^\| (`[^|]+`) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
NAME = re.compile(r"`([\w/]+)`")
NOT_DRAWN = {"browser/", "hooks/"}  # no Python, and PyInstaller's
FOREIGN = re.compile(r'(?:src|href)="((?:https?:)?//[^"]*)"')
ENGINES_OWN = {
    "answer_questions",
    "app_protocol",
    "ask_all",
    "begin",
    "claims_upgrade",
    "close_soon",
    "connections_here",
    "cut",
    "dismiss",
    "failed",
    "forsake",
    "hands_over",
    "is_over",
    "limits",
    "lost",
    "message_count",
    "monitor",
    "on_due",
    "overflowed",
    "peer_finished",
    "put_around_wrapped",
    "received",
    "rooms",
    "service",
    "stalled",
    "take_up_routes",
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


def folders() -> dict[str, tuple[str, str]]:
    """The table of folders, from the ground up: by the names in a line, its promise, and what it
    may import.
    """
    lines = FOLDERS.findall((DOCS / "contributing.md").read_text())
    return {" ".join(NAME.findall(names)): (promise, allowed) for names, promise, allowed in lines}


def shown(part: str) -> str:
    """A part as the table shows it: "hub/", "app", "routing/paths"."""
    path = part.replace(".", "/")
    return f"{path}/" if (PACKAGE / path).is_dir() else path


def in_words(allowed: str, above: set[str]) -> str:
    """What a row may import, as the table says it."""
    parts = allowed.split()
    if len(above) > 2 and (allowed == "above" or set(parts) == above):
        return "all above"
    ground = ["the ground"] if allowed.startswith(GROUND) else []
    others = [part for part in parts if not ground or part not in GROUND.split()]
    names = [
        f"late `{shown(part[5:])}`" if part.startswith("late:") else f"`{shown(part)}`"
        for part in others
    ]
    return ", ".join(ground + names) or "–"


def is_there(name: str) -> bool:
    """Whether the package has this folder, as "hub/", or this module, as "hub/dispatcher"."""
    path = PACKAGE / name
    return path.is_dir() if name.endswith("/") else path.with_suffix(".py").is_file()


def test_the_readme_has_the_same_table_of_folders():
    tables = [
        re.search(r"\| folder \| promise \|.*\n(?:\|.*\n)*", page.read_text())
        for page in (ROOT / "README.md", DOCS / "contributing.md")
    ]

    readme, docs = (table and table[0] for table in tables)

    assert readme is not None
    assert readme == docs


def test_the_table_of_folders_is_that_of_the_test_of_imports():
    table = {names: allowed for names, (_, allowed) in folders().items()}
    above: set[str] = set()
    expected = {}
    for names, allowed in ROWS.items():
        expected[" ".join(map(shown, names.split()))] = in_words(allowed, above)
        above |= set(names.split())

    assert list(table.items()) == [*expected.items(), ("browser/", "–")]


def test_each_folder_is_in_the_table_with_the_sentence_of_its_package():
    promises = {names.split()[0]: promise for names, (promise, _) in folders().items()}
    sentences = {
        f"{path.parent.name}/": " ".join(doc.partition("\n\n")[0].split())
        for path in PACKAGE.glob("*/__init__.py")
        if (doc := ast.get_docstring(ast.parse(path.read_text())))
    }

    wrong = {
        name: sentence for name, sentence in sentences.items() if promises.get(name) != sentence
    }

    assert len(sentences) > 10
    assert wrong == {}


def test_the_page_for_contributors_names_modules_that_there_are():
    page = (DOCS / "contributing.md").read_text()
    table = page[page.index("| you want to change |") : page.index("## The path of a message")]
    named = [name for name in NAME.findall(table) if "/" in name]

    assert len(named) > 20
    assert [name for name in named if not is_there(name)] == []


@pytest.mark.parametrize("picture", ["map.svg", "message.svg"])
def test_the_pictures_name_folders_and_modules_that_there_are(picture):
    named = re.findall(r'class="module"[^>]*>([^<]+)<', (DOCS / "images" / picture).read_text())

    assert len(named) > 10
    assert [name for name in named if not is_there(name)] == []


def test_the_map_has_every_folder_once_each_above_those_that_it_may_import():
    drawn = re.findall(
        r'class="module" x="(\d+)" y="(\d+)"[^>]*>([^<]+)<', (DOCS / "images/map.svg").read_text()
    )
    upwards = [name for x, y, name in sorted(drawn, key=lambda one: (-int(one[1]), int(one[0])))]
    row_of = {name: row for row, names in enumerate(folders()) for name in names.split()}

    in_table = [name for name in row_of if name.endswith("/") and name not in NOT_DRAWN]

    assert sorted(name for name in upwards if name.endswith("/")) == sorted(in_table)
    assert [row_of[name] for name in upwards] == sorted(row_of[name] for name in upwards)


@pytest.mark.parametrize("picture", ["map.svg", "message.svg"])
def test_what_is_compiled_is_blue(picture):
    drawing = (DOCS / "images" / picture).read_text()
    drawn = re.findall(
        r'class="(chip hot|chip)".*?class="module"[^>]*>([^<]+)<', drawing, re.DOTALL
    )
    compiled = {path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*.pxd")}
    hot = {f"{path}" for path in compiled} | {f"{path.parent}/" for path in compiled}

    assert {name for kind, name in drawn if kind == "chip hot"} == {
        name for _, name in drawn if name in hot
    }
