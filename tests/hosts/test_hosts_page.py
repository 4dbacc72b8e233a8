"""docs/hosts.md has the form in which `make hosts` writes it, and no cell without a yes or a
reason.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from hosts import environment, table
from hosts.checks import COLUMNS
from hosts.environment import ROOT
from hosts.host import HOSTS, OLD_GUNICORNS
from hosts.reasons import REASONS, reason_for
from hosts.trial import FAILED, YES, Row


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return table.read(table.part_of(table.PAGE.read_text()))[1]


def test_the_page_is_what_the_runner_would_write():
    part = table.part_of(table.PAGE.read_text())

    assert table.write(*table.read(part)) == part


def test_every_host_is_there_in_every_version(rows):
    expected = [host.label for host in HOSTS for _ in host.versions]
    tried = {row.version for row in rows if row.label == "`gunicorn -k gevent`"}

    assert [row.label for row in rows] == expected
    assert set(OLD_GUNICORNS) < tried
    assert len(tried) == len(OLD_GUNICORNS) + 1


def test_every_cell_is_a_yes_or_the_reason_that_it_may_have(rows):
    by_label = {host.label: host for host in HOSTS}

    for row in rows:
        reasons = [reason_for(by_label[row.label], column) for column in COLUMNS]
        assert row.cells == tuple(YES if reason is None else str(reason) for reason in reasons)


def test_every_reason_is_told_below_the_table():
    part = table.part_of(table.PAGE.read_text())

    assert [
        reason.mark for reason in REASONS if f"- ({reason.mark}) {reason.text}" not in part
    ] == []


def test_every_column_is_explained_on_the_page():
    text = table.PAGE.read_text()

    assert [column for column in COLUMNS if f"\n| {column} | " not in text] == []


def test_a_new_table_changes_nothing_else_on_the_page(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"x before\n\n{table.BEGIN}\n\nx\n\n{table.END}\n\nx behind\n")

    table.publish("the table", page)

    assert (
        page.read_text() == f"x before\n\n{table.BEGIN}\n\nthe table\n\n{table.END}\n\nx behind\n"
    )


def test_what_failed_is_read_as_written():
    row = Row("`a`", "1", tuple(FAILED if column == "TLS" else YES for column in COLUMNS))

    assert table.read(table.write("today.", [row])) == ("today.", [row])


def test_a_table_of_another_form_is_refused():
    part = table.write("today.", []).replace("TLS", "SSL")

    with pytest.raises(ValueError, match="the head of the table is"):
        table.read(part)


def test_an_environment_that_cannot_be_made_says_why(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "CACHE", environment.ROOT / ".cache" / "hosts" / tmp_path.name)
    monkeypatch.setattr(sys, "executable", "/bin/false")

    with pytest.raises(environment.EnvironmentFailed, match=r"^/bin/false -m venv "):
        environment.python_of("23.0.0")


@pytest.mark.parametrize("option", ["--hosts", "--gunicorns"])
def test_an_unknown_name_is_refused_with_those_that_there_are(option):
    command = [sys.executable, "-m", "hosts", option, "nobody"]

    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False
    )

    assert done.returncode == 2
    assert "unknown: 'nobody', expected some of " in done.stderr
