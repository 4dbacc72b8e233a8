"""The types of settings cost a running process nothing: `typing_extensions` is for checkers
alone.
"""

from __future__ import annotations

import ast

import pytest

from tests.typing.checkers import ROOT

MODULES = sorted((ROOT / "tina4_wsgi").rglob("*.py"))


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_typing_extensions_for_checkers_alone(module):
    tree = ast.parse(module.read_text())
    for_types = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for child in ast.walk(node)
    }
    imported = [
        node
        for node in set(ast.walk(tree)) - for_types
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]

    assert [one.lineno for one in imported if "typing_extensions" in ast.unparse(one)] == []
