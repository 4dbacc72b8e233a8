"""More descriptors than a process usually gets, for tests with thousands of sockets."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator


@contextlib.contextmanager
def at_least(count: int) -> Iterator[None]:
    """Allow so many descriptors here, and in the children that are started in the block."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(soft, count)
    # Above the hard limit only root may go; who may not gets a ValueError that says so.
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, max(hard, wanted)))
