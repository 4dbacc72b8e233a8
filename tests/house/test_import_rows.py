"""The map of the modules, held: a module imports only from lower rows, and none starts anything.

A new module is put into `ROWS` here, in the row that it belongs to. Imports are read from the
source, late ones inside functions included; those under `if TYPE_CHECKING:` never happen and don't
count.
"""

from __future__ import annotations

import ast
import graphlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "tina4_wsgi"

ROWS: tuple[tuple[str, ...], ...] = (
    (  # 0: what all may use
        "errors version accepting addresses backplane.bus backplane.redis cli.doctor engine "
        "hosting "
        "http hub monitoring",
        "routing supervision websocket",
        "protocol.grammar",
        "http.headers addresses.hosts",
        "addresses.forwarded addresses.origins",
        "config hosting.descriptors http.files jsontext logs monitoring.metrics routing.names "
        "routing.params routing.paths backplane.private_folders hub.raised_in",
        "websocket.identity settings",
    ),
    (  # 1, pure: no socket, no clock
        "protocol protocol.*",
        "routing.ambiguity backplane",
        "backplane.envelope routing.callbacks routing.pattern websocket.verdict",
        "server server.request_head",
    ),
    (  # 2: one connection, and what connections share
        "hub.mishaps",
        "hub.dispatcher websocket.inquiries hub.mailbox websocket.opening_handshake "
        "websocket.transport_owner hosting.socket_shell hub.stream hub.sweeper hub.flush_queue",
        "hub.backlog backplane.redis.channels backplane.bus.directory backplane.redis.health "
        "backplane.contract backplane.bus.project_roots",
        "backplane.isolation backplane.bus.link backplane.questions backplane.redis.publisher "
        "backplane.redis.subscriber",
        "backplane.bus.bus backplane.redis.permissions backplane.redis.backplane "
        "backplane.redis.outside websocket.seams websocket.transport",
        "websocket.deadlines engine.groups",
        "websocket.lifecycle",
        "backplane.outside websocket.connection",
        "backplane.relay",
    ),
    (  # 3: all connections of an app, and the HTTP side
        "hosting.gunicorn spy",
        "engine.fanout engine.draining hub.loop_watch hosting.checks hosting.stop_guard "
        "backplane.publishing hosting.takeover hosting.claims routing.discovery routing.spelling",
        "routing.matching http.public_files http.templating",
        "engine.engine engine.lost_broadcasts hosting.refusals http.request routing.router",
        "hosting.allowed_hosts engine.presence http.response",
        "monitoring.start_link websocket.bridge",
        "monitoring.collecting monitoring.prometheus engine.runtime http.error_pages "
        "websocket.served_route monitoring.worker_files http.results",
        "monitoring.live_feed http.own_files",
        "http.client_files",
        "http.handling",
        "accepting.arrival accepting.handover monitoring.monitor",
        "accepting.acceptor",
        "monitoring.live_page",
        "monitoring.endpoints",
    ),
    (  # 4: the application
        "app",
    ),
    (  # 5: around it: our own server, the command line, other frameworks
        "server.listening server.request_body server.wire",
        "server.handler",
        "server.server",
        "cli cli.command server.console cli.doctor.gunicorn_settings server.loading "
        "supervision.orders cli.doctor.probe supervision.watcher",
        "supervision.broken cli.doctor.examination supervision.worker",
        "cli.doctor.command cli.publish supervision.refreshing supervision.reloader cli.routes "
        "cli.init",
        "supervision.supervisor",
        "cli.nginx cli.serve",
        "cli.main",
        "__main__",
        "contrib contrib.passage",
        "contrib.*",
        "contrib.flask.matching contrib.flask.sessions contrib.flask.stack",
        "contrib.flask.hooks contrib.flask.logout",
        "contrib.flask.passage contrib.flask.routes",
        "contrib.flask.bridge",
        "contrib.flask",
        "contrib.bottle.bridge contrib.django.databases contrib.django.logout "
        "contrib.django.scheme",
        "contrib.django.reloading",
        "contrib.bottle.server contrib.django.origins contrib.django.urls",
        "contrib.bottle contrib.django.handshake contrib.django.middleware",
        "contrib.django.failures",
        "contrib.django.handler",
        "contrib.django.auth contrib.django.bridge",
        "contrib.django",
        "contrib.django.management.commands.tina4serve",
        "testing.codec testing.inline_calls testing.errors testing.live_server testing.spying "
        "testing.thread_hubs",
        "testing.runner",
        "testing.settling",
        "testing.websocket",
        "testing.client",
        "testing",
        "hooks.hook-tina4_wsgi packing pytest_plugin",
    ),
)
"""From the bottom up. A row has steps, from the bottom up too: a module imports from lower rows,
and from lower steps of its own row.
"""

PACKAGE_STEP = (
    len(ROWS),
    0,
)  # `tina4_wsgi` itself gives the public names; nobody inside imports from it

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


def step_of(name: str) -> tuple[int, int]:
    """The row and the step in it; lower ones compare as less."""
    if not name:
        return PACKAGE_STEP
    for wanted in (name, f"{name.partition('.')[0]}.*"):
        for row, steps in enumerate(ROWS):
            for step, names in enumerate(steps):
                if wanted in names.split():
                    return row, step
    raise AssertionError(
        f"tina4_wsgi.{name} is in no row: put it into ROWS in {Path(__file__).name}"
    )


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


def may_import(name: str, other: str) -> bool:
    """The parts of the codec may import each other, as long as there is no cycle."""
    is_inside_codec = name.startswith("protocol.") and other.startswith("protocol.")
    return is_inside_codec or step_of(other) < step_of(name)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_from_lower_rows(name):
    wrong = sorted(other for other in imports_of(name) if not may_import(name, other))

    assert not wrong, f"tina4_wsgi.{name} {step_of(name)} may not import {wrong}"


def test_there_is_no_import_cycle():
    graph = {name: imports_of(name) - {name} for name in MODULES}

    graphlib.TopologicalSorter(graph).prepare()  # CycleError names the modules


def test_the_table_lists_no_module_that_is_gone():
    listed = {
        name
        for steps in ROWS
        for names in steps
        for name in names.split()
        if not name.endswith(".*")
    }

    assert listed - set(MODULES) == set()


def test_the_readme_draws_the_same_rows():
    drawn = {
        name.replace("/", "."): int(row)
        for row, names in re.findall(
            r"^\| (\d) \| (.*) \|$", (ROOT / "README.md").read_text(), re.MULTILINE
        )
        for name in re.findall(r"`([\w/]+)", names)
    }

    assert drawn
    assert {name: row for name, row in drawn.items() if step_of(name)[0] != row} == {}


@pytest.mark.parametrize("name", [name for name in MODULES if name and step_of(name)[0] == 1])
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
