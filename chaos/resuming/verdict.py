"""What the journal promises, held against what a tally says."""

from __future__ import annotations

from .faults import Fault
from .ledger import Tally

NEVER = ("foreign", "doubled", "disordered", "split")
UNLESS_TOLD = ("silent", "late")
WHERE_ALL_IS_KEPT = ("lost", "told")


def broken_promises(fault: Fault, tally: Tally) -> list[str]:
    """Return the kinds of a tally that a route with history promised not to have, as "lost 3"."""
    kinds = (*NEVER, *(UNLESS_TOLD if fault.may_miss else WHERE_ALL_IS_KEPT))
    return [f"{kind} {getattr(tally, kind)}" for kind in kinds if getattr(tally, kind)]
