"""Pages of ours, the examples, a new project and the tutorial name an icon.

Otherwise a browser asks for /favicon.ico, and complains that there is none.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.markdown import blocks_of

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("examples", "tina4_wsgi/browser", "tina4_wsgi/cli/project")
TUTORIAL = ROOT / "docs" / "tutorial.md"
ENDINGS = (".html", ".tpl", ".jinja2")


def whole_pages() -> dict[str, str]:
    """Give the files and code blocks that are pages from the doctype on, by where they are."""
    pages = {
        str(file.relative_to(ROOT)): file.read_text()
        for folder in FOLDERS
        for file in sorted((ROOT / folder).rglob("*"))
        if file.suffix in ENDINGS
    }
    pages |= {f"{TUTORIAL.name}:{block.line}": block.text for block in blocks_of(TUTORIAL)}
    return {
        place: text for place, text in pages.items() if text.lower().startswith("<!doctype html")
    }


PAGES = whole_pages()


@pytest.mark.parametrize("place", PAGES)
def test_a_page_names_its_icon(place):
    assert 'rel="icon"' in PAGES[place]


def test_pages_of_every_kind_are_looked_at():
    assert {Path(place.partition(":")[0]).suffix for place in PAGES} == {*ENDINGS, ".md"}
