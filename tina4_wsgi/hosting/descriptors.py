"""How many file descriptors this process may give to WebSockets."""

from __future__ import annotations

import resource

RESERVED = 64
"""Kept free of WebSockets: listeners, HTTP connections, the app's own files and database
connections.
"""


def to_spare() -> int:
    """Return the soft limit of descriptors less the reserved ones; at least 1."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(1, soft - RESERVED)
