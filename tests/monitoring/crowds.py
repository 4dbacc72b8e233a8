"""A crowd that chats while somebody looks at the live page, in a thread of its own."""

from __future__ import annotations

import random
import threading
import time

from tests.support.crowd import Crowd

HALL = "/ws/room/hall"
_BATCH = 250  # handshakes under way at once: a listener's queue is short
_JOIN_S = 60.0
_SENDERS_PER_S = 200
_MOMENT_S = 0.1


class Chat:
    """Connections over many paths, a tenth of them in one large hall; they chat until the `with`
    block ends.
    """

    def __init__(self, address: tuple[str, int], connections: int, paths: int) -> None:
        self._address = address
        in_hall = connections // 10
        others = range(connections - in_hall)
        self._paths = [HALL] * in_hall + [f"/ws/room/{number % (paths - 1)}" for number in others]
        self._has_come, self._is_over = threading.Event(), threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Chat:
        self._thread.start()
        self._has_come.wait()  # has deadlines of its own
        if self._error is not None:
            raise self._error
        return self

    def __exit__(self, *raised: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        with Crowd(self._address) as crowd:
            try:
                self._join(crowd)
            except (AssertionError, OSError) as exc:
                self._error = exc
                return
            finally:
                self._has_come.set()
            while not self._is_over.is_set():
                self._chat(crowd)

    def _join(self, crowd: Crowd) -> None:
        give_up_at_s = time.monotonic() + _JOIN_S
        for start in range(0, len(self._paths), _BATCH):
            batch = [crowd.join(path) for path in self._paths[start : start + _BATCH]]
            left_s = max(0.0, give_up_at_s - time.monotonic())
            crowd.listen_until(
                lambda batch=batch: all(one.is_open for one in batch), "everybody's 101", left_s
            )

    def _chat(self, crowd: Crowd) -> None:
        until_s = time.monotonic() + _MOMENT_S
        for member in random.sample(crowd.members, int(_SENDERS_PER_S * _MOMENT_S)):
            if not member.has_ended:
                member.send_text("hello there")
        crowd.listen_until(lambda: time.monotonic() > until_s, "a moment")
        for member in crowd.members:
            member.frames.clear()
