"""A whole file that skips itself."""

from __future__ import annotations

import pytest

pytest.skip("no browser", allow_module_level=True)
