"""What runs the servers in Python: how the interpreter was built, and whether our engine is
compiled. Figures of a slow build are no figures to publish.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .peers import FOLDER, ROOT

Facts = dict[str, Any]  # Any: texts, numbers and lists, as JSON has them

EXAMINE_S = 60.0

_BUILD = """
import json, platform, sys, sysconfig
names = ("CONFIG_ARGS", "PY_CORE_CFLAGS", "CFLAGS", "Py_DEBUG", "Py_GIL_DISABLED")
print(json.dumps({
    "implementation": platform.python_implementation(),
    "version": platform.python_version(),
    "compiler": platform.python_compiler(),
    "schemes": sysconfig.get_scheme_names(),
    "variables": {name: sysconfig.get_config_var(name) for name in names},
}))
"""

# By their files, since several distributions share a namespace such as `zope`.
_ENGINE = """
import importlib.metadata, json, pathlib, sys
import tina4_app
import tina4_wsgi
folder = pathlib.Path(tina4_wsgi.__file__).parent
owners = {
    str(package.locate_file(file)): package.metadata["Name"]
    for package in importlib.metadata.distributions()
    for file in package.files or ()
}
loaded = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
print(json.dumps({
    "compiled": len(list(folder.rglob("*.so"))),
    "packages": sorted({
        owners[file].lower().replace("_", "-").replace(".", "-")
        for file in loaded
        if file in owners
    }),
}))
"""

PLAIN_INSTALLATION = frozenset(
    {
        "gevent",
        "gevent-websocket",
        "greenlet",
        "jinja2",
        "markupsafe",
        "tina4-wsgi",
        "werkzeug",
        "zope-event",
        "zope-interface",
        # A virtualenv has these, and .pth files of setuptools load a part of it at start.
        "pip",
        "setuptools",
    }
)
"""What `pip install .` brings along, by the names of the distributions."""

_LEVEL = re.compile(r"(?<!\S)-O(\w*)")
_FAST_LEVELS = ("2", "3", "fast")
_PROFILE_FLAGS = ("-fprofile-use", "-fprofile-instr-use")
_DEBIAN_SCHEME = "deb_system"


def examine(python: Path) -> Facts:
    """Give the facts about an interpreter: version, compiler, level, and what else it was built
    with.

    Returns:
        "implementation", "version", "compiler", "level" as "-O2", "has_pgo", "has_lto", "is_debug",
        "is_free_threaded". None of them holds a path.
    """
    return read_build(_answer(python, _BUILD))


def read_build(answer: Mapping[str, Any]) -> Facts:
    """Tell from the variables of sysconfig how an interpreter was built.

    Debian runs `make profile-opt` with LTO flags, and takes the traces of both out of sysconfig;
    its own schemes there say that it is Debian's build.
    """
    variables = answer["variables"]
    flags = (variables["PY_CORE_CFLAGS"] or variables["CFLAGS"] or "").replace("'", " ")
    options = variables["CONFIG_ARGS"] or ""
    levels = _LEVEL.findall(flags)
    is_debian = _DEBIAN_SCHEME in answer["schemes"]
    has_lto = "--with-lto" in options and "--with-lto=no" not in options
    return {
        "implementation": answer["implementation"],
        "version": answer["version"],
        "compiler": answer["compiler"].strip(),
        "level": f"-O{levels[-1]}" if levels else "",
        "has_pgo": is_debian
        or "--enable-optimizations" in options
        or any(flag in flags for flag in _PROFILE_FLAGS),
        "has_lto": is_debian or has_lto or "-flto" in flags,
        "is_debug": bool(variables["Py_DEBUG"]),
        "is_free_threaded": bool(variables["Py_GIL_DISABLED"]),
    }


def examine_engine(python: Path, *, is_installed: bool) -> Facts:
    """Give how many modules of our package are compiled, and which packages our app has loaded
    besides those that `pip install .` brings along.

    Returns:
        "compiled" and "further_packages".
    """
    answer = _answer(python, _ENGINE, paths=[FOLDER] if is_installed else [FOLDER, ROOT])
    further = set(answer["packages"]) - PLAIN_INSTALLATION
    return {"compiled": answer["compiled"], "further_packages": sorted(further)}


def _answer(python: Path, script: str, paths: list[Path] | None = None) -> Facts:
    begin = "".join(f"import sys; sys.path.insert(0, {str(path)!r})\n" for path in paths or [])
    done = subprocess.run(
        [str(python), "-I", "-c", begin + script],
        capture_output=True,
        text=True,
        timeout=EXAMINE_S,
        check=True,
    )
    answer: Facts = json.loads(done.stdout.splitlines()[-1])
    return answer


def describe(facts: Facts) -> str:
    """Say how an interpreter was built, as "CPython 3.13.1 of GCC 12.2.0, -O3, PGO, no LTO"."""
    parts = [
        f"{facts['implementation']} {facts['version']} of {facts['compiler']}",
        facts["level"] or "no -O",
        "PGO" if facts["has_pgo"] else "no PGO",
        "LTO" if facts["has_lto"] else "no LTO",
    ]
    parts += ["a debug build"] if facts["is_debug"] else []
    parts += ["free-threaded"] if facts["is_free_threaded"] else []
    return ", ".join(parts)


def describe_engine(facts: Facts) -> str:
    """Say what of our package was measured."""
    compiled = facts["compiled"]
    engine = f"{compiled} of its modules compiled" if compiled else "nothing of it compiled"
    further = ", ".join(facts["further_packages"])
    return f"tina4_wsgi with {engine}, " + (
        f"and with {further}" if further else "as `pip install .` leaves it, no further package"
    )


def objection(about: Mapping[str, Any]) -> str:
    """Say why the results of a run are not to be published, and what helps; "" if they are.

    Args:
        about: that of the results.
    """
    facts, engine = about.get("interpreter"), about.get("engine")
    if facts is None or engine is None:
        return "these results don't name the interpreter that they were measured with: measure anew"
    if faults := _faults(facts):
        return (
            f"{facts['implementation']} {facts['version']} {' and '.join(faults)}, so all servers "
            "in Python look slower than they are. Take an optimised build: Debian's python3 "
            "(`make pythons` fetches some), Docker's or uv's; or, with pyenv, "
            "PYTHON_CONFIGURE_OPTS='--enable-optimizations --with-lto' pyenv install "
            f"{facts['version']}. Then: make bench PYTHON=THAT_PYTHON"
        )
    if not engine["compiled"]:
        return (
            "the engine is not compiled, as it is where users have a C compiler: install one and "
            "Python's headers (Debian: build-essential, python3-dev), remove .cache/bench, and "
            "leave --no-install out"
        )
    if engine["further_packages"]:
        return (
            f"our app has loaded {', '.join(engine['further_packages'])}, which `pip install .` "
            "doesn't bring along: remove .cache/bench/venv and measure anew"
        )
    return ""


def _faults(facts: Facts) -> list[str]:
    if facts["implementation"] != "CPython":
        return []
    faults = []
    if facts["level"].removeprefix("-O") not in _FAST_LEVELS:
        faults.append(f"was compiled with {facts['level'] or 'no -O at all'}, expected -O2 or -O3")
    if facts["is_debug"]:
        faults.append("is a debug build")
    if not facts["has_pgo"]:
        faults.append("was built without --enable-optimizations")
    return faults
