"""Publishers from outside, and workers that keep history: what is kept, what is heard, and what
happens where one of both is missing or broken.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from tests.support.engine_house import in_thread
from tests.support.kept_house import ME, Worker, Workers, quick, talk, workers
from tina4_wsgi.backplane.bus import outside as outside_module
from tina4_wsgi.backplane.bus.directory import directory_of
from tina4_wsgi.backplane.bus.outside import BusOutsider
from tina4_wsgi.backplane.contract import Receipt
from tina4_wsgi.backplane.envelope import Kind
from tina4_wsgi.backplane.outside import Outsider
from tina4_wsgi.backplane.outside_journals import Patterns
from tina4_wsgi.backplane.publishing import Publisher
from tina4_wsgi.config import Config
from tina4_wsgi.errors import BackplaneError, Tina4Error, UsageError
from tina4_wsgi.journal.contract import Declared, KeptLimits
from tina4_wsgi.protocol.framing import text_frame

__all__ = ["quick", "workers"]

CHAT = "/ws/chat/a"


@pytest.fixture
def app(workers: Workers) -> Workers:
    workers.route("/ws/chat/{room}", talk, history=10)
    workers.route("/ws/chat/unkept", talk)
    workers.router.room("orders:{id}", history=10)
    return workers


@pytest.fixture
def publisher(app: Workers) -> Iterator[Publisher]:
    with Publisher(bus_dir=str(app.folder / "bus")) as publisher:
        yield publisher


def publish(publisher: Publisher, path: str, text: str, **options: Any) -> Any:
    """Publish as another process does, while this one goes on; return the receipt or the error."""
    found: list[Any] = []

    def there() -> None:
        try:
            found.append(publisher.publish(path, text, **options))
        except Tina4Error as exc:
            found.append(exc)

    in_thread(there)
    return found[0]


def serving(app: Workers, count: int = 1) -> list[Worker]:
    """Workers that have declared what they keep."""
    started = app.start(count)
    for one in started:
        one.let_in("/ws/chat/else")
    return started


def test_what_is_published_is_kept_and_heard_by_all(app: Workers, publisher: Publisher) -> None:
    one, other = serving(app, 2)
    pages = [one.let_in(CHAT), other.let_in(CHAT)]
    away, _, position = one.come(CHAT)
    away.cut()

    receipt = publish(publisher, CHAT, "hi")

    assert receipt == Receipt(2, 2)
    assert [page.read() for page in pages] == [["hi"], ["hi"]]
    assert one.come(CHAT, ME, position)[1][1:] == ["0-1:hi"]


def test_who_has_its_receipt_knows_that_it_is_on_its_way_to_the_clients(
    app: Workers, publisher: Publisher
) -> None:
    (one,) = serving(app)
    page = one.let_in(CHAT)

    publish(publisher, CHAT, "hi")

    page.raw.socket.settimeout(0)
    assert page.read() == ["hi"]


def test_what_is_published_while_nobody_serves_is_kept(app: Workers, publisher: Publisher) -> None:
    (one,) = serving(app)
    _, _, position = one.come(CHAT)
    app.end(one)

    receipt = publish(publisher, CHAT, "in the night")

    (another,) = app.start()
    assert receipt == Receipt(0, 0)
    assert another.come(CHAT, ME, position)[1][1:] == ["0-1:in the night"]


def test_a_route_that_keeps_nothing_is_not_taken_for_the_pattern_beside_it(
    app: Workers, publisher: Publisher
) -> None:
    (one,) = serving(app)
    page = one.let_in("/ws/chat/unkept")

    assert publish(publisher, "/ws/chat/unkept", "hi") == Receipt(1, 1)

    assert page.read() == ["hi"]
    assert one.keeper.number == 0


def test_a_key_holds_between_publishers_and_workers(app: Workers, publisher: Publisher) -> None:
    (one,) = serving(app)
    page = one.let_in(CHAT)
    one.say(CHAT, "paid", once="k")
    one.finish()

    assert publish(publisher, CHAT, "paid", once="k") == Receipt(0, 0)
    publish(publisher, CHAT, "end", once="l")

    assert page.read(2) == ["paid", "end"]


def test_a_key_where_nothing_is_kept_is_an_error(app: Workers, publisher: Publisher) -> None:
    serving(app)

    assert isinstance(publish(publisher, "/ws/chat/unkept", "hi", once="k"), UsageError)


def test_a_route_that_a_worker_got_late_is_known_to_publishers_that_run(
    app: Workers, publisher: Publisher
) -> None:
    (one,) = serving(app)
    assert publish(publisher, "/ws/late", "to nobody") == Receipt(1, 0)

    app.route("/ws/late", talk, history=10)
    one.runtime.take_up_histories()
    publish(publisher, "/ws/late", "kept")

    assert one.keeper._journal.point().number == 1


def test_a_path_that_its_journal_does_not_know_makes_a_new_epoch(
    app: Workers, publisher: Publisher
) -> None:
    (one,) = serving(app)
    page, _, position = one.come(CHAT)
    one.keeper._journal.declare([])

    receipt = publish(publisher, CHAT, "unkept")

    assert receipt == Receipt(1, 1)
    told, after = page.settled()
    assert sorted(told) == ["#:", ":unkept"]
    assert after.partition(".")[0] != position.partition(".")[0]


def test_a_journal_that_cannot_be_used_keeps_nothing_and_all_hear_it(
    app: Workers, publisher: Publisher
) -> None:
    (one,) = serving(app)
    page, _, _ = one.come(CHAT)
    publish(publisher, CHAT, "kept")
    assert page.read() == ["0-1:kept"]
    holder = sqlite3.connect(app.journal_path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")

    receipt = publish(publisher, CHAT, "unkept")
    holder.close()

    assert receipt == Receipt(1, 1)
    assert sorted(page.settled()[0]) == ["#:", ":unkept"]


def test_a_journal_that_cannot_be_used_while_nobody_serves_is_an_error(
    app: Workers, publisher: Publisher
) -> None:
    (one,) = serving(app)
    app.end(one)
    holder = sqlite3.connect(app.journal_path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")

    found = publish(publisher, CHAT, "unkept")
    holder.close()

    assert isinstance(found, BackplaneError)


def test_a_journal_that_was_deleted_in_use_is_found_again(
    app: Workers, publisher: Publisher
) -> None:
    (one,) = serving(app)
    page = one.let_in(CHAT)
    publish(publisher, CHAT, "a")
    app.journal_path.unlink()
    one.keeper.hear()

    publish(publisher, CHAT, "b")

    assert page.read(2) == ["a", "b"]
    assert one.keeper.number == 1


def test_an_app_outside_may_say_what_is_not_worth_keeping(
    app: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = serving(app)
    page, _, position = one.come(CHAT)
    # Apps pass over sockets of their own process; this one stands for another.
    monkeypatch.setattr(outside_module, "pid_of", lambda name: 1)
    directory = directory_of(Config(bus_dir=str(app.folder / "bus")), app.folder)
    speaker = BusOutsider(directory, 0)

    in_thread(lambda: speaker.carry(Kind.PATH, CHAT, text_frame("typing")))
    speaker.close()

    assert page.read() == [":typing"]
    assert one.keeper.position == position


def test_a_publisher_that_never_served_finds_the_journal_of_its_project(app: Workers) -> None:
    serving(app)
    outsider = Outsider(Config(bus_dir=str(app.folder / "bus")), None)
    found: list[Any] = []

    def there() -> None:
        found.append(outsider.carry(Kind.ROOM, "orders:1", text_frame("x")))
        outsider.close()

    in_thread(there)

    assert found == [Receipt(1, 0)]
    gevent.sleep(0)
    assert app.made[0].keeper._journal.point().number == 1


# -- patterns


def patterns(*declared: tuple[int, str, int]) -> Patterns:
    return Patterns([Declared(kind, text, KeptLimits(most, 60.0)) for kind, text, most in declared])


def test_the_most_exact_route_counts():
    found = patterns((2, "/a/{b}", 5), (2, "/a/b", 0), (2, "/a/c", 7), (3, "r:{x}", 9))

    assert found.limits_of((2, "/a/x")) == KeptLimits(5, 60.0)
    assert found.limits_of((2, "/a/b")) is None
    assert found.limits_of((2, "/a/c")) == KeptLimits(7, 60.0)
    assert found.limits_of((2, "/nowhere")) is None
    assert found.limits_of((3, "r:1")) == KeptLimits(9, 60.0)
    assert found.limits_of((3, "/a/x")) is None


def test_routes_of_hosts_are_found_by_host_and_path():
    found = patterns(
        (2, "//<tenant>.shop.example/ws/board", 5),
        (2, "//www.shop.example/ws/board", 0),
        (2, "//shop.example/ws/orders/<int:number>", 7),
        (2, "//<own:tenant>.shop.example/ws/x", 3),
        (2, "/ws/board", 9),
    )

    assert found.limits_of((2, "//acme.shop.example/ws/board")) == KeptLimits(5, 60.0)
    assert found.limits_of((2, "//www.shop.example/ws/board")) is None
    assert found.limits_of((2, "//shop.example/ws/orders/7")) == KeptLimits(7, 60.0)
    assert found.limits_of((2, "//shop.example/ws/orders/07")) is None
    assert found.limits_of((2, "//acme.other.example/ws/board")) is None
    assert found.limits_of((2, "//acme.shop.example/ws/x")) is None
    assert found.limits_of((2, "/ws/board")) == KeptLimits(9, 60.0)


def test_what_a_framework_spells_in_its_own_way_is_left_out():
    found = patterns((2, "^a/(?P<b>[^/]+)$", 5), (2, "/x", 3), (3, "{", 4), (3, "ok", 2))

    assert found.limits_of((2, "/x")) == KeptLimits(3, 60.0)
    assert found.limits_of((3, "ok")) == KeptLimits(2, 60.0)
    assert found.limits_of((2, "a/b")) is None
