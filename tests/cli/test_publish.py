"""`tina4-wsgi publish` where history is kept; what reaches serving processes is tested in
`tests/backplane/test_publishing.py`.
"""

from __future__ import annotations

from tests.cli.kept import LIMITS
from tests.support.command import serving
from tests.support.raw import RawClient
from tina4_wsgi.cli.main import main
from tina4_wsgi.protocol.marks import message_of
from tina4_wsgi.routing.names import GroupKind

APP = """\
from tina4_wsgi import App, Router


@Router.websocket("/ws/news/{name}", history=50)
def news(connection, event, data):
    pass


app = App()
"""


def messages(kept):
    """Return what is kept of /ws/news/a."""
    topic = (GroupKind.PATH, "/ws/news/a")
    return [message_of(one.frame) for one in kept.journal.latest(topic, 50, 1_000, LIMITS, 0)]


def test_while_nobody_serves_a_message_is_kept(kept, capsys):
    code = main(["publish", "/ws/news/a", "hello"])

    assert code == 0
    assert capsys.readouterr().out == "kept for those who come back; no process serves now\n"
    assert messages(kept) == ["hello"]


def test_what_was_said_under_a_key_is_not_said_again(kept, capsys):
    codes = [main(["publish", "/ws/news/a", "paid", "--once", "invoice-42"]) for _ in range(2)]

    assert codes == [0, 0]
    assert capsys.readouterr().out == (
        "kept for those who come back; no process serves now\n"
        "said before under this key; nobody gets it again\n"
    )
    assert messages(kept) == ["paid"]


def test_a_key_is_refused_where_nothing_is_kept(kept, capsys):
    code = main(["publish", "/ws/other", "paid", "--once", "invoice-42"])

    assert code == 1
    assert capsys.readouterr().err.startswith(
        "tina4-wsgi: once='invoice-42' for '/ws/other', which keeps no history here"
    )


def test_where_nothing_is_kept_and_nobody_serves_it_fails(kept, capsys):
    code = main(["publish", "/ws/other", "hello"])

    assert code == 1
    assert capsys.readouterr().err.startswith("tina4-wsgi: nobody took the message")


def test_who_serves_takes_it_and_it_is_kept(kept, tmp_path, capsys, monkeypatch):
    (tmp_path / "wsgi.py").write_text(APP)
    monkeypatch.setenv("TINA4_WS_BUS_DIR", f"{tmp_path}/server.log.bus")
    with serving(tmp_path) as server, RawClient.open(server.address, "/ws/news/a") as client:
        code = main(["publish", "/ws/news/a", "hello", "--once", "k"])
        heard = client.read_text()
        main(["publish", "/ws/news/a", "hello", "--once", "k"])
        main(["publish", "/ws/news/a", "again"])

        assert (code, heard, client.read_text()) == (0, "hello", "again")
    assert capsys.readouterr().out == (
        "taken by 1 process, for 1 client\n"
        "said before under this key; nobody gets it again\n"
        "taken by 1 process, for 1 client\n"
    )
    assert messages(kept) == ["hello", "again"]
