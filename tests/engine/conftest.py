"""The fixtures of `tests.support.engine_house`."""

from tests.support.engine_house import house, log, make_house

__all__ = ["house", "log", "make_house"]
