"""How large a case is, and how long it takes."""

from __future__ import annotations

from typing import NamedTuple


class Scale(NamedTuple):
    """What the command line says. Rows of one size stand in one table, whatever their seed."""

    clients: int = 100
    rooms: int = 5
    workers: int = 4
    rate: float = 100.0
    seconds: float = 15.0
    seed: int = 7

    @property
    def size(self) -> str:
        """All but the seed, as the table says it."""
        return (
            f"{self.clients} clients, {self.rooms} rooms, {self.workers} workers, "
            f"{self.rate:g} messages a second, {self.seconds:g} s"
        )
