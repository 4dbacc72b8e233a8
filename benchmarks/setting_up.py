"""Sets up what a run needs, in .cache/bench: the load generator, a virtualenv and node packages.

What can't be had is not an end: each peer that lacks something is listed with the reason.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from . import interpreter
from .peers import BY_KEY, OUR_EXTRAS, OURS, PROTOTYPE, ROOT, Peer

CACHE = ROOT / ".cache" / "bench"
SOURCE = Path(__file__).with_name("wsload.c")
INSTALL_S = 600.0

PACKAGE = "tina4_wsgi"
SOURCE_FILES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")

DEBIAN_PACKAGES = {"gcc": "build-essential", "wrk": "wrk", "node": "nodejs", "npm": "npm"}
LIBRARIES = {
    "TLS": ("WITH_TLS", "openssl/ssl.h", ("-lssl", "-lcrypto"), "libssl-dev"),
    "deflate": ("WITH_DEFLATE", "zlib.h", ("-lz",), "zlib1g-dev"),
}
"""What the load generator can be built with: macro, header, libraries, Debian's package."""


class SetupError(Exception):
    """Nothing can be measured; the text says why."""


@dataclass
class Kit:
    """What a run works with.

    Attributes:
        python: the interpreter that has the peers installed.
        wsload: the WebSocket load generator.
        has_ours_installed: our own package is installed as users install it, not only on the path.
        missing: why a peer can't be measured, by its key.
        versions: of what was measured, by its name.
        interpreter: how `python` was built.
        engine: what of our own package is compiled, and what it loads.
    """

    python: Path
    wsload: Path
    has_ours_installed: bool = True
    missing: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    interpreter: interpreter.Facts = field(default_factory=dict)
    engine: interpreter.Facts = field(default_factory=dict)

    def node_folder(self, peer: Peer) -> Path:
        """Where npm has put what a peer needs."""
        return CACHE / "node" / peer.key


def set_up(peers: Iterable[Peer], *, installs: bool) -> Kit:
    """Make all that `peers` need.

    Args:
        installs: False takes this interpreter, and of the peers only those that are installed for
            it.
    Raises:
        SetupError: the load generator or our own package can't be had.
    """
    if installs:
        _install_commands(peers)
    kit = Kit(_make_venv() if installs else Path(sys.executable), build_wsload(), installs)
    for peer in peers:
        reason = _lack_of(peer, kit, installs=installs)
        if reason:
            kit.missing[peer.key] = reason
    kit.versions = _versions(kit, peers)
    try:
        kit.interpreter = interpreter.examine(kit.python)
        kit.engine = interpreter.examine_engine(kit.python, is_installed=kit.has_ours_installed)
    except subprocess.CalledProcessError as exc:
        last = (exc.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise SetupError(f"our own app can't be imported: {last}") from exc
    return kit


def build_wsload() -> Path:
    """Give the load generator, with TLS and deflate where the libraries for them are.

    Raises:
        SetupError: it can't be built.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    compiler = next((name for name in ("gcc", "cc", "clang") if shutil.which(name)), None)
    if compiler is None:
        raise SetupError("no C compiler for the load generator: apt-get install build-essential")
    libraries = [one for one in LIBRARIES.values() if has_header(compiler, one[1])]
    macros = [f"-D{macro}" for macro, *_ in libraries]
    links = [link for _, _, links, _ in libraries for link in links]
    # A name for each source and each set of libraries: a library that comes later is built in.
    basis = "\n".join([SOURCE.read_text(), *macros])
    program = CACHE / f"wsload-{hashlib.sha256(basis.encode()).hexdigest()[:12]}"
    if not program.exists():
        fresh = program.with_suffix(".new")
        _run([compiler, "-O2", *macros, "-o", str(fresh), str(SOURCE), *links])
        fresh.rename(program)
    return program


def has_header(compiler: str, header: str) -> bool:
    """Say whether a C compiler finds a header."""
    preprocess = [compiler, "-E", "-x", "c", "-include", header, os.devnull]
    return subprocess.run(preprocess, capture_output=True, check=False).returncode == 0


def _install_commands(peers: Iterable[Peer]) -> None:
    """Install what is missing of the system, where that is allowed; what then still lacks is found
    later.
    """
    wanted = {"gcc"}
    if any(peer.has_http for peer in peers):
        wanted.add("wrk")
    if any(peer.program == "node" for peer in peers):
        wanted |= {"node", "npm"}
    packages = [DEBIAN_PACKAGES[name] for name in sorted(wanted) if not shutil.which(name)]
    compiler = shutil.which("gcc")
    packages += [
        package
        for _, header, _, package in LIBRARIES.values()
        if compiler is None or not has_header(compiler, header)
    ]
    if packages and os.geteuid() == 0 and shutil.which("apt-get"):
        say(f"installing {' '.join(packages)}")
        subprocess.run(
            [ROOT / "scripts" / "apt-install", *packages], check=False, timeout=INSTALL_S
        )


# -- Python


def _make_venv() -> Path:
    folder = CACHE / "venv"
    python = folder / "bin" / "python"
    made_by = f"{sys.version} {folder}"  # scripts in a virtualenv hold absolute paths
    if _read(folder / "made-by") != made_by:
        say(f"making {folder.relative_to(ROOT)} with Python {sys.version.partition(' ')[0]}")
        shutil.rmtree(folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(folder)])
        (folder / "made-by").write_text(made_by)
    _install_ours(python)
    return python


def _install_ours(python: Path) -> None:
    """Install this checkout as users install it, from a copy that leaves nothing in the tree."""
    copy = CACHE / "source"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for name in SOURCE_FILES:
        shutil.copy(ROOT / name, copy)
    shutil.copytree(
        ROOT / PACKAGE, copy / PACKAGE, ignore=shutil.ignore_patterns("__pycache__", "*.so")
    )
    digest = hashlib.sha256()
    for path in sorted(path for path in copy.rglob("*") if path.is_file()):
        digest.update(str(path.relative_to(copy)).encode() + b"\0" + path.read_bytes())
    _pip(python, OURS, [f"{copy}[{OUR_EXTRAS}]"], digest.hexdigest())


def _pip(python: Path, key: str, needs: Sequence[str], basis: str = "") -> None:
    """Install packages, unless that was done before.

    Raises:
        SetupError: pip said no.
    """
    stamp = python.parents[1] / f"installed-{key}"
    wanted = "\n".join([*needs, basis])
    if _read(stamp) == wanted:
        return
    say(
        f"installing for {BY_KEY[key].label}: "
        f"{', '.join(needs) if key != OURS else 'this checkout'}"
    )
    pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
    if key == OURS:  # which has the same version as before
        _run([*pip, "uninstall", "--quiet", "--yes", "tina4-wsgi"])
    _run([*pip, "install", "--quiet", *needs])
    stamp.write_text(wanted)


# -- peers


def _lack_of(peer: Peer, kit: Kit, *, installs: bool) -> str:
    """Set one peer up; give why that can't be done, or ""."""
    if peer.key == "prototype" and not PROTOTYPE.is_dir():
        return "its folder is not here"
    try:
        if peer.program == "node":
            return _set_up_node(peer, kit, installs=installs)
        if installs and peer.needs:
            _pip(kit.python, peer.key, peer.needs)
    except SetupError as error:
        return str(error)
    return ""


def _set_up_node(peer: Peer, kit: Kit, *, installs: bool) -> str:
    if not shutil.which("node"):
        return "node is not installed"
    folder = kit.node_folder(peer)
    wanted = "\n".join(peer.needs)
    if _read(folder / "installed") == wanted:
        return ""
    if not installs:
        return "its package is not installed"
    if not shutil.which("npm"):
        return "npm is not installed"
    say(f"installing for {peer.label}: {wanted}")
    folder.mkdir(parents=True, exist_ok=True)
    quiet = ("--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")
    _run(["npm", "install", "--prefix", str(folder), *quiet, *peer.needs])
    (folder / "installed").write_text(wanted)
    return ""


def _versions(kit: Kit, peers: Iterable[Peer]) -> dict[str, str]:
    """Give the versions of interpreters, of what ours stands on, and of the peers that are here."""
    listed = json.loads(
        _run([str(kit.python), "-m", "pip", "--disable-pip-version-check", "list", "--format=json"])
    )
    installed = {one["name"].lower().replace("_", "-"): one["version"] for one in listed}
    names = {"gevent", "greenlet", "gunicorn", "werkzeug"}
    names |= {
        re.split(r"[=@]", need)[0]
        for peer in peers
        for need in peer.needs
        if peer.program != "node"
    }
    versions = {
        "Python": _run(
            [str(kit.python), "-c", "import platform; print(platform.python_version())"]
        ).strip()
    }
    versions |= {name: installed[name] for name in sorted(names) if name in installed}
    node_peers = [peer for peer in peers if peer.program == "node" and peer.key not in kit.missing]
    if node_peers:
        versions["node"] = _run(["node", "--version"]).strip().removeprefix("v")
    for peer in node_peers:
        package = peer.needs[0].partition("@")[0]
        about = kit.node_folder(peer) / "node_modules" / package / "package.json"
        versions[f"{package} (npm)"] = json.loads(about.read_text())["version"]
    return versions


# -- small things


def say(text: str) -> None:
    """Tell the user what goes on; results go to stdout, this does not."""
    print(text, file=sys.stderr, flush=True)


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _run(command: Sequence[str]) -> str:
    """Run a command and give what it printed.

    Raises:
        SetupError: it failed; the text is its last line.
    """
    done = subprocess.run(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=INSTALL_S,
        check=False,
    )
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or [
            f"exit code {done.returncode}"
        ]
        raise SetupError(f"{Path(command[0]).name}: {lines[-1].strip()}")
    return done.stdout
