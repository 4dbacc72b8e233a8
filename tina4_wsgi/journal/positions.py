"""The text of a position, as clients and pages have it: `k3x9Qz1a.0-42`.

That is the epoch, a dot, and for each shard its number and that of the latest message, joined by
`_`. There is one shard, 0, unless the messages of an app are spread over several servers.
"""

from __future__ import annotations

import re
import secrets
from typing import NamedTuple

EPOCH_BYTES = 6
VOID = "-"
"""The position of somebody who had one that is worth nothing any more."""

_POSITION = re.compile(
    r"(?P<epoch>[A-Za-z0-9_-]{1,32})\.(?P<shards>\d+-\d+(?:_\d+-\d+)*)", re.ASCII
)
_MOST_DIGITS = 18


class Position(NamedTuple):
    """What somebody has seen.

    Attributes:
        epoch: the epoch of the number; "" matches none.
        number: of the latest message that was seen.
    """

    epoch: str
    number: int

    def __str__(self) -> str:
        return f"{self.epoch}.0-{self.number}" if self.epoch else VOID


def new_epoch() -> str:
    """Return a new epoch, which nobody guesses and nothing has used."""
    return secrets.token_urlsafe(EPOCH_BYTES)


def parse(text: str) -> Position:
    """Read the text of a position; one that is malformed or void is of no epoch."""
    found = _POSITION.fullmatch(text)
    if found is None:
        return Position("", 0)
    for shard in found["shards"].split("_"):
        name, _, number = shard.partition("-")
        if name == "0" and len(number) <= _MOST_DIGITS:
            return Position(found["epoch"], int(number))
    return Position("", 0)
