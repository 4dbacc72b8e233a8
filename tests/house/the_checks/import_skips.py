"""A whole file that skips itself when a package is missing."""

from __future__ import annotations

import pytest

pytest.importorskip("no_such_browser", reason="no browser")
