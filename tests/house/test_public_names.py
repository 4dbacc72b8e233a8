"""What `import tina4_wsgi` gives: every public name, at its first use."""

from __future__ import annotations

import subprocess
import sys

import pytest

import tina4_wsgi
from tina4_wsgi import app, connection, errors, router, version, wrappers


@pytest.mark.parametrize("name", tina4_wsgi.__all__)
def test_a_public_name_is_the_one_of_its_module(name):
    homes = [home for home in (app, connection, errors, router, version, wrappers) if hasattr(home, name)]

    assert getattr(tina4_wsgi, name) is getattr(homes[0], name)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'tina4_wsgi' has no attribute 'Flask'"):
        _ = tina4_wsgi.Flask


def test_public_names_are_listed_before_they_are_used():
    program = "import tina4_wsgi; print(set(tina4_wsgi.__all__) <= set(dir(tina4_wsgi)))"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True)

    assert done.stdout == "True\n"
