"""`tina4-wsgi doctor` asks Redis what its ACL lets the app do, and says which rules are missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.doctor.test_examination import lines, write_app
from tests.support import redis
from tests.support.command import run

LEAST = (
    "+publish +subscribe +unsubscribe +pubsub +ping +client|setname &tina4:*"  # of docs/scaling.md
)
HISTORY = (  # of docs/history.md
    "~tina4:* +info +evalsha +script|load +@hash +@stream +@sortedset +@string +del +pexpire +time"
)
COMMANDS = LEAST.removesuffix(" &tina4:*")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[redis.RedisServer]:
    with redis.running(tmp_path_factory.mktemp("redis")) as broker:
        yield broker


@pytest.fixture
def folder(tmp_path: Path, broker: redis.RedisServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which nothing is wrong, with one route, /ws/x."""
    for name in ("GUNICORN_CMD_ARGS", "WEB_CONCURRENCY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TINA4_WS_BACKPLANE", "redis")
    monkeypatch.setenv("TINA4_WS_BACKPLANE_URL", broker.url.replace("//", "//app:s3cret@"))
    monkeypatch.setenv("TINA4_WS_MAX_CONNECTIONS", "100")
    write_app(tmp_path)
    return tmp_path


def allow(broker: redis.RedisServer, rules: str) -> None:
    """Have the user of the app, and nothing but these rules."""
    with broker.talking() as talk:
        nothing = ("reset", "on", ">s3cret", "resetchannels", "-@all")
        talk.execute_command("ACL", "SETUSER", "app", *nothing, *rules.split())


def test_the_least_acl_of_the_docs_is_enough(folder: Path, broker: redis.RedisServer) -> None:
    allow(broker, LEAST)

    assert lines(run(folder, "doctor"), 0) == ["nothing is wrong"]


FORBIDDEN = {
    "one path": (
        f"{COMMANDS} &tina4:everybody &tina4:inbox:* &tina4:path:/ws/other* &tina4:room*",
        0,
        "channels such as tina4:path:/ws/x; ACL SETUSER app &tina4:path*",
    ),
    "rooms": (
        f"{COMMANDS} &tina4:everybody &tina4:inbox:* &tina4:path*",
        0,
        "channels such as tina4:room:doctor; ACL SETUSER app &tina4:room*",
    ),
    "long names": (
        f"{COMMANDS} &tina4:everybody &tina4:inbox:* &tina4:path:* &tina4:room:*",
        0,
        "channels such as tina4:path#",
    ),
    "everybody": (
        f"{COMMANDS} &tina4:inbox:* &tina4:path* &tina4:room*",
        1,
        "channels such as tina4:everybody; ACL SETUSER app &tina4:everybody",
    ),
    "inboxes": (
        f"{COMMANDS} &tina4:everybody &tina4:path* &tina4:room*",
        1,
        "; ACL SETUSER app &tina4:inbox:*",
    ),
    "all": (
        COMMANDS,
        1,
        "; ACL SETUSER app &tina4:everybody &tina4:inbox:* &tina4:path* &tina4:room*",
    ),
    "a command": (
        LEAST.replace("+publish", ""),
        1,
        "the command publish; ACL SETUSER app +publish",
    ),
    "commands and channels": (
        f"{COMMANDS.replace('+pubsub', '')} &tina4:everybody &tina4:inbox:* &tina4:path*",
        1,
        "the command pubsub, channels such as tina4:room:doctor; ",
    ),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_what_the_acl_forbids_is_named_with_the_rules_that_would_allow_it(
    folder: Path, broker: redis.RedisServer, what: str
) -> None:
    rules, exit_code, told = FORBIDDEN[what]
    allow(broker, rules)

    (line,) = lines(run(folder, "doctor"), exit_code)

    assert line.startswith(
        f"{'fatal' if exit_code else 'warning'}: the ACL of Redis forbids the user app "
    )
    assert told in line
    assert "s3cret" not in line


def test_another_prefix_is_asked_about_and_named(
    folder: Path, broker: redis.RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TINA4_WS_BACKPLANE_PREFIX", "shop")
    allow(broker, LEAST)

    (line,) = lines(run(folder, "doctor"), 1)

    assert line.endswith("; ACL SETUSER app &shop:everybody &shop:inbox:* &shop:path* &shop:room*")


def test_the_rules_that_it_names_are_enough(folder: Path, broker: redis.RedisServer) -> None:
    allow(broker, "+ping +client|setname")
    (line,) = lines(run(folder, "doctor"), 1)

    allow(broker, "+ping +client|setname " + line.partition("ACL SETUSER app ")[2])

    while (found := lines_of_any_end(folder)) != [
        "nothing is wrong"
    ]:  # who may not subscribe isn't told of channels
        (again,) = found
        assert again != line
        line = again
        with broker.talking() as talk:
            talk.execute_command(
                "ACL", "SETUSER", "app", *again.partition("ACL SETUSER app ")[2].split()
            )


def test_the_acl_of_the_docs_is_enough_for_history(folder: Path, broker: redis.RedisServer) -> None:
    write_app(folder, options=", history=10")
    allow(broker, f"{LEAST} {HISTORY}")

    assert lines(run(folder, "doctor"), 0) == ["nothing is wrong"]


def test_what_history_lacks_is_a_warning_that_names_commands_and_keys(
    folder: Path, broker: redis.RedisServer
) -> None:
    write_app(folder, options=", history=10")
    allow(broker, f"{LEAST} {HISTORY.replace('~tina4:* ', '')} -xadd")

    assert lines(run(folder, "doctor"), 0) == [
        "warning: the ACL of Redis forbids the user app the command xadd, keys such as "
        "tina4:journal; ACL SETUSER app +xadd ~tina4:*"
    ]


def lines_of_any_end(folder: Path) -> list[str]:
    done = run(folder, "doctor")
    return lines(done, done.returncode)


def test_a_redis_that_can_not_be_asked_is_a_warning(
    folder: Path, broker: redis.RedisServer
) -> None:
    allow(broker, f"{LEAST} resetpass >another-one")

    (line,) = lines(run(folder, "doctor"), 0)

    assert line.startswith(
        "warning: Redis can't be asked what the app may do there: AuthenticationError: "
    )
    assert "s3cret" not in line


def test_nobody_hears_that_doctor_has_asked(folder: Path, broker: redis.RedisServer) -> None:
    allow(broker, LEAST)
    with broker.talking() as talk, talk.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe("tina4:everybody", "tina4:path:/ws/x", "tina4:room:doctor")
        listener.get_message(timeout=5)
        run(folder, "doctor")
        talk.publish("tina4:everybody", "the end")
        heard = []
        while "the end" not in heard:
            message = listener.get_message(timeout=5)
            heard += [message["data"]] if message else []

    assert heard == ["the end"]
