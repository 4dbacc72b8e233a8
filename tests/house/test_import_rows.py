"""The map of the folders, held: who imports whom, who stays pure, and that an import starts nothing.

Which folder may import which stands in `rows.py`; test_measures.py holds it. Imports are read from
the source, late ones inside functions included; those under `if TYPE_CHECKING:` never happen and
don't count.
"""

from __future__ import annotations

import ast
import graphlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.rows import ROWS

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "tina4_wsgi"

PURE = (
    "protocol",
    "addresses.hosts",
    "jsontext",
    "routing.pattern",
    "routing.ambiguity",
    "routing.paths",
)
"""Folders and modules that are bytes or text in, and facts out."""

IMPURE = {
    "asyncio",
    "gevent",
    "geventwebsocket",
    "greenlet",
    "logging",
    "os",
    "random",
    "select",
    "selectors",
    "socket",
    "ssl",
    "subprocess",
    "threading",
    "time",
}
"""What a pure module must not know: it is bytes in, events and bytes out."""


def name_of(path: Path) -> str:
    """The name inside the package: "app", "protocol.frames", "protocol", and "" for the package
    itself.
    """
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports_of(name: str) -> set[str]:
    """The modules of the package that this one imports."""
    path = MODULES[name]
    inside = ["tina4_wsgi", *path.relative_to(PACKAGE).parts[:-1]]
    found: set[str] = set()
    tree = ast.parse(path.read_text(), path)
    for_types = {
        child for node in ast.walk(tree) if _is_for_types(node) for child in ast.walk(node)
    }
    for node in set(ast.walk(tree)) - for_types:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = inside[: len(inside) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            found |= {_module_or_name(source, alias.name) for alias in node.names}
    return {
        one.removeprefix("tina4_wsgi").lstrip(".")
        for one in found
        if one.partition(".")[0] == "tina4_wsgi"
    }


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def _module_or_name(source: str, name: str) -> str:
    """`from . import frames` imports a module, `from .frames import Opcode` a name of one."""
    whole = f"{source}.{name}"
    return whole if whole.removeprefix("tina4_wsgi.") in MODULES else source


def test_there_is_no_import_cycle():
    graph = {name: imports_of(name) - {name} for name in MODULES}

    graphlib.TopologicalSorter(graph).prepare()  # CycleError names the modules


def test_the_table_names_nothing_that_is_gone():
    folders = {part for name in MODULES for part in (name, name.partition(".")[0])} | {"hooks"}

    assert {part for names in ROWS for part in names.split()} - folders == set()


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith(PURE)])
def test_a_pure_module_knows_no_socket_and_no_clock(name):
    tree = ast.parse(MODULES[name].read_text())
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    imported |= {
        str(node.module)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and not node.level
    }

    assert {one.partition(".")[0] for one in imported} & IMPURE == set()


@pytest.mark.parametrize("name", [name for name in MODULES if name != "config"])
def test_only_config_reads_the_environment(name):
    tree = ast.parse(MODULES[name].read_text())
    written = {id(node.value) for node in ast.walk(tree) if _is_assigned_item(node)}
    reads = [
        node.lineno for node in ast.walk(tree) if _is_environment(node) and id(node) not in written
    ]

    assert not reads, f"tina4_wsgi.{name} reads os.environ in lines {reads}"


def _is_environment(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and node.attr in ("environ", "getenv")
        and ast.unparse(node.value) == "os"
    )


def _is_assigned_item(node: ast.AST) -> bool:
    return isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store)


WHAT_AN_IMPORT_DOES = """
import importlib, json, logging, os, pkgutil, signal, sys, threading

handlers_before = {number: signal.getsignal(number) for number in signal.valid_signals()}
import tina4_wsgi
names = [one.name for one in pkgutil.walk_packages(tina4_wsgi.__path__, "tina4_wsgi.")]
for name in names:
    if not name.endswith("__main__") and ".contrib." not in name:  # what is behind contrib is the user's choice
        importlib.import_module(name)

import gc, gevent.monkey, greenlet
from gevent._hub_local import get_hub_if_exists

folder = "/proc/self/fd/"
links = [os.readlink(folder + fd) for fd in os.listdir(folder) if os.path.lexists(folder + fd)]
# By `type`: Django's lazy objects evaluate themselves when their `__class__` is asked for.
greenlets = [one for one in gc.get_objects() if issubclass(type(one), greenlet.greenlet) and one.parent]
modules = ("socket", "threading", "time", "os", "ssl")
handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
print(json.dumps({
    "patched": [one for one in modules if gevent.monkey.is_module_patched(one)],
    "hub": repr(get_hub_if_exists()),
    "threads": threading.active_count(),
    "greenlets": len(greenlets),
    "sockets": [link for link in links if link.startswith(("socket:", "anon_inode:[event"))],
    "signals": [number for number in handlers if handlers[number] != handlers_before[number]],
    "log handlers": repr(logging.getLogger().handlers + logging.getLogger("tina4_wsgi").handlers),
}))
"""


def test_importing_everything_patches_nothing_and_starts_nothing():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WHAT_AN_IMPORT_DOES],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert done.stderr == ""
    assert json.loads(done.stdout) == {
        "patched": [],
        "hub": "None",
        "threads": 1,
        "greenlets": 0,
        "sockets": [],
        "signals": [],
        "log handlers": "[]",
    }
