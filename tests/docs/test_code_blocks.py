"""Every code block in README.md and docs/ does what a reader who copies it would expect.

The blocks of a page are tried in their order, in one empty folder, with the package installed. What
stands in a language that `tests/support/languages.py` has no check for fails, so that nothing
stands in the docs unchecked by accident; output is `text`.

Python runs as a script under `-W error` and must exit with 0. Everything else has its syntax
checked; in shell blocks each command, make target and option must exist too.

A line of its own before the fence changes that. The first is there for readers, too; the others are
comments:

**`NAME`**                   the block is that file: it is written into the page's folder; a Python
                             file is imported, and served when it has an `app`. With `not run` below
                             it is compiled only. A `diff` is made to the file that was written
`<!-- continues -->`         Python: runs behind the Python block before it, in one script
`<!-- run -->`               shell: its commands are run too
`<!-- not run: REASON -->`   Python: is only compiled; a `diff`: its form alone is checked
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import languages, servers
from tests.support.changes import applied
from tests.support.markdown import Block, blocks_of

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

HAS_APP = re.compile(r"^app = ", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.deadline(120)
def test_every_code_block_works(page: Path, tmp_path: Path) -> None:
    try_page(page, tmp_path)


def try_page(page: Path, folder: Path) -> None:
    """Try all blocks of a page; the first that fails is named."""
    script = ""  # the Python that a block marked `continues` goes on from
    for block in blocks_of(page):
        if block.language == "python":
            script = f"{script}\n{block.text}" if block.mark == "continues" else block.text
        try:
            try_block(block, folder, script)
        except (AssertionError, ValueError, SyntaxError) as exc:
            raise AssertionError(f"{block.place}: {exc}") from exc


def try_block(block: Block, folder: Path, script: str) -> None:
    """Do with a block what its language and its mark ask for."""
    assert block.language in languages.CHECKS, f"no check for language {block.language!r}"
    match block.language, block.mark:
        case "python", "" | "continues":
            languages.run([*servers.PYTHON, "-c", script], folder)
        case "python" | "diff", "not run":
            assert block.value, "say why it is not run, as in `not run: needs Redis`"
            languages.CHECKS[block.language](block.text)
        case _, "file" if not block.name:
            raise AssertionError(
                f"readers can't see a comment; name the file by a line **`{block.value}`**"
            )
        case _, "file":
            try_file(block, folder)
        case "sh" | "bash", "run":
            languages.CHECKS["sh"](block.text)
            languages.run(["bash", "-euo", "pipefail", "-c", block.text], folder)
        case language, "":
            languages.CHECKS[language](block.text)
        case language, mark:
            raise AssertionError(f"mark {mark!r} means nothing for {language}")


def try_file(block: Block, folder: Path) -> None:
    """Write the file; import it if it is Python, and serve it if it has an app."""
    path = folder / block.value
    assert path.resolve().is_relative_to(folder.resolve()), (
        f"{block.value} is outside of the folder"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    languages.CHECKS[block.language](block.text)
    text, language = block.text, block.language
    if language == "diff":
        text = applied(text, path.read_text())
        language = languages.of_file(path)
        languages.CHECKS[language](text)
    path.write_text(text)
    if language != "python":
        return
    if path.parent == folder and HAS_APP.search(text):
        with servers.own(
            f"{path.stem}:app", folder, folder / ".log", env=languages.environment()
        ) as server:
            servers.wait_until_answering(server)
    else:
        program = f"import runpy; runpy.run_path({block.value!r}, run_name='imported')"
        languages.run([*servers.PYTHON, "-c", program], folder)
