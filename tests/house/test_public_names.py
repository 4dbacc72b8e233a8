"""What `import tina4_wsgi` gives: every public name, each when it is first asked for."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import tina4_wsgi

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", tina4_wsgi.__all__)
def test_a_public_name_is_there(name):
    assert getattr(tina4_wsgi, name) is not None
    assert name in dir(tina4_wsgi)


def test_what_type_checkers_see_is_what_is_given():
    tree = ast.parse((ROOT / "tina4_wsgi" / "__init__.py").read_text())
    (shown,) = [node for node in tree.body if isinstance(node, ast.If)]
    imports = [node for node in shown.body if isinstance(node, ast.ImportFrom)]

    assert {
        alias.name: node.module for node in imports for alias in node.names
    } == tina4_wsgi._MODULE_OF
    assert set(tina4_wsgi._MODULE_OF) == set(tina4_wsgi.__all__)


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'tina4_wsgi' has no attribute 'nonsense'"):
        tina4_wsgi.nonsense  # noqa: B018


def test_importing_the_package_and_publish_imports_no_gevent():
    program = (
        "import sys, tina4_wsgi; tina4_wsgi.publish; print([one for one in sys.modules if 'gevent' "
        "in one])"
    )

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )

    assert done.stdout == "[]\n"


def test_public_names_are_listed_before_they_are_used():
    program = "import tina4_wsgi; print(set(tina4_wsgi.__all__) <= set(dir(tina4_wsgi)))"

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True
    )

    assert done.stdout == "True\n"
