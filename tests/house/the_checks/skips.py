"""Ways to skip a test, each a failure under CI but for the last two."""

from __future__ import annotations

import pytest


def test_skip_inside():
    pytest.skip("no browser")


@pytest.mark.skip("no browser")
def test_skip_mark():
    pass


@pytest.mark.skipif(True, reason="no browser")
def test_skip_if():
    pass


@pytest.mark.optional("needs a second machine")
def test_optional_skip():
    pytest.skip("no second machine")


@pytest.mark.xfail(reason="known")
def test_expected_failure():
    raise AssertionError
