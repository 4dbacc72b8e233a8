"""Every test that takes `hear` runs whole, byte by byte and in random parts."""

from __future__ import annotations

from typing import Any, Protocol

import pytest

from tests.support import splits
from tests.support.splits import Heard


class Hear(Protocol):
    """Tell a stream to a new session; keywords are settings that differ from the defaults."""

    def __call__(self, data: bytes, **limits: Any) -> Heard: ...


@pytest.fixture(params=splits.WAYS)
def hear(request: pytest.FixtureRequest) -> Hear:
    way = splits.WAYS[request.param]
    return lambda data, **limits: splits.hear(way(data), **limits)
