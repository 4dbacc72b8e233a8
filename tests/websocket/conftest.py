"""The fixtures of `tests.support.engine_house` and `tests.support.kept_house`."""

from tests.support.engine_house import house, log, make_house
from tests.support.kept_house import workers

__all__ = ["house", "log", "make_house", "workers"]
