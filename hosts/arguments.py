"""Arguments of the command line that `hosts` and `legacy` share."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence


def names_of(known: Sequence[str]) -> Callable[[str], list[str]]:
    """Return what makes a list of some of these names, as argparse wants it."""

    def parse(text: str) -> list[str]:
        names = text.split(",")
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(
                    f"unknown: {name!r}, expected some of {', '.join(known)}"
                )
        return names

    return parse
