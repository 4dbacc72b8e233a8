"""Reads the changes that a page shows as a `diff` block, and makes them to a file."""

from __future__ import annotations

_KINDS = (" ", "+", "-")


def check_diff(text: str) -> None:
    """Check that each line is context, added, removed, or begins a piece."""
    for line in text.splitlines():
        assert not line or line.startswith((*_KINDS, "@@")), (
            f"{line!r} of a diff begins with none of ' ', '+', '-' and '@@'"
        )


def applied(diff: str, text: str) -> str:
    """Give a file's text with the changes made.

    The pieces of the diff are parted by lines of "@@"; what a piece replaces must be in the file
    once, in the order of the pieces.
    """
    lines = text.splitlines()
    begin = 0
    for piece in _pieces(diff):
        before = [line[1:] for line in piece if line[:1] != "+"]
        places = [
            at
            for at in range(begin, len(lines) - len(before) + 1)
            if lines[at : at + len(before)] == before
        ]
        assert len(places) == 1, f"{before} stands {len(places)} times in the file, expected once"

        behind = [line[1:] for line in piece if line[:1] != "-"]
        lines[places[0] : places[0] + len(before)] = behind
        begin = places[0] + len(behind)
    return "\n".join(lines) + "\n"


def changed_lines(diff: str) -> int:
    """Count the lines that are added or removed, without empty ones."""
    return sum(line[:1] in ("+", "-") and bool(line[1:].strip()) for line in diff.splitlines())


def _pieces(diff: str) -> list[list[str]]:
    pieces: list[list[str]] = [[]]
    for line in diff.splitlines():
        if line.startswith("@@"):
            pieces.append([])
        else:
            pieces[-1].append(line)
    return [piece for piece in pieces if piece]
