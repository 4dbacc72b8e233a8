"""Which cases a command line asks for, and what becomes of their rows."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.resuming import command
from chaos.resuming.course import Case
from chaos.resuming.faults import FAULTS
from chaos.resuming.peers import PEERS
from chaos.resuming.scale import Scale
from chaos.resuming.table import Row, Store, page

ROW = Row("cut", "tina4", "redis", "2030-01-02", "CPython 3.99.1", 7, 30_000, 0, 0, 0, 0, 0, 0, 0)


def test_a_case_has_each_peer_on_each_journal_that_the_fault_means_something_to():
    cases = list(command.cases(["deleted", "cut"], ["tina4", "plain"], ["file", "redis"]))

    assert cases == [
        Case("deleted", "tina4", "file"),
        Case("cut", "tina4", "file"),
        Case("cut", "tina4", "redis"),
        Case("cut", "plain", ""),
    ]


def test_a_peer_on_one_journal_only_is_there_whichever_journals_are_asked_for():
    assert list(command.cases(["cut"], ["socketio-redis"], ["file"])) == [
        Case("cut", "socketio-redis", "redis")
    ]


@pytest.mark.parametrize(
    "arguments", [["--faults", "rain"], ["--faults", "hup", "--peers", "socketio"]]
)
def test_a_case_that_does_not_exist_is_an_error_of_usage(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        command.main(arguments)

    assert stopped.value.code == 2
    assert "error: " in capsys.readouterr().err


def test_the_peers_are_tried_with_faults_that_there_are():
    assert {fault for peer in PEERS.values() for fault in peer.faults} == set(FAULTS)


def test_the_page_names_peer_and_journal_and_has_no_figure_that_a_peer_cannot_know():
    plain = ROW._replace(peer="plain", journal="", lost=6_583, silent=6_583)

    text = page([plain, ROW], Scale(), {"node": "20"})

    assert "100 clients, 5 rooms, 4 workers, 100 messages a second, 15 s; seed 7." in text
    assert "with node 20." in text
    ours, theirs = [line for line in text.splitlines() if "30,000" in line]
    assert ours.startswith(
        "| tina4_wsgi, route with history, in Redis | 30,000 | 0 | 0 | 0 | 0 | 0 | 0 | 0 |"
    )
    assert theirs.startswith(
        "| tina4_wsgi, route without history | 30,000 | 6,583 | – | – | 0 | 0 | 0 | – |"
    )


def test_each_line_of_the_page_says_when_and_by_what_it_was_measured():
    later = ROW._replace(journal="file", date="2030-01-03", python="CPython 3.99.2", seed=8)

    text = page([ROW, later], Scale(), {})

    first, second = [line for line in text.splitlines() if "30,000" in line]
    assert first.endswith("| 2030-01-03, CPython 3.99.2 |")
    assert second.endswith("| 2030-01-02, CPython 3.99.1 |")
    assert "15 s; seeds 7, 8." in text


def test_redis_that_fails_over_or_comes_back_empty_has_rows_for_us_and_for_socket_io():
    ours = [ROW._replace(fault=fault) for fault in ("failover", "emptied")]
    theirs = [row._replace(peer="socketio-redis") for row in ours]

    text = page(theirs + ours, Scale(), {})

    for title in ("## Failover: ", "## Emptied: "):
        section = text.partition(title)[2].partition("\n## ")[0]
        assert section.index("history, in Redis") < section.index("recovery by Redis Streams")


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have pages published in a folder of the test, and return the page."""
    monkeypatch.setattr(command, "RESULTS", tmp_path / "results.md")
    monkeypatch.setattr(command, "ROWS", tmp_path / "results.jsonl")
    return tmp_path / "results.md"


def test_what_is_published_keeps_the_rows_of_other_peers_journals_and_faults(published: Path):
    others = [
        ROW._replace(peer="plain", journal=""),
        ROW._replace(journal="file"),
        ROW._replace(fault="kill"),
    ]
    for row in others:
        command.publish(row, Scale())

    command.publish(ROW._replace(seed=8), Scale(seed=8))

    assert published.read_text().count("30,000") == 4


def test_a_case_that_is_published_again_replaces_its_row(published: Path):
    command.publish(ROW, Scale())

    command.publish(ROW._replace(owed=40_000), Scale())

    assert "30,000" not in published.read_text()
    assert "40,000" in published.read_text()


def test_rows_of_another_size_stay_out_of_the_page_and_are_there_again_for_theirs(
    published: Path,
):
    command.publish(ROW, Scale())

    command.publish(ROW._replace(owed=7), Scale(clients=7))

    assert "30,000" not in published.read_text()
    command.publish(ROW._replace(fault="kill"), Scale())
    assert published.read_text().count("30,000") == 2


def test_rows_of_a_peer_that_there_is_no_more_stay_out_of_the_page(tmp_path: Path):
    store = Store(tmp_path / "rows.jsonl", Scale())
    store.add(ROW._replace(peer="pigeons"))
    store.add(ROW)

    assert store.rows() == [ROW]


def test_the_page_is_what_its_rows_say():
    rows = Store(command.ROWS, Scale()).rows()

    shown = command.RESULTS.read_text().splitlines()

    assert [line for line in page(rows, Scale(), {}).splitlines() if line.startswith("|")] == [
        line for line in shown if line.startswith("|")
    ]
