"""`tina4-wsgi history`, `tap` and `publish` where history is kept in Redis; no app serves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.kept import LIMITS, NOTHING
from tests.support import redis
from tests.support.redis import RedisServer
from tina4_wsgi.backplane.isolation import isolation
from tina4_wsgi.backplane.outside_history import OutsideHistory
from tina4_wsgi.backplane.redis.journal import RedisJournal
from tina4_wsgi.cli.main import main
from tina4_wsgi.config import Config
from tina4_wsgi.errors import JournalError
from tina4_wsgi.journal.contract import Declared, Draft
from tina4_wsgi.protocol.framing import text_frame
from tina4_wsgi.routing.names import GroupKind

TOPIC = (GroupKind.PATH, "/ws/news/a")
FEW = LIMITS._replace(most_messages=3)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis.running(tmp_path_factory.mktemp("redis")) as broker:
        yield broker


@pytest.fixture
def journal(broker: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisJournal]:
    """An app's journal, empty, which the commands of this test find."""
    monkeypatch.setenv("TINA4_WS_BACKPLANE", "redis")
    monkeypatch.setenv("TINA4_WS_BACKPLANE_URL", broker.url)
    monkeypatch.setattr(isolation, "is_on", False)  # a `TestClient` of an earlier test set it
    with broker.talking() as client:
        client.flushall()
    journal = RedisJournal(Config.from_environ())
    journal.declare(
        [
            Declared(GroupKind.PATH, "/ws/news/{name}", LIMITS),
            Declared(GroupKind.PATH, "/ws/few/{name}", FEW),
            Declared(GroupKind.PATH, "/ws/plain", NOTHING),
        ]
    )
    yield journal
    journal.close()


def say(journal: RedisJournal, *texts: str, path: str = TOPIC[1]) -> None:
    limits = FEW if path.startswith("/ws/few") else LIMITS
    drafts = [Draft((GroupKind.PATH, path), text_frame(text), limits) for text in texts]
    journal.append(drafts, time.time())


def heard_by(listener: OutsideHistory) -> tuple[list[str | bytes], bool]:
    """Hear all that there is; give the messages, and whether any are missing."""
    texts, has_gap, has_more = [], False, True
    while has_more:
        messages, is_gap, has_more = listener.hear()
        texts += [one.message for one in messages]
        has_gap = has_gap or is_gap
    return texts, has_gap


def test_what_was_said_is_printed(journal, capsys):
    say(journal, "one", "two", "three")
    position = f"{journal.point().epoch}.0-1"

    codes = [main(["history", "/ws/news/a"]), main(["history", "/ws/news/a", "--after", position])]

    lines = capsys.readouterr().out.splitlines()
    assert codes == [0, 0]
    assert [line.split()[-1] for line in lines] == ["one", "two", "three", "two", "three"]
    assert [line.split()[2] for line in lines[:1]] == [position]


def test_the_redis_may_be_named(journal, broker, capsys, monkeypatch):
    say(journal, "one")
    for name in ("BACKPLANE", "BACKPLANE_URL"):
        monkeypatch.delenv(f"TINA4_WS_{name}")

    main(["history", "/ws/news/a", "--url", broker.url])

    assert capsys.readouterr().out.endswith("  one\n")


def test_what_is_forgotten_is_gone(journal, capsys):
    say(journal, "one")

    assert main(["history", "/ws/news/a", "--forget"]) == 0
    assert main(["history", "/ws/news/a"]) == 0
    assert capsys.readouterr().out == "all that was kept of /ws/news/a is forgotten\n"


def test_a_path_without_history_is_told_which_have_one(journal, capsys):
    assert main(["history", "/ws/plain"]) == 1
    assert capsys.readouterr().err == (
        "tina4-wsgi: '/ws/plain' keeps no history, expected one of: /ws/few/{name}, "
        "/ws/news/{name}\n"
    )


def test_a_message_is_kept_while_nobody_serves_and_once_under_its_key(journal, capsys):
    codes = [main(["publish", "/ws/news/a", "paid", "--once", "invoice-42"]) for _ in range(2)]

    assert codes == [0, 0]
    assert capsys.readouterr().out == (
        "kept for those who come back; no process serves now\n"
        "said before under this key; nobody gets it again\n"
    )


def test_a_listener_hears_what_is_said_on_its_path(journal):
    say(journal, "before")
    listener = OutsideHistory(Config.from_environ(), TOPIC)
    first = listener.listen(None)
    say(journal, "one", "two")
    say(journal, "elsewhere", path="/ws/news/b")

    assert (first, heard_by(listener)) == ([], (["one", "two"], False))
    say(journal, "three")
    assert heard_by(listener) == (["three"], False)
    listener.close()


def test_a_listener_may_begin_at_a_position(journal):
    say(journal, "one", "two")
    listener = OutsideHistory(Config.from_environ(), TOPIC)

    first = listener.listen(f"{journal.point().epoch}.0-1")
    say(journal, "three")

    assert [one.message for one in first] == ["two"]
    assert heard_by(listener) == (["three"], False)
    listener.close()


def test_a_listener_is_told_where_more_was_said_than_is_kept(journal):
    listener = OutsideHistory(Config.from_environ(), (GroupKind.PATH, "/ws/few/a"))
    listener.listen(None)
    say(journal, *"12345", path="/ws/few/a")

    assert heard_by(listener) == (["3", "4", "5"], True)
    assert heard_by(listener) == ([], False)
    listener.close()


def test_a_listener_goes_on_behind_a_redis_that_was_away(journal, tmp_path: Path):
    with redis.running(tmp_path) as broker:
        config = Config(backplane="redis", backplane_url=broker.url)
        other = RedisJournal(config)
        other.declare([Declared(GroupKind.PATH, "/ws/news/{name}", LIMITS)])
        listener = OutsideHistory(config, TOPIC)
        listener.listen(None)
        say(other, "one")
        heard = [heard_by(listener)]
        broker.stop()
        with pytest.raises(JournalError, match="redis can't be asked"):
            listener.hear()
        broker.start()
        say(other, "two")
        heard.append(heard_by(listener))
        listener.close()
        other.close()

    assert heard == [(["one"], False), (["two"], True)]
