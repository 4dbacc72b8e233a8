"""The names of paths as groups of connections know them."""

from __future__ import annotations


def normal_path(path: str) -> str:
    """Give the name of a path's group: "/x/" and "/x" are the same path."""
    return path.rstrip("/") or "/"
