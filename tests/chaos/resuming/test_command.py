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

ROW = Row("cut", "tina4", "redis", 30_000, 0, 0, 0, 0, 0, 0, 0)


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

    assert "100 clients, 5 rooms, 4 workers, 100 messages a second, 15 s, seed 7; node 20." in text
    ours, theirs = [line for line in text.splitlines() if "30,000" in line]
    assert ours == (
        "| tina4_wsgi, route with history, in Redis | 30,000 | 0 | 0 | 0 | 0 | 0 | 0 | 0 |"
    )
    assert theirs == (
        "| tina4_wsgi, route without history | 30,000 | 6,583 | – | – | 0 | 0 | 0 | – |"
    )


def test_rows_are_kept_for_the_next_run_of_the_same_scale_and_no_other(tmp_path: Path):
    path = tmp_path / "rows.json"
    Store(path, Scale()).add("cut-tina4-redis", ROW)

    assert Store(path, Scale(clients=7)).rows() == []
    assert Store(path, Scale()).rows() == [ROW]


def test_rows_of_another_scale_erase_none(tmp_path: Path):
    path = tmp_path / "rows.json"
    Store(path, Scale()).add("cut-tina4-redis", ROW)
    Store(path, Scale(seed=8)).add("cut-tina4-redis", ROW._replace(lost=1))

    assert Store(path, Scale()).rows() == [ROW]
