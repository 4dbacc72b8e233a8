"""docs/legacy.md has the table that `make legacy` writes, of every application, and all is OK."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from hosts.table import part_of
from legacy import table
from legacy.checks import COLUMNS
from legacy.environment import ROOT
from legacy.subjects import SUBJECTS
from legacy.trial import FAIL, OK, WORKERS, Row


def cells_of(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


@pytest.fixture(scope="module")
def lines() -> list[str]:
    about, rows = part_of(table.PAGE.read_text()).split("\n\n")
    assert about.startswith("`make legacy`, ")
    return rows.splitlines()


def test_every_application_is_there_under_every_worker_and_all_is_ok(lines):
    rows = [cells_of(line) for line in lines[2:]]

    assert [(row[0], row[3]) for row in rows] == [
        (subject.label, f"`{worker}`") for subject in SUBJECTS for worker in WORKERS
    ]
    assert [row[4:] for row in rows] == [[OK] * len(COLUMNS)] * len(rows)


def test_the_page_counts_the_lines_that_there_are(lines):
    counts = {row[0]: row[2] for row in map(cells_of, lines[2:])}

    assert counts == {subject.label: str(subject.line_count) for subject in SUBJECTS}


def test_every_column_is_explained_on_the_page(lines):
    text = table.PAGE.read_text()

    assert cells_of(lines[0]) == list(table.HEAD)
    assert [column for column in COLUMNS if f"\n| {column} | " not in text] == []


def test_a_failure_is_written_into_its_cell():
    row = Row("Trac", "1", "sync", "9", (FAIL, *[OK] * (len(COLUMNS) - 1)))

    assert table.write("today:", [row]).splitlines()[-1] == (
        "| Trac | 1 | 9 | `sync` | FAIL | OK | OK | OK | OK |"
    )


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.key)
def test_each_application_has_both_files(subject):
    for name, defines in (("before.py", "application"), ("wsgi.py", "app")):
        text = (subject.files / name).read_text()
        ast.parse(text)
        assert defines in text


@pytest.mark.parametrize("option", ["--apps", "--workers"])
def test_an_unknown_name_is_refused_with_those_that_there_are(option):
    command = [sys.executable, "-m", "legacy", option, "nobody"]

    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False
    )

    assert done.returncode == 2
    assert "unknown: 'nobody', expected some of " in done.stderr
