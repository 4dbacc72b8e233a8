"""The plain WSGI app of docs/legacy.md gets live updates without a change, and they work as told."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.installed import install_into
from tests.support.markdown import blocks_of
from tests.support.raw import RawClient

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "legacy.md"
FILES = ("notes.py", "wsgi.py", "sockets.py", "notes.ini")
ADA, BOB = ("Cookie", "session=e3b0c44298fc1c149afb"), ("Cookie", "session=d7a8fbb307d7809469ca")


@pytest.fixture(params=["gevent", "sync"], scope="module")
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[servers.Server]:
    folder = tmp_path_factory.mktemp("notes")
    write_files(folder)
    env = {"PYTHONPATH": str(ROOT)}
    with servers.gunicorn(
        "wsgi:app", folder, folder / "log", worker_class=request.param, env=env
    ) as running:
        servers.wait_until_answering(running)
        yield running


@pytest.fixture
def ini_server(tmp_path: Path) -> Iterator[servers.Server]:
    write_files(tmp_path)
    env = {"PYTHONPATH": f"{tmp_path}:{install_into(tmp_path / 'installed')}"}
    with servers.gunicorn(
        "notes", tmp_path, tmp_path / "log", "--paste", "notes.ini", worker_class="sync", env=env
    ) as running:
        servers.wait_until_answering(running)
        yield running


def write_files(folder: Path) -> None:
    for name in FILES:
        text = next(one.text for one in blocks_of(PAGE) if one.name == name)
        (folder / name).write_text(text)


def post(server: servers.Server, text: str, path: str = "/notes") -> int:
    connection = http.client.HTTPConnection(*server.address, timeout=10)
    try:
        connection.request("POST", path, text, dict([ADA]))
        return connection.getresponse().status
    finally:
        connection.close()


def test_a_note_of_one_user_is_told_to_another(server):
    with RawClient.open(server.address, "/ws/notes", [BOB]) as client:
        assert post(server, "milk") == 303

        assert client.read_text() == '{"changed":"/notes"}'


def test_the_ini_file_does_the_same(ini_server):
    with RawClient.open(ini_server.address, "/ws/notes", [BOB]) as client:
        assert post(ini_server, "eggs") == 303

        assert client.read_text() == '{"changed":"/notes"}'


def test_a_log_out_closes_the_sockets_of_its_session(server):
    assert_log_out_closes(server)


def test_also_behind_the_ini_file(ini_server):
    assert_log_out_closes(ini_server)


def assert_log_out_closes(running: servers.Server) -> None:
    with (
        RawClient.open(running.address, "/ws/notes", [ADA]) as ada,
        RawClient.open(running.address, "/ws/notes", [BOB]) as bob,
    ):
        assert post(running, "", "/logout") == 303

        assert ada.read_close() == 4401
        post(running, "eggs")
        assert "changed" in read_last(bob)


def read_last(client: RawClient) -> str:
    """The second message: the first tells of the log-out, which is a POST, too."""
    client.read_text()
    return client.read_text()


def test_who_is_not_logged_in_may_not_listen_and_the_log_says_why(server):
    with RawClient.dial(server.address) as client:
        assert client.ask_upgrade("/ws/notes", "AAAAAAAAAAAAAAAAAAAAAA==").status == 401

    server.wait_for_log("/api/me answered 302 to '/login'")


def test_a_page_of_another_origin_may_not_listen(server):
    with RawClient.dial(server.address) as client:
        fields = [BOB, ("Origin", "https://evil.example")]

        assert client.ask_upgrade("/ws/notes", "AAAAAAAAAAAAAAAAAAAAAA==", fields).status == 403
