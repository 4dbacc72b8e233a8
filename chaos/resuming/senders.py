"""Senders: each says its numbered messages in one room, by HTTP, or from outside while nothing
serves.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
import time

from .services import Service

SENDERS_PER_ROOM = 2
PATIENCE_S = 1.5  # what has no answer by then may have been said, and may not
LAST_WORDS_S = 20.0


class Sender:
    """One sender in a thread of its own; it waits for each answer.

    Attributes:
        said: the messages that were taken: an answer of 2xx, or a publisher's receipt.
        refused_count: how many were certainly not said, and the sender knows.
        unsure_count: how many got no answer; they may have been said.
    """

    def __init__(self, service: Service, room: str, name: str, pause_s: float) -> None:
        self.room = room
        self.said: list[str] = []
        self.refused_count = self.unsure_count = self._count = 0
        self._service, self._name, self._pause_s = service, name, pause_s
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sender {name}", daemon=True)

    def start(self) -> None:
        """Begin to say something every `pause_s`."""
        self._thread.start()

    def stop(self) -> None:
        """Say no more."""
        self._is_over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def say_last_words(self) -> None:
        """Say one thing more, until it is taken."""
        give_up_at_s = time.monotonic() + LAST_WORDS_S
        known = len(self.said)
        while len(self.said) == known:
            assert time.monotonic() < give_up_at_s, f"nobody takes what {self._name} says"
            self._say()

    def _run(self) -> None:
        at_s = time.monotonic()
        while not self._is_over.wait(max(0.0, at_s - time.monotonic())):
            self._say()
            at_s = max(at_s + self._pause_s, time.monotonic())

    def _say(self) -> None:
        text = f"{self._name}.{self._count}"
        self._count += 1
        try:
            is_said = self._post(text)
        except ConnectionRefusedError:
            is_said = self._service.publish(self.room, text)
        except (OSError, http.client.HTTPException):
            self.unsure_count += 1
            return
        if is_said:
            self.said.append(text)
        else:
            self.refused_count += 1

    def _post(self, text: str) -> bool:
        # A connection of its own for each, so that the kernel chooses a worker.
        asker = http.client.HTTPConnection(*self._service.address, timeout=PATIENCE_S)
        with contextlib.closing(asker):
            asker.request("POST", f"/say/{self.room}", text)
            answer = asker.getresponse()
            answer.read()
            return answer.status < 300
