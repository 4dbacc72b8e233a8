"""The shape that the house keeps: short functions, and a docstring on everything public."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "tina4_wsgi"
MOST_FUNCTION_LINES = 40  # of the body, without the docstring
MODULES = [str(path.relative_to(PACKAGE)) for path in sorted(PACKAGE.rglob("*.py"))]

Function = ast.FunctionDef | ast.AsyncFunctionDef


def tree_of(module: str) -> ast.Module:
    return ast.parse((PACKAGE / module).read_text(), module)


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def lines_of(function: Function) -> int:
    """How long the body is, without the docstring; the formatter decides how long a signature is."""
    first, *rest = function.body
    begin = first if ast.get_docstring(function) is None else (rest or [None])[0]
    return 0 if begin is None else function.end_lineno - begin.lineno + 1


def public_without_docstring(tree: ast.Module) -> Iterator[str]:
    """Names, with their lines, of what is public and says nothing about itself."""
    if ast.get_docstring(tree) is None:
        yield "1 (the module)"
    for node in tree.body:
        if isinstance(node, ast.ClassDef | Function) and not node.name.startswith("_"):
            yield from _silent(node)
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for member in node.body:
                if (
                    isinstance(member, Function)
                    and not member.name.startswith("_")
                    and not _is_said_elsewhere(member)
                ):
                    yield from _silent(member)


def _silent(node: ast.ClassDef | Function) -> Iterator[str]:
    if ast.get_docstring(node) is None:
        yield f"{node.lineno} {node.name}"


def _is_said_elsewhere(function: Function) -> bool:
    """A getter speaks for its setter, a function for its overloads, a Protocol for its bare
    members.
    """
    is_bare = isinstance(function.body[0], ast.Expr) and isinstance(
        function.body[0].value, ast.Constant
    )
    decorators = {ast.unparse(one).rpartition(".")[2] for one in function.decorator_list}
    return is_bare or bool(decorators & {"setter", "deleter", "overload"})


@pytest.mark.parametrize("module", MODULES)
def test_a_function_is_no_longer_than_40_lines(module):
    long = {
        one.name: lines_of(one)
        for one in functions(tree_of(module))
        if lines_of(one) > MOST_FUNCTION_LINES
    }

    assert long == {}


@pytest.mark.parametrize("module", MODULES)
def test_everything_public_has_a_docstring(module):
    silent = list(public_without_docstring(tree_of(module)))

    assert silent == []
