#!/usr/bin/env python3
"""Measure the shape of the package, and say what misses its target.

`scripts/measure_house.py` prints a table; `scripts/measure_house.py chain any` also lists what
those figures count. The source is read and never run. What is counted, and how, stands in each
figure's docstring.

Two tables belong to it, and both may be absent: `tests/house/rows.py` says which folder may import
which, and `tests/house/tried_by.py` says which test file tries a module that has none of its name.

Exit status: 0 all targets are met; 1 one is missed; 2 usage.
"""

from __future__ import annotations

import argparse
import ast
import runpy
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

LONG_FUNCTION_LINES = 12
MOST_COLUMNS = 100

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One Python file of the package."""

    name: str
    """Inside the package: "app", "protocol.frames", and "" for the package itself."""
    path: Path
    is_package: bool

    @cached_property
    def text(self) -> str:
        """What the file holds."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        """What the file holds, parsed."""
        return ast.parse(self.text, str(self.path))


@dataclass(frozen=True)
class Arrow:
    """One module imports another."""

    source: str
    target: str
    line: int
    is_late: bool
    """The import stands inside a function, so it runs when the function is called."""

    def __str__(self) -> str:
        return f"{self.source or 'tina4_wsgi'}:{self.line} imports {self.target}" + (
            " (late)" if self.is_late else ""
        )


@dataclass
class Measured:
    """One figure, and what it counts."""

    value: float | None
    """None where there is nothing to measure by."""
    found: list[str] = field(default_factory=list)


class House:
    """The package `tina4_wsgi` of one checkout, and its tests."""

    def __init__(self, root: Path = ROOT) -> None:
        """Find the modules below `root`."""
        self.package = root / "tina4_wsgi"
        self.tests = root / "tests"
        self.modules = {
            one.name: one for one in map(self._module, sorted(self.package.rglob("*.py")))
        }

    def _module(self, path: Path) -> Module:
        parts = path.relative_to(self.package).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        return Module(".".join(parts[:-1] if is_package else parts), path, is_package)

    @cached_property
    def arrows(self) -> list[Arrow]:
        """All imports among our modules but those under `if TYPE_CHECKING:`, which never run."""
        return [arrow for module in self.modules.values() for arrow in self._arrows_of(module)]

    def _arrows_of(self, module: Module) -> Iterator[Arrow]:
        parts = module.name.split(".") if module.name else []
        folder = parts if module.is_package else parts[:-1]

        for node, is_late in imports(module.tree):
            for target in self._targets(node, ["tina4_wsgi", *folder]):
                if target != module.name:
                    yield Arrow(module.name, target, node.lineno, is_late)

    def _targets(self, node: ast.Import | ast.ImportFrom, folder: list[str]) -> set[str]:
        if isinstance(node, ast.Import):
            whole = {alias.name for alias in node.names}
        else:
            base = folder[: len(folder) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            # `from . import frames` imports a module, `from .frames import Opcode` a name of one.
            whole = {
                one if one.removeprefix("tina4_wsgi.") in self.modules else source
                for one in (f"{source}.{alias.name}" for alias in node.names)
            }
        ours = {one for one in whole if one.partition(".")[0] == "tina4_wsgi"}
        return {one.removeprefix("tina4_wsgi").lstrip(".") for one in ours}

    @cached_property
    def graph(self) -> dict[str, set[str]]:
        """Which modules each module imports as soon as it is imported itself."""
        found: dict[str, set[str]] = {name: set() for name in self.modules}
        for arrow in self.arrows:
            if not arrow.is_late:
                found[arrow.source].add(arrow.target)
        return found

    @cached_property
    def rows(self) -> dict[str, str] | None:
        """The table of folders: `ROWS` of `tests/house/rows.py`, from the ground up.

        A key names the parts of one row, separated by spaces: folders, or modules of the root. The
        value names what they may import: parts of rows above it in the table, or single modules of
        these; `above` for all of them; and `late:PART` for imports inside functions alone. Parts of
        one row may import each other.
        """
        path = self.tests / "house" / "rows.py"
        return runpy.run_path(str(path))["ROWS"] if path.exists() else None

    @cached_property
    def tried_by(self) -> dict[str, str]:
        """Which file tries a module that no test file is named after: `TRIED_BY` of
        `tests/house/tried_by.py`.
        """
        path = self.tests / "house" / "tried_by.py"
        return runpy.run_path(str(path))["TRIED_BY"] if path.exists() else {}

    def test_file_of(self, name: str) -> Path | None:
        """Find the test file named after a module: `tests/<folder>/test_<name>.py`.

        A module of the root may have it in any folder of `tests`. A module two folders down may
        have it one folder up, with its own folder in its name: `tests/contrib/test_django_auth.py`.
        """
        *folder, own = name.split(".")
        if folder:
            candidates = [self.tests.joinpath(*folder, f"test_{own}.py")]
        else:
            candidates = [self.tests / f"test_{own}.py", *self.tests.glob(f"*/test_{own}.py")]
        if len(folder) > 1:
            candidates.append(self.tests.joinpath(*folder[:-1], f"test_{folder[-1]}_{own}.py"))

        return next((path for path in candidates if path.exists()), None)


def imports(tree: ast.Module) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Each import that may run, and whether it stands inside a function."""
    waiting: list[tuple[ast.AST, bool]] = [(tree, False)]
    while waiting:
        node, is_late = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, is_late
        if (
            isinstance(node, ast.If)
            and ast.unparse(node.test).rpartition(".")[2] == "TYPE_CHECKING"
        ):
            waiting += [(child, is_late) for child in node.orelse]
        else:
            inside = is_late or isinstance(node, Function | ast.Lambda)
            waiting += [(child, inside) for child in ast.iter_child_nodes(node)]


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The groups of modules in which each leads to all others, by Tarjan's algorithm."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in sorted(graph[name]):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])

        if low[name] == index[name]:
            group = stack[stack.index(name) :]
            del stack[-len(group) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in graph:
        if name not in index:
            visit(name)
    return found


def flat(house: House) -> Measured:
    """Python files that lie in the root of the package."""
    found = sorted(path.name for path in house.package.glob("*.py"))
    return Measured(len(found), found)


def chain(house: House) -> Measured:
    """Modules on the longest chain of imports; those that run at import, so neither late ones nor
    those for types.

    A package's `__init__` counts where it is imported from, and not because it runs before its
    modules.
    """
    longest: dict[str, list[str]] = {}

    def follow(name: str, above: tuple[str, ...]) -> list[str]:
        if name not in longest:
            onward = [
                follow(other, (*above, name))
                for other in house.graph[name]
                if other not in (*above, name)
            ]
            longest[name] = [name, *max(onward, key=lambda one: (len(one), one), default=[])]
        return longest[name]

    found = max((follow(name, ()) for name in house.graph), key=len)
    return Measured(len(found), [name or "tina4_wsgi" for name in found])


def import_circles(house: House) -> Measured:
    """Groups of modules that import each other in a circle as they are imported."""
    found = circles(house.graph)
    return Measured(len(found), [" ".join(group) for group in found])


def folder_arrows(house: House) -> Measured:
    """Arrows from one folder of the package to another, each pair once; a module of the root is a
    part by itself.
    """
    found = {(_part(one.source), _part(one.target)) for one in house.arrows}
    shown = sorted(f"{source} -> {target}" for source, target in found if source != target)
    return Measured(len(shown), shown)


def _part(name: str) -> str:
    return name.partition(".")[0] or "tina4_wsgi"


def arrows_up(house: House) -> Measured:
    """Imports that the table of folders doesn't allow, late ones too, and modules that are in no
    row of it.
    """
    if house.rows is None:
        return Measured(None)
    row_of = {part: row for row, names in enumerate(house.rows) for part in names.split()}
    allowed: list[set[str]] = []
    for row, (names, text) in enumerate(house.rows.items()):
        words = set(text.split())
        if "above" in words:
            words |= {part for part, its_row in row_of.items() if its_row < row}
        later = {one for one in words - {"above"} if "late:" not in one and _row(one, row_of) > row}
        assert not later, f"{names} may import {sorted(later)}, which stand in later rows"
        allowed.append(words | set(names.split()))

    found = [f"{name} is in no row" for name in house.modules if name and _row(name, row_of) < 0]
    for arrow in house.arrows:
        source = _row(arrow.source, row_of)
        if (
            source < 0 or _row(arrow.target, row_of) < 0
        ):  # told above; the package itself gives the public names
            continue
        ways = ("", "late:") if arrow.is_late else ("",)
        wanted = {f"{way}{part}" for part in _and_its_folders(arrow.target) for way in ways}
        if not wanted & allowed[source]:
            found.append(str(arrow))
    return Measured(len(found), found)


def _row(name: str, row_of: dict[str, int]) -> int:
    """The row of a module: that of the innermost of its folders that the table has, or -1."""
    return next((row_of[part] for part in _and_its_folders(name) if part in row_of), -1)


def _and_its_folders(name: str) -> list[str]:
    """Name a module and each folder around it, from the inside: "a.b.c", "a.b", "a"."""
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(len(parts), 0, -1)]


def paragraphs(house: House) -> Measured:
    """Functions of 12 lines and more that have a blank line between two of their statements, in per
    cent.

    Lines are counted from `def` to the last one, blank ones and comments too; the docstring's are
    not, nor is a blank line behind it. A blank line inside of a string is none, and one inside of a
    function counts for that function only.
    """
    long = [
        (module, node)
        for module in house.modules.values()
        for node in ast.walk(module.tree)
        if _is_long(node)
    ]
    without = [
        f"{module.path.name}:{node.lineno} {node.name}"
        for module, node in long
        if not has_steps(module, node)
    ]
    return Measured(100 * (1 - len(without) / max(1, len(long))), without)


def _is_long(node: ast.AST) -> bool:
    if not isinstance(node, Function):
        return False
    lines = node.end_lineno - node.lineno + 1
    if ast.get_docstring(node, clean=False) is not None:
        lines -= node.body[0].end_lineno - node.body[0].lineno + 1
    return lines >= LONG_FUNCTION_LINES


def has_steps(module: Module, function: Function) -> bool:
    """Say whether a blank line stands between two statements of this function."""
    lines = module.text.splitlines()
    taken: set[int] = set()  # by strings, and by functions and classes inside
    for node in ast.walk(function):
        if node is not function and isinstance(
            node, Function | ast.ClassDef | ast.Constant | ast.JoinedStr
        ):
            taken |= set(range(node.lineno, node.end_lineno + 1))

    body = (
        function.body[1:] if ast.get_docstring(function, clean=False) is not None else function.body
    )
    inside = range(body[0].lineno, function.end_lineno + 1) if body else ()
    return any(not lines[number - 1].strip() and number not in taken for number in inside)


def long_lines(house: House) -> Measured:
    """Lines of more than 100 characters, in Python and in Cython."""
    return _lines(house, lambda line: len(line) > MOST_COLUMNS)


def format_skips(house: House) -> Measured:
    """Places that the formatter leaves alone."""
    return _lines(house, lambda line: "# fmt: skip" in line or "# fmt: off" in line)


def _lines(house: House, is_meant: Callable[[str], bool]) -> Measured:
    found = []
    for path in sorted(
        one for kind in ("py", "pyx", "pxd") for one in house.package.rglob(f"*.{kind}")
    ):
        numbered = enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        found += [
            f"{path.relative_to(house.package)}:{number}"
            for number, line in numbered
            if is_meant(line)
        ]
    return Measured(len(found), found)


def anys(house: House) -> Measured:
    """Uses of the name `Any`, in annotations and elsewhere; importing it is no use."""
    found = []
    for module in house.modules.values():
        names = [node for node in ast.walk(module.tree) if _is_any(node)]
        found += [
            f"{module.path.relative_to(house.package)}:{line}"
            for line in sorted(one.lineno for one in names)
        ]
    return Measured(len(found), found)


def _is_any(node: ast.AST) -> bool:
    is_attribute = isinstance(node, ast.Attribute) and node.attr == "Any"
    return is_attribute or (isinstance(node, ast.Name) and node.id == "Any")


def tests_by_name(house: House) -> Measured:
    """Modules with a test file of their name, or with a line in the table of who tries them, in per
    cent.

    The `__init__` of a folder is no module here.
    """
    names = [name for name, module in house.modules.items() if not module.is_package]
    without = [
        name for name in names if house.test_file_of(name) is None and name not in house.tried_by
    ]
    return Measured(100 * (1 - len(without) / max(1, len(names))), without)


def shared_names(house: House) -> Measured:
    """Names that two classes of the package have, wherever these are defined."""
    places = defaultdict(list)
    for module in house.modules.values():
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(module.name or "tina4_wsgi")
    found = [
        f"{name}: {', '.join(where)}" for name, where in sorted(places.items()) if len(where) > 1
    ]
    return Measured(len(found), found)


@dataclass(frozen=True)
class Figure:
    """Something to measure, and how much of it there may be."""

    key: str
    text: str
    measure: Callable[[House], Measured]
    target: float | None
    """None: it is shown, and no value of it is wrong."""
    is_share: bool = False
    """In per cent, and at least the target; all others are numbers, and at most the target."""

    def is_met(self, value: float | None) -> bool:
        """Say whether a value meets the target; where nothing could be measured, nothing is
        missed.
        """
        if value is None or self.target is None:
            return True
        return value >= self.target if self.is_share else value <= self.target

    def shown(self, value: float | None) -> str:
        """Write a value of this figure."""
        if value is None:
            return "-"
        return f"{value:.1f} %" if self.is_share else f"{value:.0f}"


FIGURES = (
    Figure("flat", "Python files flat in the root", flat, 12),
    Figure("chain", "modules on the longest import chain", chain, 13),
    Figure("circles", "import circles", import_circles, 0),
    Figure("folders", "arrows between folders", folder_arrows, None),
    Figure("up", "imports that the table of folders forbids", arrows_up, 0),
    Figure(
        "paragraphs",
        f"functions of {LONG_FUNCTION_LINES}+ lines with a blank line",
        paragraphs,
        60,
        is_share=True,
    ),
    Figure("columns", f"lines over {MOST_COLUMNS} columns", long_lines, 0),
    Figure("skips", "`# fmt: skip`", format_skips, 5),
    Figure("any", "`Any`", anys, 160),
    Figure("tests", "modules with a test file of their name", tests_by_name, 90, is_share=True),
    Figure("classes", "class names defined twice", shared_names, 0),
)


def main() -> int:
    """Print the table, and give the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    keys = [figure.key for figure in FIGURES]
    parser.add_argument(
        "list", nargs="*", metavar="FIGURE", help=f"list what it counts: {', '.join(keys)}"
    )
    chosen = parser.parse_args().list
    if unknown := [key for key in chosen if key not in keys]:
        parser.error(f"no figure is called {unknown[0]}; there are {', '.join(keys)}")

    house = House()
    measured = {figure.key: figure.measure(house) for figure in FIGURES}

    is_missed = False
    print(f"{'':11}{'figure':44}{'now':>8}{'target':>10}")
    for figure in FIGURES:
        value = measured[figure.key].value
        sign = "at least" if figure.is_share else "at most"
        target = "" if figure.target is None else f"{sign} {figure.target:g}"
        print(f"{figure.key:11}{figure.text:44}{figure.shown(value):>8}  {target:12}", end="")
        print("" if figure.is_met(value) else "missed")
        is_missed |= not figure.is_met(value)

    for key in chosen:
        print(f"\n{key}:", *measured[key].found, sep="\n  ")
    return int(is_missed)


if __name__ == "__main__":
    sys.exit(main())
