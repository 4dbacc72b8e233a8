"""Those who hear what one hub keeps: who is told of a gap."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.kept_house import ME, OTHER, PATH, ROOM, Workers
from tina4_wsgi.engine.audience import EngineAudience


def join(connection: Any, event: str, data: str) -> None:
    if event == "open":
        connection.join("orders:7")


@pytest.mark.parametrize("topic", [(PATH, "/ws/orders"), (ROOM, "orders:7")])
def test_a_gap_of_a_topic_is_told_to_those_who_are_on_its_path_or_in_its_room(
    workers: Workers, topic: tuple[int, str]
) -> None:
    workers.router.room("orders:{id}", history=10)
    workers.route("/ws/orders", join, history=10)
    workers.route("/ws/news", history=10)
    (worker,) = workers.start()
    inside, _, position = worker.come("/ws/orders")
    outside, _, _ = worker.come("/ws/news", OTHER)

    EngineAudience(worker.engine).hear_gap([topic])

    assert inside.read(2) == [f"@{ME}.{position}.g:", f"#{position}:"]
    assert outside.heard_nothing()
