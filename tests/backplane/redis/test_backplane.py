"""Two gunicorns with two workers each and one Redis, which fails in every way that it can."""

from __future__ import annotations

import itertools
import json
import time
from urllib.parse import quote

import pytest

from tests.backplane.conftest import (
    APPS,
    ask,
    by_worker,
    check_exchange,
    check_nothing_is_doubled,
    environment,
    spread,
    wait_for,
)
from tests.support import redis, servers
from tests.support.crowd import Crowd
from tina4_wsgi import publish
from tina4_wsgi.backplane.envelope import Kind, pack, pack_json
from tina4_wsgi.protocol.frames import encode_message

PATH = "/ws/hall/a"
CHANNEL = "tina4:path:/ws/hall/a"
PEM = servers.ROOT / "tests" / "server" / "localhost.pem"
BACK_S = 20.0
ROUND_S = 0.5


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    with redis.running(tmp_path_factory.mktemp("redis")) as broker:
        yield broker


@pytest.fixture(scope="module")
def masters(tmp_path_factory, broker):
    """Two gunicorns, each with a bus directory of its own, as on two machines."""
    env = environment(
        backplane="redis", backplane_url=broker.url, max_connections=10, max_backplane_bytes=65_536
    )
    folder = tmp_path_factory.mktemp("masters")
    with (
        servers.gunicorn("hall:app", APPS, folder / "one.log", "-w", "2", env=env) as one,
        servers.gunicorn("hall:app", APPS, folder / "two.log", "-w", "2", env=env) as two,
    ):
        yield one, two
        one.end()
        two.end()


@pytest.fixture
def crowds(masters):
    with Crowd(masters[0].address) as one, Crowd(masters[1].address) as two:
        yield one, two
    wait_for(lambda: all(here(master) == 0 for master in masters), "everybody's leaving")


@pytest.fixture
def talk(broker):
    """A client of Redis for the test itself."""
    with broker.talking() as client:
        yield client


def here(master):
    """Count the clients of one worker of this master, whichever answers, twice to see both."""
    return max(ask(master, "/state/a")["here"] for _ in range(4))


class Everybody:
    """Clients of all four workers, in one crowd."""

    def __init__(self, masters, crowd):
        self.masters, self.crowd = masters, crowd
        self.members = []
        for master in masters:
            self.members += spread(crowd, master, PATH, 20)
        assert len(by_worker(self.members)) == 4

    def exchange(self, count=200):
        """Two senders on different machines; each message comes once, to everybody, in order."""
        check_exchange(self.crowd, self.members, [self.members[0], self.members[-1]], count)

    def hear_from(self, sender, text):
        """Have one say something, and wait until the clients of the same worker heard it."""
        for one in self.members:
            one.frames.clear()
        sender.send_text(text)
        neighbours = [one for one in self.members if one.name == sender.name]
        self.crowd.listen_until(
            lambda: all(text in one.texts for one in neighbours), "what a neighbour says"
        )

    def wait_until_linked(self):
        """Speak in rounds, until one in which everybody hears a word of every worker; nothing is on
        the way then.
        """
        speakers = [members[0] for members in by_worker(self.members).values()]
        give_up_at_s = time.monotonic() + BACK_S
        for number in itertools.count():
            words = {f"round {number} of {speaker.name}" for speaker in speakers}
            for speaker in speakers:
                speaker.send_text(f"round {number} of {speaker.name}")
            if self._heard(words):
                return
            assert time.monotonic() < give_up_at_s, f"no traffic {BACK_S:g} s after Redis was back"

    def _heard(self, words):
        """Whether everybody hears these words within a moment."""
        try:
            self.crowd.listen_until(
                lambda: all(words <= set(one.texts) for one in self.members), "words", ROUND_S
            )
        except AssertionError:
            return False
        return True


@pytest.fixture
def everybody(masters, crowds):
    return Everybody(masters, crowds[0])


def statuses(master):
    """How the backplane is, as several requests, and so probably both workers, tell."""
    return [ask(master, "/state/a")["status"] for _ in range(4)]


def status_of(master, member):
    """How the backplane is, as a client's own worker tells."""

    def ask_it():
        told = ask(master, "/state/a")
        return told["status"] if str(told["pid"]) == member.name else None

    return wait_for(ask_it, "an answer of a client's worker")


def outage_lines(masters):
    """How often the logs say that Redis went away, and that it came back."""
    logs = "".join(master.log for master in masters)
    return logs.count("redis is away"), logs.count("redis is back")


@pytest.mark.deadline(60)
def test_everybody_on_both_machines_gets_each_message_once_and_in_order(everybody):
    everybody.exchange(1_000)


def test_named_rooms_questions_and_goodbyes_span_machines(masters, everybody):
    guests = everybody.members[::8]
    for one in guests:
        one.send_text("room quiet")
    everybody.crowd.listen_until(lambda: all(one.texts for one in guests), "the way in")

    guests[0].send_text("to-room quiet psst")
    everybody.crowd.listen_until(
        lambda: all("psst" in one.texts for one in guests[1:]), "the whisper"
    )
    told = ask(masters[0], "/state/a")
    whom = quote(json.dumps({"path": PATH, "code": 4000}))
    gone = ask(masters[1], f"/disconnect?whom={whom}")
    everybody.crowd.listen_until(
        lambda: all(one.close_frame for one in everybody.members), "the goodbye"
    )

    assert "psst" not in guests[0].texts
    assert (told["count"], len(told["members"])) == (40, 40)
    assert gone == {"told": 40}


def test_only_workers_with_members_are_subscribed(masters, talk, crowds):
    crowd = crowds[0]
    assert talk.pubsub_numsub("tina4:path:/ws/hall/lonely") == [("tina4:path:/ws/hall/lonely", 0)]

    first = spread(crowd, masters[0], "/ws/hall/lonely", 1)[0]
    with_one = talk.pubsub_numsub("tina4:path:/ws/hall/lonely")
    crowd.close(first)

    assert with_one == [("tina4:path:/ws/hall/lonely", 1)]
    wait_for(
        lambda: talk.pubsub_numsub("tina4:path:/ws/hall/lonely")[0][1] == 0,
        "the end of the subscription",
    )


def test_a_message_right_behind_the_first_101_arrives(masters, crowds):
    crowd = crowds[0]
    for number in range(10):
        path = f"/ws/hall/new-{number}"
        listener = spread(crowd, masters[0], path, 1)[
            0
        ]  # it has its 101, so it must hear what is said from now on
        speaker = spread(crowd, masters[1], path, 1)[0]

        speaker.send_text("welcome")

        crowd.listen_until(lambda: listener.texts == ["welcome"], "the first word")  # noqa: B023


@pytest.mark.deadline(90)
@pytest.mark.leaks("the new redis-server outlives the test")
def test_while_redis_is_gone_neighbours_hear_each_other_and_afterwards_everybody_does(
    masters, broker, everybody
):
    before = outage_lines(masters)
    broker.stop()
    wait_for(
        lambda: not any(one["is_up"] for master in masters for one in statuses(master)),
        "the outage",
    )

    sender = everybody.members[0]
    for number in range(50):
        everybody.hear_from(sender, f"still here {number}")
    waiting = status_of(masters[0], sender)["queued_messages"]
    status = statuses(masters[1])[0]
    broker.start()
    everybody.wait_until_linked()
    everybody.exchange()

    assert waiting == 50  # all were heard before Redis had any of them
    assert "Connection" in status["error"]
    assert all(ask(master, "/state/a")["failures"] == [] for master in masters)
    away, back = (now - then for now, then in zip(outage_lines(masters), before, strict=True))
    assert (away, back) == (4, 4)  # once per worker


@pytest.mark.deadline(90)
@pytest.mark.leaks("the new redis-server outlives the test")
def test_what_is_said_during_an_outage_arrives_afterwards_up_to_a_limit(masters, broker, everybody):
    listeners = [one for one in everybody.members if one.name == everybody.members[-1].name]
    sender = everybody.members[0]
    broker.stop()
    wait_for(
        lambda: not any(one["is_up"] for master in masters for one in statuses(master)),
        "the outage",
    )

    for number in range(2_000):
        sender.send_text(f"{number:04d}" + "x" * 96)  # 300 KB against a limit of 64
    everybody.crowd.listen_until(lambda: len(sender.texts) == 2_000, "own words")
    dropped = status_of(masters[0], sender)["dropped_messages"]
    broker.start()
    everybody.wait_until_linked()

    heard = [int(text[:4]) for text in listeners[0].texts if text.endswith("x")]
    assert dropped > 1_000
    assert heard == sorted(set(heard))  # never twice, never out of order


@pytest.mark.deadline(60)
def test_a_redis_that_accepts_and_never_answers_is_an_outage(masters, broker, everybody):
    broker.freeze()
    try:
        everybody.members[0].send_text("anybody?")
        wait_for(
            lambda: not any(one["is_up"] for master in masters for one in statuses(master)),
            "the outage",
            20,
        )
        everybody.hear_from(everybody.members[0], "still here")
    finally:
        broker.thaw()
    everybody.wait_until_linked()
    everybody.exchange()


@pytest.mark.deadline(60)
@pytest.mark.parametrize("kind", ["normal", "pubsub"])
def test_killed_connections_come_back(masters, talk, everybody, kind):
    before = outage_lines(masters)[0]

    killed = sum(
        talk.client_kill_filter(_id=one["id"])
        for one in talk.client_list(_type=kind)
        if one["name"] == "tina4_wsgi"
    )
    everybody.wait_until_linked()
    everybody.exchange()

    assert killed >= 1
    assert outage_lines(masters)[0] > before


@pytest.mark.deadline(60)
def test_a_subscriber_that_redis_cuts_off_for_its_full_buffer_comes_back(masters, talk, everybody):
    before = outage_lines(masters)[0]
    talk.config_set("client-output-buffer-limit", "pubsub 100kb 0 0")
    big = pack(Kind.PATH, PATH, encode_message("x" * 200_000), bytes(15) + b"\1")
    try:
        talk.publish(CHANNEL, big)
        wait_for(lambda: outage_lines(masters)[0] > before, "the log line")
    finally:
        talk.config_set("client-output-buffer-limit", "pubsub 33554432 8388608 60")
    everybody.wait_until_linked()
    everybody.exchange()


GARBAGE = {
    "text": b"hello",
    "nothing": b"",
    "a pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x07garbage\x94.",
    "another version": b"\x09" + bytes(60),
    "a ping": pack(Kind.PATH, PATH, b"\x89\x00"),
    "cut short": pack(Kind.PATH, PATH, encode_message("hello"))[:-1],
    "too much": pack(Kind.PATH, PATH, encode_message("hello")) + bytes(1 << 20),
    "another path's": pack(Kind.PATH, "/ws/hall/b", encode_message("hello")),
    "no json": pack(Kind.ASK, "", b"{"),
    "a strange question": pack_json(Kind.ASK, "", {"ask": ["everything"], "path": 7}),
    "an answer to nobody": pack_json(Kind.ANSWER, "", {}, number=77),
}


@pytest.mark.deadline(60)
def test_garbage_in_a_channel_is_dropped_with_one_line_per_worker(masters, talk, everybody):
    for data in GARBAGE.values():
        talk.publish(CHANNEL, data)
        talk.publish("tina4:everybody", data)

    everybody.exchange()

    logs = "".join(master.log for master in masters)
    assert logs.count("garbage in a Redis channel is dropped") == 4
    assert "Traceback" not in logs
    assert all(one["is_up"] for master in masters for one in statuses(master))


def test_an_app_that_nobody_uses_doubles_nothing_that_is_said_to_all_apps(broker, tmp_path):
    env = environment(
        backplane="redis", backplane_url=broker.url, backplane_prefix="pair", max_connections=1
    )
    with (
        servers.gunicorn("pair:app", APPS, tmp_path / "log", "-w", "2", env=env) as server,
        Crowd(server.address) as crowd,
    ):
        check_nothing_is_doubled(crowd, server)
        server.end()


def test_a_wrong_password_is_told_and_not_repeated_and_clients_are_served(
    tmp_path, tmp_path_factory
):
    folder = tmp_path_factory.mktemp("locked")
    with redis.running(folder, "--requirepass", "right-secret") as locked:
        url = f"redis://default:wr%2Fong-secret@127.0.0.1:{locked.port}"
        env = environment(backplane="redis", backplane_url=url)
        with (
            servers.gunicorn("hall:app", APPS, tmp_path / "log", "-w", "1", env=env) as server,
            Crowd(server.address) as crowd,
        ):
            first, second = spread(crowd, server, PATH, 2)
            first.send_text("hello")
            crowd.listen_until(lambda: second.texts == ["hello"], "a neighbour's word")
            found = server.wait_for_log(r"redis is away.*")[0]
            status = ask(server, "/state/a")["status"]
            log = server.log
            server.end()

    assert "invalid username-password pair" in found
    assert status["is_up"] is False
    assert "ong-secret" not in log + json.dumps(status)
    assert log.count("redis is away") == 1


def test_a_redis_cluster_carries_it_on_the_shard_of_the_app(tmp_path):
    with redis.cluster(tmp_path) as nodes:
        settings = [
            {
                "backplane": "redis",
                "backplane_url": node.url,
                "backplane_sharded": "yes",
                "max_connections": 2,
            }
            for node in nodes
        ]
        first, second = (
            servers.gunicorn(
                "hall:app", APPS, tmp_path / f"log-{number}", "-w", "1", env=environment(**one)
            )
            for number, one in enumerate(settings)
        )
        with first as one, second as two, Crowd(one.address) as crowd:
            members = spread(crowd, one, PATH, 2) + spread(crowd, two, PATH, 2)
            check_exchange(crowd, members, [members[0], members[2]], 100)
            receipts = [
                publish(
                    PATH,
                    "from outside",
                    backplane="redis",
                    backplane_url=node.url,
                    backplane_sharded=True,
                )
                for node in nodes
            ]
            crowd.listen_until(
                lambda: all(one.texts[-2:] == ["from outside"] * 2 for one in members), "the news"
            )
            count = ask(one, "/state/a")["count"]
            logs = one.log + two.log
            one.end()
            two.end()

    assert receipts == [(2, None)] * 2
    assert count == 4
    assert "redis is away" not in logs


# As in docs/scaling.md.
RULES = (
    "resetchannels -@all +publish +subscribe +unsubscribe +pubsub +ping +client|setname &tina4:*"
)


def test_tls_and_the_least_acl_are_enough(tmp_path, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    tls_port = redis.free_port()
    options = ["--tls-port", str(tls_port), "--tls-auth-clients", "no"]
    options += [
        "--tls-cert-file",
        str(PEM),
        "--tls-key-file",
        str(PEM),
        "--tls-ca-cert-file",
        str(PEM),
    ]
    with redis.running(folder, *options) as broker:
        with broker.talking() as talk:
            talk.execute_command("ACL", "SETUSER", "app", "on", ">s3cret", *RULES.split())
        url = f"rediss://app:s3cret@localhost:{tls_port}?ssl_ca_certs={PEM}"
        env = environment(backplane="redis", backplane_url=url)
        with (
            servers.gunicorn("hall:app", APPS, tmp_path / "log", "-w", "1", env=env) as server,
            Crowd(server.address) as crowd,
        ):
            (member,) = spread(crowd, server, PATH, 1)
            receipt = publish(PATH, "over TLS", backplane="redis", backplane_url=url)
            crowd.listen_until(lambda: member.texts, "the message")
            status = ask(server, "/state/a")["status"]
            server.end()

    assert receipt == (1, None)
    assert (status["is_up"], status["dropped_messages"]) == (True, 0)
