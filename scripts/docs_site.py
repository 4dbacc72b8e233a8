"""What mkdocs asks of us while it builds the site: the hooks that mkdocs.yml names.

The pages in docs/ are written to be read in the repository, too. A line with the name of a file
before a code block is the block's title here. Marks of code blocks, which say how one is tested,
are left out. Links that leave docs/ have no page here; their text stays.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parent))

import reference  # its folder is not on the path before

FILE_NAME = re.compile(r"^ *\*\*`([^`\s]+)`\*\*\n(?:\s*\n)?( *```\w+)$", re.MULTILINE)
MARK = re.compile(r"^ *<!--[^>]*-->\n", re.MULTILINE)
OUTWARD_LINK = re.compile(r"\[([^\]]+)\]\(\.\./[^)]*\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Leave out of the menu what this tree has no page for."""
    pages = {path.name for path in Path(config.docs_dir).glob("*.md")}
    config.nav = _kept(config.nav, pages)
    return config


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make titles of the names of files, and plain text of links that leave docs/; and make the
    reference.
    """
    if page.file.src_uri == "reference.md":
        return reference.page()
    titled = FILE_NAME.sub(r'\2 title="\1"', MARK.sub("", markdown))
    return OUTWARD_LINK.sub(r"\1", titled)


def _kept(
    entries: list[Any], pages: set[str]
) -> list[Any]:  # Any: nav is nested lists and dicts of texts
    kept = []
    for entry in entries:
        ((title, value),) = entry.items()
        if isinstance(value, list):
            kept.append({title: _kept(value, pages)})
        elif value in pages:
            kept.append({title: value})
    return kept
