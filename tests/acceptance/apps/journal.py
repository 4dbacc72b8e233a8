"""Writes down what callbacks are called with: one line of JSON each, in the file that JOURNAL
names.
"""

from __future__ import annotations

import json
import os

_file = os.open(os.environ["JOURNAL"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def note(tag, event, **details):
    """Add one line; a single write, so that lines of several processes never mix."""
    os.write(_file, (json.dumps({"tag": tag, "event": event, **details}) + "\n").encode())


def note_call(connection, event, data):
    """Add what a callback sees; the client's `tag` is in its query."""
    note(
        connection.query.get("tag"),
        event,
        data=data if isinstance(data, str) else data.hex(),
        code=connection.close_code,
        reason=connection.close_reason,
        closed=connection.closed,
    )
