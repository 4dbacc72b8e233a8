"""Finds the fenced code blocks of a Markdown page, each with its file name and the mark in the
comment before it.

The name is a line that readers see, right before the fence:

    **`wsgi.py`**

A mark is an HTML comment on a line of its own, before the fence and behind the name if there is
one. Readers don't see it: `KIND` or `KIND: VALUE`; what the kinds mean is said in
`tests/docs/test_code_blocks.py`.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,}) *(?P<language>[\w+-]*)[^`]*$")
NAME = re.compile(r"^ *\*\*`(?P<name>[^`\s]+)`\*\*$")
MARK = re.compile(r"^ *<!-- *(?P<kind>[a-z ]+?) *(?:: *(?P<value>.*?))? *-->$")


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Attributes:
        page: the file it stands in.
        line: where its fence opens, from 1.
        language: the word after the fence, "" for none.
        mark: the kind of the mark before it; without one "file" if it has a name, else "".
        value: what the mark says after its colon; for "file" the name.
        name: the file that it is, as readers see it; "" for none.
        text: the lines between the fences, without common indentation.
    """

    page: Path
    line: int
    language: str
    mark: str
    value: str
    name: str
    text: str

    @property
    def place(self) -> str:
        """Where it is, as "README.md:12"."""
        return f"{self.page.name}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """Give the fenced blocks of a page in their order; a fence that is never closed is a
    ValueError.
    """
    blocks: list[Block] = []
    opening: re.Match[str] | None = None
    first_line = 0
    mark: re.Match[str] | None = None
    name = ""
    inside: list[str] = []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if opening is not None:
            if line.strip() != opening["fence"]:
                inside.append(line)
                continue
            kind, value = (
                (mark["kind"], mark["value"] or "") if mark else ("file" if name else "", name)
            )
            text = textwrap.dedent("\n".join(inside)) + "\n"
            blocks.append(Block(page, first_line, opening["language"], kind, value, name, text))
            opening, mark, name, inside = None, None, "", []
        elif fence := FENCE.match(line):
            opening, first_line = fence, number
        elif line.strip():
            mark = MARK.match(line)
            if mark is None:
                name = named["name"] if (named := NAME.match(line)) else ""
    if opening is not None:
        raise ValueError(f"{page.name}:{first_line}: the fence is never closed")
    return blocks
