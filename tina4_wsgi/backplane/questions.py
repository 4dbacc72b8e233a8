"""Questions to other processes, and the wait for their answers."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import gevent
from gevent.event import Event

from .envelope import Kind, pack_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .contract import Facts, Receiver

logger = logging.getLogger("tina4_wsgi.backplane")


_MOST_ANSWERS = 10_000  # of as many processes; anything beyond is forged


class Question:
    """One question.

    Args:
        awaited: the ids of the processes that will answer; None while their number is unknown.

    Greenlets: `wait` waits; all else may be called in the hub.
    """

    def __init__(self, awaited: Iterable[bytes] | None) -> None:
        self._awaited = None if awaited is None else set(awaited)
        self._expected_count: int | None = None
        self._answers: dict[bytes, Facts] = {}
        self._is_done = Event()
        self._check()

    def expect(self, count: int) -> None:
        """Set how many processes will answer, where their ids stay unknown."""
        self._expected_count = count
        self._check()

    def take(self, sender: bytes, answer: Facts) -> None:
        """Take the answer of one process."""
        if len(self._answers) < _MOST_ANSWERS:
            self._answers[sender] = answer
        self.give_up_on(sender)

    def give_up_on(self, sender: bytes) -> None:
        """Stop waiting for this process."""
        if self._awaited is not None:
            self._awaited.discard(sender)
        self._check()

    def wait(self, timeout_s: float) -> list[Facts]:
        """Wait for all answers, at most `timeout_s`, and return those that came."""
        self._is_done.wait(timeout_s)
        return list(self._answers.values())

    def _check(self) -> None:
        if self._awaited is not None:
            is_done = not self._awaited
        else:
            is_done = (
                self._expected_count is not None and len(self._answers) >= self._expected_count
            )
        if is_done:
            self._is_done.set()


class Questions:
    """The questions of one process, by number."""

    def __init__(self) -> None:
        self._open: dict[int, Question] = {}
        self._last_number = 0

    def new(self, awaited: Iterable[bytes] | None) -> tuple[int, Question]:
        """Open a question; forgotten by `close`."""
        self._last_number += 1
        question = self._open[self._last_number] = Question(awaited)
        return self._last_number, question

    def close(self, number: int) -> None:
        """Drop answers that come from now on."""
        self._open.pop(number, None)

    def take(self, number: int, sender: bytes, answer: Facts) -> None:
        """Take an answer; drop it if nobody waits for it."""
        question = self._open.get(number)
        if question is not None:
            question.take(sender, answer)

    def give_up_on(self, sender: bytes) -> None:
        """Note that this process won't answer any more."""
        for question in list(self._open.values()):
            question.give_up_on(sender)


def answer_of(receiver: Receiver, question: Facts, sender: bytes, number: int) -> bytes:
    """Encode this process's answer to a question; an empty one if answering fails.

    Raises nothing: a question may come from a stranger who can publish in the same Redis, and
    whatever it holds must not break anything but its own answer.
    """
    try:
        return pack_json(Kind.ANSWER, "", receiver.answer(question), sender, number)
    except Exception as exc:  # noqa: BLE001  # whatever a stranger's question makes us do
        gevent.spawn(
            logger.warning,
            "a question of another process is answered with nothing: %s: %s",
            type(exc).__name__,
            exc,
        )
        return pack_json(Kind.ANSWER, "", {}, sender, number)
