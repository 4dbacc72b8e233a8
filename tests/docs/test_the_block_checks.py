"""The check of the code blocks passes what is sound and finds what is not."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from tests.docs.test_code_blocks import try_page
from tests.support import languages
from tests.support.markdown import blocks_of


@pytest.fixture
def page(tmp_path: Path):
    """Make a page of a text and try its blocks."""

    def make(text: str) -> None:
        path = tmp_path / "page.md"
        path.write_text(textwrap.dedent(text))
        (tmp_path / "folder").mkdir()
        try_page(path, tmp_path / "folder")

    return make


def test_a_block_is_found_with_its_mark_its_place_and_its_text(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(
        "# Title\n\n- item\n\n  **`a.py`**\n\n  ```python\n  if 1:\n      x = 2\n  ```\n"
    )

    (block,) = blocks_of(path)

    assert (block.language, block.mark, block.value, block.place) == (
        "python",
        "file",
        "a.py",
        "page.md:7",
    )
    assert block.text == "if 1:\n    x = 2\n"


def test_a_mark_belongs_to_the_block_right_behind_it_only(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("<!-- run -->\nText.\n```sh\ncd .\n```\n")

    assert blocks_of(path)[0].mark == ""


def test_a_name_that_readers_see_makes_a_block_that_file(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(
        "**`a.py`**\n\n```python\n```\n```python\n```\n**`b.py`**\n<!-- not run: why "
        "-->\n```python\n```\n"
    )

    first, second, third = blocks_of(path)

    assert (first.mark, first.value, first.name) == ("file", "a.py", "a.py")
    assert (second.mark, second.value, second.name) == ("", "", "")
    assert (third.mark, third.value, third.name) == ("not run", "why", "b.py")


def test_sound_blocks_pass(page):
    page(
        """
        ```python
        greeting = "hello"
        ```
        <!-- continues -->
        ```python
        assert greeting == "hello"
        ```
        **`src/names.py`**
        ```python
        NAMES = ["Ada"]
        ```
        ```python
        import sys
        sys.path.insert(0, "src")
        import names
        ```
        <!-- run -->
        ```sh
        cd src && cat names.py   # the file from above
        ```
        ```sh
        NAME=value make test PYTHON=python3.12
        python -m venv .venv && .venv/bin/pip install 'tina4-wsgi[gunicorn]'
        gunicorn -k gevent --workers 4 --bind 127.0.0.1:8000 wsgi:app
        ```
        <!-- not run: shows an idea -->
        ```python
        undefined_name()
        ```
        ```console
        $ make help
        what it says
        ```
        ```json
        {"type": "system"}
        ```
        ```js
        const ws = new WebSocket(`ws://${location.host}/ws`);
        ```
        ```html
        <p>Hi<br><script>const x = 1;</script></p>
        ```
        ```jinja
        {% for name in names %}{{ name }}{% endfor %}
        ```
        ```nginx
        location / {
            proxy_pass http://127.0.0.1:8000;
        }
        ```
        ```yaml
        env:
          - {name: A, value: "1"}
        ```
        ```dockerfile
        FROM python:3.13
        RUN pip install x \\
            && echo done
        CMD ["gunicorn", "--bind", "0.0.0.0:80", "wsgi:app"]
        ```
        ```text
        anything at all
        ```
        """
    )


@pytest.mark.parametrize(
    ("block", "why"),
    [
        ("```\nx\n```", "no check for language ''"),
        ("```ruby\nx\n```", "no check for language 'ruby'"),
        ("```python\nimport no_such_module\n```", "No module named 'no_such_module'"),
        ("```python\nimport warnings; warnings.warn('old')\n```", "UserWarning: old"),
        ("<!-- not run -->\n```python\nx\n```", "say why it is not run"),
        ("<!-- not run: no -->\n```python\nif\n```", "invalid syntax"),
        ("**`../x.py`**\n```python\nx = 1\n```", "outside of the folder"),
        ("<!-- file: x.py -->\n```python\nx = 1\n```", "readers can't see a comment"),
        ("**`x.py`**\n```python\n1 / 0\n```", "ZeroDivisionError"),
        ("<!-- soon -->\n```python\nx = 1\n```", "mark 'soon' means nothing for python"),
        ("```sh\nif true\n```", "syntax error"),
        ("```sh\nfrobnicate --all\n```", "unknown command 'frobnicate'"),
        ("```sh\nmake lunch\n```", "the Makefile has no {'lunch'}"),
        ("```sh\ngunicorn --frobnicate wsgi:app\n```", "gunicorn lacks one of {'--frobnicate'}"),
        ("<!-- run -->\n```sh\ncat no-such-file\n```", "No such file"),
        ("```json\n{,}\n```", "Expecting property name"),
        ("```js\nconst = 1;\n```", "SyntaxError"),
        ("```html\n<p><b>x</p>\n```", "</p> in line 1 closes b"),
        ("```html\n<script>const = 1;</script>\n```", "SyntaxError"),
        ("```jinja\n{% for x in y %}\n```", "Unexpected end of template"),
        ("```nginx\nserver {\n listen 80\n}\n```", "a line lacks its semicolon"),
        ("```nginx\nserver {\n listen 80;\n```", "a brace is never closed"),
        ("```yaml\na: [\n```", "expected the node content"),
        ("```dockerfile\nRUN echo\n```", "begins with RUN, expected FROM"),
        ("```dockerfile\nFROM x\nCOPPY a b\n```", "unknown instruction 'COPPY'"),
        ('```dockerfile\nFROM x\nCMD ["gunicorn", "--frobnicate"]\n```', "gunicorn lacks one of"),
    ],
)
def test_an_unsound_block_is_found_and_named(page, block, why):
    with pytest.raises(AssertionError) as failure:
        page(block)

    assert why in str(failure.value)
    assert str(failure.value).startswith("page.md:")


def test_a_fence_that_is_never_closed_is_found(page):
    with pytest.raises(ValueError, match="never closed"):
        page("```python\nx = 1\n")


def test_commands_are_taken_apart_as_a_shell_does():
    script = "A=1 make test && cd 'some where'; # note\npython -m x \\\n  --port 80 | cat &\n"

    assert languages.simple_commands(script) == [
        ["make", "test"],
        ["cd", "some where"],
        ["python", "-m", "x", "--port", "80"],
        ["cat"],
    ]


def test_a_diff_changes_the_file_that_stands_before_it(page):
    page(
        """
        **`one.py`**
        ```python
        first = 1

        second = 2
        ```

        **`one.py`**
        ```diff
        @@
        -first = 1
        +first = 3
        @@
         second = 2
        +assert first > second
        ```
        ```python
        import one
        assert one.first == 3
        ```
        """
    )


@pytest.mark.parametrize("diff", ["-third = 3", "+first = 0\n second = 3", " first = 1\nthird = 3"])
def test_a_diff_that_does_not_fit_its_file_is_found(page, diff):
    with pytest.raises(AssertionError, match=r"expected once|begins with none of"):
        page(
            f"**`one.py`**\n```python\nfirst = 1\nsecond = 2\n```\n**`one.py`**\n```diff\n{diff}\n```\n"
        )
