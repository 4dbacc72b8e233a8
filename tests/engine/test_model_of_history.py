"""Any mix of what callbacks say, of clients that come, break off and come back, over two workers:
against a model of who may hear what, in which order.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import gevent
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.engine_house import wait_until
from tests.support.kept_house import Page, Worker, Workers
from tina4_wsgi.backplane.isolation import isolation

PATHS = ("/ws/chat/a", "/ws/chat/b")
ROOM = "orders:1"
CLIENTS = 4
HISTORY = 12


def enter(connection: Any, event: str, data: Any) -> None:
    if event == "open" and connection.path == PATHS[0]:
        connection.join(ROOM)


class Client:
    """Our client, as far as marks go: it knows where it is, and hands each message on once."""

    def __init__(self, number: int) -> None:
        self.me = f"client-{number:05d}"
        self.path = PATHS[number % 2]
        self.page: Page | None = None
        self.position = ""
        self.base = 0  # the number from which on it must have everything of its path
        self.room_base: int | None = None  # of its room, in which it is some time after it came
        self.seen: set[int] = set()
        self.got: list[tuple[int, str]] = []  # kept messages, since the last gap
        self.gaps = 0
        self.is_settled = False

    def come(self, worker: Worker) -> None:
        self.page = worker.let_in(self.path, self.me, self.position)
        self.is_settled = False

    def read_all(self) -> None:
        """Read what has arrived."""
        page = self.page
        if page is None:
            return
        page.raw.socket.settimeout(0)
        try:
            while True:
                page.raw._receive()
        except (BlockingIOError, TimeoutError, ConnectionError):
            pass
        data = page.raw._received
        while len(data) >= 2 and len(data) >= 2 + data[1]:
            self.take(page.read()[0])

    def has_settled(self) -> bool:
        """Whether it was told that it has all."""
        self.read_all()
        return self.is_settled

    def take(self, text: str) -> None:
        mark, _, message = text.partition(":")
        if mark[:1] == "@":
            me, _, rest = mark[1:].partition(".")
            position, _, verdict = rest.rpartition(".")
            assert me == self.me
            if verdict in "ng":
                self.gaps += verdict == "g"
                self.position, self.seen, self.got = position, set(), []
                self.base, self.room_base = number_of(position), None
            else:
                assert position == self.position
        elif mark[:1] == "#":
            self.position, self.seen, self.is_settled = mark[1:], set(), True
            if self.room_base is None:
                self.room_base = number_of(self.position)
        elif mark:
            number = number_of(mark)
            if number not in self.seen:
                self.got.append((number, message))
            if self.is_settled:
                self.position = f"{self.position.partition('.')[0]}.0-{number}"
            else:
                self.seen.add(number)


def number_of(position: str) -> int:
    return int(position.rpartition("-")[2])


class Model:
    """What was said and kept, in the order of the journal."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, str, str]] = []  # topic, text, and who is left out

    def expected(self, client: Client) -> list[tuple[int, str]]:
        """What a client has to have by now."""
        bases = {client.path: client.base}
        if client.path == PATHS[0]:
            bases[ROOM] = client.base if client.room_base is None else client.room_base
        return [
            (number, text)
            for number, (topic, text, left_out) in enumerate(self.kept, 1)
            if number > bases.get(topic, len(self.kept)) and left_out != client.me
        ]

    def got(self, client: Client) -> list[tuple[int, str]]:
        """What it has got, without what was said in its room while it was on its way into it."""
        return [
            (number, text)
            for number, text in client.got
            if self.kept[number - 1][0] != ROOM or number > (client.room_base or 0)
        ]


STEP = st.one_of(
    st.tuples(st.just("come"), st.integers(0, CLIENTS - 1), st.integers(0, 1)),
    st.tuples(st.just("cut"), st.integers(0, CLIENTS - 1), st.just(0)),
    st.tuples(st.just("break off"), st.integers(0, CLIENTS - 1), st.integers(0, 1)),
    st.tuples(st.just("say"), st.integers(0, 1), st.integers(0, 1)),
    st.tuples(st.just("say in room"), st.integers(0, 1), st.just(0)),
    st.tuples(st.just("speak"), st.integers(0, CLIENTS - 1), st.integers(0, 2)),
    st.tuples(st.just("unkept"), st.integers(0, CLIENTS - 1), st.just(0)),
    st.tuples(st.just("turn"), st.just(0), st.just(0)),
)


class World:
    """Two workers, some clients, and the model."""

    def __init__(self, workers: Workers) -> None:
        workers.route("/ws/chat/{room}", enter, history=HISTORY)
        workers.router.room("orders:{id}", history=HISTORY)
        self.staff = workers.start(2)
        self.clients = [Client(number) for number in range(CLIENTS)]
        self.model = Model()
        self.count = 0

    def text(self) -> str:
        self.count += 1
        return f"m{self.count}"

    def do(self, name: str, one: int, other: int) -> None:
        client = self.clients[one]
        if name == "come":
            self.leave(client)
            client.come(self.staff[other])
        elif name == "cut":
            self.leave(client)
        elif name == "break off":
            self.leave(client)
            client.come(self.staff[other])
            gevent.sleep(0)
            self.leave(client, is_read=False)
        elif name == "say":
            self.say(PATHS[other], self.staff[one])
        elif name == "say in room":
            self.say(ROOM, self.staff[one])
        elif name == "speak":
            self.speak(client, is_without_self=other == 0)
        elif name == "unkept":
            if client.page is not None and not client.page.connection.closed:
                client.page.connection.broadcast("unkept", keep=False)
        else:
            gevent.sleep(0.001)

    def say(self, topic: str, worker: Worker) -> None:
        text = self.text()
        worker.say(topic, text) if topic[0] == "/" else worker.say_in_room(topic, text)
        worker.finish()  # so that the model knows the order between workers
        self.model.kept.append((topic, text, ""))

    def speak(self, client: Client, *, is_without_self: bool) -> None:
        if client.page is None or client.page.connection.closed:
            return
        text, connection = self.text(), client.page.connection
        connection.broadcast(text, exclude_self=is_without_self)
        connection._lifecycle.owner.finish_keeping()
        self.model.kept.append((client.path, text, client.me if is_without_self else ""))

    def leave(self, client: Client, *, is_read: bool = True) -> None:
        if client.page is None:
            return
        if is_read:
            client.read_all()
        client.page.cut()
        client.page = None

    def settle(self) -> None:
        """Let everybody come back, and read until nothing is missing any more."""
        for client in self.clients:
            if client.page is None:
                client.come(self.staff[0])
        with gevent.Timeout(3, AssertionError("not everything was heard")):
            while not all(self.has_all(client) for client in self.clients):
                for worker in self.staff:
                    worker.keeper.hear()
                gevent.sleep(0.001)

    def has_all(self, client: Client) -> bool:
        client.read_all()
        return client.is_settled and len(self.model.got(client)) >= len(self.model.expected(client))

    def check(self) -> None:
        for client in self.clients:
            # Each once, and nothing is missing since the last gap that it was told of.
            got = self.model.got(client)
            assert sorted(got) == self.model.expected(client)
            # In order; what was missed in a room comes behind what was missed on the path.
            for topic in {topic for topic, _, _ in self.model.kept}:
                of_topic = [number for number, _ in got if self.model.kept[number - 1][0] == topic]
                assert of_topic == sorted(of_topic)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(STEP, max_size=40))
@pytest.mark.deadline(120)
def test_everybody_hears_everything_once_and_in_order_or_is_told(monkeypatch, steps):
    monkeypatch.setattr(isolation, "is_on", False)
    with tempfile.TemporaryDirectory(prefix="t4") as name:
        workers = Workers(Path(name))
        try:
            world = World(workers)
            for step in steps:
                world.do(*step)
            world.settle()
            world.check()
        finally:
            for one in workers.made:
                one.leave()


def test_the_model_tells_of_what_is_missing(workers: Workers) -> None:
    world = World(workers)
    world.do("come", 0, 0)
    world.do("say", 1, 0)
    world.settle()
    world.check()

    world.clients[0].got.pop()

    with pytest.raises(AssertionError):
        world.check()


def test_gaps_are_told_only_where_too_much_was_missed(workers: Workers) -> None:
    world = World(workers)
    world.do("come", 1, 0)
    wait_until(world.clients[1].has_settled)
    world.do("cut", 1, 0)
    for _ in range(HISTORY):
        world.do("say", 0, 1)
    world.do("come", 1, 1)
    world.settle()
    world.check()
    assert world.clients[1].gaps == 0
    assert len(world.clients[1].got) == HISTORY

    world.do("cut", 1, 0)
    for _ in range(HISTORY + 1):
        world.do("say", 1, 1)
    world.settle()
    world.check()

    assert world.clients[1].gaps == 1
