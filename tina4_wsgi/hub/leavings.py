"""What a job may leave on the greenlet that ran it.

How it works. This module is pure Python. `leavings.pyx` beside it is the same module for a C
compiler; where the engine is compiled, Python imports the compiled one. Both are asked after every
callback, so they must cost next to nothing.
"""

from __future__ import annotations

from sys import getrefcount
from typing import TYPE_CHECKING
from weakref import getweakrefcount

if TYPE_CHECKING:
    from greenlet import greenlet

__all__ = ["count_references", "has_weak_references", "may_have_context"]


def may_have_context() -> bool:
    """Return whether the running greenlet may have a context with variables in it.

    Python can't tell without making one. The compiled module can.
    """
    return True


def count_references(worker: greenlet) -> int:
    """Count what refers to a greenlet; comparable only with another count of this function."""
    return getrefcount(worker)


def has_weak_references(worker: greenlet) -> bool:
    """Return whether anything refers weakly to a greenlet, such as a `gevent.local`."""
    return getweakrefcount(worker) > 0
