"""The identity of a user across processes: the result of `auth`, as JSON.

Two values are the same user if and only if their texts are equal, so 1, True and 1.0 are three
users. Other processes can't identify an object that JSON can't show. Its `repr` won't do: it holds
an address, and two objects may share an address.
"""

from __future__ import annotations

import json
from typing import Any

from .. import jsontext

_SAME = frozenset({bool, int, str})
"""Types whose values JSON shows unchanged."""

_write = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def shown(value: object) -> Any:  # Any: whatever the JSON holds
    """Return a value after a round trip through JSON, None where JSON can't show it."""
    try:
        return jsontext.decode(jsontext.encode(value))
    # The app's own classes may raise anything; such a value has no form in JSON.
    except Exception:  # noqa: BLE001
        return None


def text_of(value: object) -> str | None:
    """Return the canonical JSON text of a value; None where it has none, and for None."""
    plain = value if type(value) in _SAME else shown(value)
    return None if plain is None else _write(plain)
