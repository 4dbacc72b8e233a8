"""The identity of a user in all processes: what `auth` returned, as JSON.

Two values are the same user exactly if their texts are equal, so 1, True and 1.0 are three users.
An object that JSON can't show is unknown to other processes. Its `repr` won't do: it holds an
address, which two objects may share.
"""

from __future__ import annotations

import json
from typing import Any

from .. import jsontext

_SAME = frozenset({bool, int, str})
"""What JSON shows as it is."""

_write = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def shown(value: object) -> Any:  # Any: whatever the JSON holds
    """Return a value as JSON shows it, None where JSON can't; a tuple becomes a list."""
    try:
        return jsontext.decode(jsontext.encode(value))
    # The app's own classes may raise anything; such a value has no form in JSON.
    except Exception:  # noqa: BLE001
        return None


def text_of(value: object) -> str | None:
    """Return the one JSON text of a value, keys sorted; None where it has none, and for None."""
    plain = value if type(value) in _SAME else shown(value)
    return None if plain is None else _write(plain)
