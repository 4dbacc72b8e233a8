"""The package meets the targets of scripts/measure_house.py, and the script counts what it says."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from scripts import measure_house
from scripts.measure_house import House

FIGURES = {figure.key: figure for figure in measure_house.FIGURES}
WITH_TARGET = [key for key, figure in FIGURES.items() if figure.target is not None]


@pytest.fixture(scope="module")
def house() -> House:
    return House()


@pytest.mark.parametrize("key", WITH_TARGET)
def test_the_target_is_met(house, key):
    figure = FIGURES[key]

    measured = figure.measure(house)

    assert figure.is_met(measured.value), "\n".join(
        [f"{figure.text}: {measured.value}, target {figure.target}", *measured.found]
    )


def test_the_table_of_who_tries_what_is_true(house):
    named = {name for name in house.modules if house.test_file_of(name) is not None}
    missing = {path for path in house.tried_by.values() if not (measure_house.ROOT / path).exists()}

    assert missing == set()
    assert set(house.tried_by) - set(house.modules) == set()
    assert set(house.tried_by) & named == set()  # these need no line


# What the script counts, on packages of a few lines


@pytest.fixture
def build(tmp_path: Path):
    """Make a house of the files given, with their text."""

    def build_one(**files: str) -> House:
        for name, text in files.items():
            path = tmp_path / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
        return House(tmp_path)

    return build_one


def test_a_chain_is_made_of_imports_that_run_at_once(build):
    house = build(
        tina4_wsgi__a="from .b import x\n",
        tina4_wsgi__b="""
            try:
                from tina4_wsgi import c
            except ImportError:
                pass
        """,
        tina4_wsgi__c="""
            if TYPE_CHECKING:
                from . import d

            def late():
                from . import d
        """,
        tina4_wsgi__d="",
    )

    assert measure_house.chain(house).found == ["a", "b", "c"]
    assert [str(one) for one in house.arrows if one.is_late] == ["c:6 imports d (late)"]


def test_a_name_from_a_folder_is_an_import_of_the_folder(build):
    house = build(
        tina4_wsgi__hub__inner="from . import turn, Name\nfrom ..errors import UsageError\n",
        tina4_wsgi__hub__turn="",
        tina4_wsgi__errors="",
    )

    assert {one.target for one in house.arrows} == {"hub.turn", "hub", "errors"}


def test_a_circle_is_told_once(build):
    house = build(
        tina4_wsgi__a="from . import b\n",
        tina4_wsgi__b="from . import c\n",
        tina4_wsgi__c="from . import a\n",
        tina4_wsgi__d="from . import a\n",
    )

    assert measure_house.import_circles(house).found == ["a b c"]


ROWS = """
ROWS = {
    "errors config": "",
    "protocol": "errors",
    "app": "above",
    "server": "protocol.frames late:app",
}
"""


@pytest.mark.parametrize(
    ("source", "target", "is_allowed"),
    [
        ("protocol__frames", "errors", True),
        ("protocol__frames", "config", False),
        ("protocol__frames", "app", False),
        ("app", "protocol.frames", True),
        ("config", "errors", True),
        ("server__wire", "app", False),
        ("server__wire", "protocol.frames", True),
        ("server__wire", "protocol.session", False),
    ],
)
def test_an_import_that_the_table_does_not_name_is_forbidden(build, source, target, is_allowed):
    files = dict.fromkeys(
        ("config", "errors", "app", "protocol__frames", "protocol__session", "server__wire"), ""
    )
    files[source] = f"import tina4_wsgi.{target}\n"

    house = build(
        tests__house__rows=ROWS, **{f"tina4_wsgi__{name}": text for name, text in files.items()}
    )

    assert len(measure_house.arrows_up(house).found) == (0 if is_allowed else 1)


def test_an_import_inside_a_function_may_be_allowed_by_itself(build):
    house = build(
        tests__house__rows=ROWS,
        tina4_wsgi__app="",
        tina4_wsgi__server__loading="def load():\n    from ..app import App\n",
    )

    assert measure_house.arrows_up(house).found == []


def test_a_module_in_no_row_is_told(build):
    house = build(tests__house__rows=ROWS, tina4_wsgi__stray="")

    assert measure_house.arrows_up(house).found == ["stray is in no row"]


def test_without_a_table_no_arrow_is_wrong(build):
    assert measure_house.arrows_up(build(tina4_wsgi__a="")).value is None


STEPS = "\n".join("    one()" for _ in range(6))


@pytest.mark.parametrize(
    ("body", "has_steps"),
    [
        (f"{STEPS}\n\n{STEPS}", True),
        (f"{STEPS}\n{STEPS}", False),
        (f'    """Say.\n\n    More.\n    """\n\n{STEPS}\n{STEPS}', False),
        (f'{STEPS}\n    text = """\n\n"""\n{STEPS}', False),
        (f"{STEPS}\n    def inner():\n        one()\n\n        one()\n{STEPS}", False),
        (f"{STEPS}\n    if one():\n        one()\n\n        one()\n{STEPS}", True),
    ],
)
def test_a_blank_line_counts_between_statements_of_the_function_itself(build, body, has_steps):
    house = build(tina4_wsgi__a=f"def long():\n{body}\n")

    assert measure_house.paragraphs(house).value == (100 if has_steps else 0)


def test_a_function_of_eleven_lines_needs_no_blank_line(build):
    house = build(
        tina4_wsgi__a='def short():\n    """Say.\n\n    More.\n    """\n' + "    one()\n" * 10
    )

    assert measure_house.paragraphs(house).found == []


def test_any_is_counted_where_it_is_used(build):
    house = build(
        tina4_wsgi__a="from typing import Any\n\nx: dict[str, Any] = {}\ny: Any = typing.Any\n"
    )

    assert measure_house.anys(house).found == ["a.py:3", "a.py:4", "a.py:4"]


@pytest.mark.parametrize(
    ("module", "test"),
    [
        ("app", "tests__acceptance__test_app"),
        ("hub__turn", "tests__hub__test_turn"),
        ("contrib__django__auth", "tests__contrib__django__test_auth"),
        ("contrib__django__auth", "tests__contrib__test_django_auth"),
    ],
)
def test_a_module_finds_the_test_file_of_its_name(build, module, test):
    house = build(**{f"tina4_wsgi__{module}": "", test: ""})

    assert measure_house.tests_by_name(house).value == 100


def test_a_line_in_the_table_stands_for_a_test_file(build):
    table = 'TRIED_BY = {"hub.turn": "tests/acceptance/test_ends.py"}\n'

    house = build(
        tina4_wsgi__hub__turn="", tina4_wsgi__hub__stream="", tests__house__tried_by=table
    )

    assert measure_house.tests_by_name(house).found == ["hub.stream"]


def test_classes_of_one_name_are_told_with_their_modules(build):
    house = build(
        tina4_wsgi__a="class Place: ...\n", tina4_wsgi__b="class Place: ...\nclass Other: ...\n"
    )

    assert measure_house.shared_names(house).found == ["Place: a, b"]
