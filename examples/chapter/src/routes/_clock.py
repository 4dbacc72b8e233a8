"""What time it is, for the examples that say so. Modules whose names begin with "_" are no
routes.
"""

from datetime import datetime, timezone


def utc_now():
    """The time in the form that JavaScript's `toISOString()` gives: 2026-01-31T12:00:00.000Z."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
