"""What a user of Redis may not do: asked of a real Redis, whose ACL says so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import redis
from tina4_wsgi.backplane.redis import channels as channels_module
from tina4_wsgi.backplane.redis.permissions import CantAsk, Denied, denied
from tina4_wsgi.config import Config
from tina4_wsgi.errors import BackplaneError

NEEDED = ("+publish", "+subscribe", "+unsubscribe", "+ping", "+pubsub", "+client|setname")


@pytest.fixture(scope="module")
def broker(tmp_path_factory) -> Iterator[redis.RedisServer]:
    with redis.running(tmp_path_factory.mktemp("redis")) as broker:
        yield broker


def ask(broker: redis.RedisServer, *rules: str, paths: tuple[str, ...] = ()) -> Denied:
    with broker.talking() as client:
        client.execute_command("ACL", "SETUSER", "app", "reset", "on", ">pw", *rules)
    url = broker.url.replace("redis://", "redis://app:pw@")
    return denied(Config(backplane_url=url, backplane_prefix="t"), paths)


def test_a_user_who_may_all_that_is_needed_is_denied_nothing(broker):
    found = ask(broker, *NEEDED, "&t:*", paths=("/chat",))

    assert found == Denied("app", [], [], [], is_fatal=False)


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
