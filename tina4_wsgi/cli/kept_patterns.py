"""What keeps history, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..routing.names import GroupKind

if TYPE_CHECKING:
    from ..journal.contract import Declared, KeptLimits


def told(declared: Declared) -> str:
    """Name a path or a room that keeps history, and how much it keeps."""
    kind = "room " if declared.kind == GroupKind.ROOM else ""
    return f"{kind}{declared.pattern} ({amount(declared.limits)})"


def amount(limits: KeptLimits) -> str:
    """Return how much is kept: messages, for how long, and how many of them newcomers get."""
    replay = f", replay {limits.replay}" if limits.replay else ""
    return f"{limits.most_messages} for {limits.longest_s:g} s{replay}"
