"""Refuses path patterns whose regular expression would backtrack in more than linear time.

Werkzeug matches a segment with several parameters by one expression. A parameter that may hold the
text behind it can end at many places, and where two can, each pair of places is tried before a path
is given up: `/{a}-{b}-{c}.json` tries cubically many, twenty seconds for a path of 3 KiB. So this
module counts such parameters. One is harmless. Two get an upper length, which bounds the work.
Three or more, and two that can't be bounded, are refused, with a spelling that is linear.

Pure: it knows of a parameter only what `Part` names.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MOST_CHARACTERS = 255
"""The upper length of a parameter that shares its segment with another; that of a file's name."""

_MOST_STEPS = 65_536  # about half a millisecond
_MOST_ENDS = 256  # of bounded parameters beside an unbounded one


class Part(Protocol):
    """A parameter of a path; see `pattern.Parameter`."""

    @property
    def name(self) -> str:
        """The parameter's name."""

    @property
    def ends(self) -> int | None:
        """The number of places at which a value may end; None for any number."""

    @property
    def is_text(self) -> bool:
        """Whether it is a string, which may be given an upper length."""

    @property
    def spans_slashes(self) -> bool:
        """Whether it takes more than one segment."""

    def may_hold(self, text: str) -> bool:
        """Return whether a value may have this character in it."""


@dataclass
class _Group:
    """The pieces between two slashes, which are matched against the same text."""

    pieces: list[Part | str] = field(default_factory=list)

    def ambiguous(self, *, is_end: bool) -> list[Part]:
        """Return the parameters whose number of places multiplies the work.

        Args:
            is_end: nothing else is matched by the same expression behind this group.
        """
        found: list[Part] = []

        for place, piece in enumerate(self.pieces):
            if isinstance(piece, str) or piece.ends == 1:
                continue
            following = self.pieces[place + 1] if place + 1 < len(self.pieces) else None
            before = self.pieces[place - 1] if place else None
            if following is not None and _may_end_before(piece, following):
                found.append(piece)
                continue

            takes_the_rest = is_end and following is None and piece.is_text and piece.ends is None
            # This piece has one end, but is read again from each place where the last one may end.
            if (
                found
                and not takes_the_rest
                and (not isinstance(before, str) or piece.may_hold(before[-1]))
            ):
                found.append(piece)

        return found


def _may_end_before(piece: Part, following: Part | str) -> bool:
    if isinstance(following, str):
        return piece.may_hold(following[0])
    return True  # nothing stands between them


def too_ambiguous(pieces: Sequence[Part | str]) -> tuple[list[str], list[str]]:
    """Find the parameters of a path that make too much work together.

    Returns:
        Their names, none if all is well; and the names of the parameters that need an upper length,
        `MOST_CHARACTERS`.
    """
    paths = [piece for piece in pieces if not isinstance(piece, str) and piece.spans_slashes]
    if len(paths) > 1:
        return [part.name for part in paths], []

    bounded: list[str] = []
    # Whatever follows a parameter that spans slashes is tried at each of its ends.
    is_open = False
    groups = _groups(pieces)
    for number, group in enumerate(groups, 1):
        has_path = any(part in paths for part in group.pieces)
        is_last = not any(following.pieces for following in groups[number:])
        found = group.ambiguous(is_end=is_last or not (is_open or has_path))
        unbounded = [part for part in found if part.ends is None]
        steps = _product(part.ends or 1 for part in found)

        if len(unbounded) > 1:
            steps *= MOST_CHARACTERS ** len(unbounded)
            if (
                is_open
                or has_path
                or steps > _MOST_STEPS
                or not all(part.is_text for part in unbounded)
            ):
                return [part.name for part in found], []
            bounded += [part.name for part in unbounded]
        elif steps > (_MOST_ENDS if unbounded else _MOST_STEPS):
            return [part.name for part in found], []
        is_open = is_open or has_path

    return [], bounded


def _groups(pieces: Sequence[Part | str]) -> list[_Group]:
    groups = [_Group()]
    for piece in pieces:
        if not isinstance(piece, str):
            groups[-1].pieces.append(piece)
            continue
        first, *others = piece.split("/")
        if first:
            groups[-1].pieces.append(first)
        groups += [_Group([text] if text else []) for text in others]

    # A parameter that spans slashes may also end before the slash behind it.
    for group, following in itertools.pairwise(groups):
        last = group.pieces[-1] if group.pieces else ""
        if not isinstance(last, str) and last.spans_slashes and following.pieces:
            group.pieces.append("/")

    return groups


def _product(numbers: Iterable[int]) -> int:
    product = 1
    for number in numbers:
        product *= number
    return product
