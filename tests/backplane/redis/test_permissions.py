"""What a user of Redis may not do: asked of a real Redis, whose ACL says so."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from tests.support import redis
from tests.support.kept_stations import CHAT, LIMITS, draft
from tina4_wsgi.backplane.redis import channels as channels_module
from tina4_wsgi.backplane.redis.journal import RedisJournal
from tina4_wsgi.backplane.redis.permissions import CantAsk, Denied, denied
from tina4_wsgi.config import Config
from tina4_wsgi.errors import BackplaneError

NEEDED = ("+publish", "+subscribe", "+unsubscribe", "+ping", "+pubsub", "+client|setname")


@pytest.fixture(scope="module")
def broker(tmp_path_factory) -> Iterator[redis.RedisServer]:
    with redis.running(tmp_path_factory.mktemp("redis")) as broker:
        yield broker


HISTORY = (
    *("~t:*", "+info", "+evalsha", "+script|load", "+@hash", "+@stream", "+@sortedset", "+@string"),
    *("+del", "+pexpire", "+time"),
)
"""What docs/history.md names besides."""


def ask(
    broker: redis.RedisServer, *rules: str, paths: tuple[str, ...] = (), has_history: bool = False
) -> Denied:
    with broker.talking() as client:
        client.execute_command(
            "ACL", "SETUSER", "app", "reset", "on", ">pw", "resetchannels", *rules
        )
    url = broker.url.replace("redis://", "redis://app:pw@")
    config = Config(backplane_url=url, backplane_prefix="t")
    return denied(config, paths, has_history=has_history)


def test_a_user_who_may_all_that_is_needed_is_denied_nothing(broker):
    found = ask(broker, *NEEDED, "&t:*", paths=("/chat",))

    assert found == Denied("app", [], [], [], [], is_fatal=False)


def test_the_rules_that_are_missing_are_told(broker):
    found = ask(broker, *NEEDED, "&t:everybody", "&t:inbox:*", paths=("/chat",))

    assert (found.commands, found.is_fatal) == ([], False)
    assert found.channels == ["t:path:/chat", "t:room:doctor"]
    assert found.rules == ["&t:path*", "&t:room*"]


def test_names_that_are_hashed_are_tried_too(broker):
    found = ask(broker, *NEEDED, "&t:everybody", "&t:inbox:*", "&t:path:*", "&t:room:*")

    assert [channel.partition("#")[0] for channel in found.channels] == ["t:path", "t:room"]
    assert found.rules == ["&t:path*", "&t:room*"]


@pytest.mark.parametrize(
    ("rules", "missing"),
    [(("&t:inbox:*",), "&t:everybody"), (("&t:everybody",), "&t:inbox:*")],
)
def test_without_the_channels_of_everybody_and_of_answers_nothing_works(broker, rules, missing):
    found = ask(broker, *NEEDED, *rules, "&t:path*", "&t:room*")

    assert (found.rules, found.is_fatal) == ([missing], True)


def test_without_a_command_nothing_works(broker):
    found = ask(broker, *NEEDED, "-publish", "-ping", "allchannels")

    assert (found.commands, found.channels) == (["ping", "publish"], [])
    assert (found.rules, found.is_fatal) == (["+ping", "+publish"], True)


def test_the_acl_that_the_docs_name_for_history_is_enough(broker):
    found = ask(broker, *NEEDED, "&t:*", *HISTORY, has_history=True)

    assert found == Denied("app", [], [], [], [], is_fatal=False)


@pytest.mark.parametrize(
    "command",
    [
        *("info", "evalsha", "script|load", "time", "del", "pexpire", "get", "set", "hmget"),
        *("hset", "hmset", "zadd", "zrangebyscore", "zremrangebyrank", "xadd", "xdel", "xrange"),
        "xrevrange",
    ],
)
def test_a_command_that_history_needs_is_named(broker, command):
    found = ask(broker, *NEEDED, "&t:*", *HISTORY, f"-{command}", has_history=True)

    assert (found.commands, found.rules) == ([command], [f"+{command}"])
    assert not found.is_fatal


@pytest.mark.parametrize("keys", [(), ("~t:kept:*", "~t:last:*")])
def test_keys_that_history_needs_are_named(broker, keys):
    rules = [rule for rule in HISTORY if rule != "~t:*"]

    found = ask(broker, *NEEDED, "&t:*", *rules, *keys, has_history=True)

    assert (found.commands, found.keys, found.rules) == ([], ["t:journal"], ["~t:*"])


def test_the_rules_that_are_told_for_history_are_enough(broker):
    rules = [*NEEDED, "&t:*"]
    missing = ask(broker, *rules, has_history=True)
    while missing.rules:
        assert not set(missing.rules) & set(rules)
        rules += missing.rules  # without a command, keys aren't tried
        missing = ask(broker, *rules, has_history=True)

    journal = RedisJournal(
        Config(backplane_url=broker.url.replace("//", "//app:pw@"), backplane_prefix="t")
    )
    with contextlib.closing(journal):
        journal.append([draft("one", once="one"), draft("two")])
        journal.declare([])
        assert len(journal.missed(CHAT, 0, 2, LIMITS) or ()) == 2
        assert len(journal.latest(CHAT, 2, 2, LIMITS)) == 2
        assert journal.declared() == []
        journal.renew()
        journal.forget(CHAT)


def test_what_history_needs_is_tried_without_a_trace(broker):
    with broker.talking() as client:
        client.flushall()
        ask(broker, *NEEDED, "&t:*", *HISTORY, has_history=True)

        assert client.keys() == []


def test_the_user_of_a_url_without_one_is_the_default_user(broker):
    assert denied(Config(backplane_url=broker.url), ()).user == "default"


def test_a_redis_that_is_not_there_is_told_without_the_password(broker):
    with pytest.raises(CantAsk, match=r"^ConnectionError: ") as raised:
        denied(Config(backplane_url="redis://app:secret@127.0.0.1:1"), ())

    assert "secret" not in str(raised.value)


def test_a_wrong_password_is_told(broker):
    with pytest.raises(CantAsk, match=r"^AuthenticationError: "):
        denied(Config(backplane_url=broker.url.replace("redis://", "redis://app:no@")), ())


def test_without_redis_py_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(channels_module, "client", None)

    with pytest.raises(BackplaneError, match="pip install"):
        denied(Config(), ())
