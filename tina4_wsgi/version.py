"""The version of this package, in one place: packaging reads it here too."""

from __future__ import annotations

__version__ = "0.1.0"
