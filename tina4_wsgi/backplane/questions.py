"""Questions to other processes that wait for answers."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import gevent
from gevent.event import Event

from .contract import Facts, Receiver
from .envelope import Kind, pack_json

logger = logging.getLogger("tina4_wsgi.backplane")


_MOST_ANSWERS = 10_000  # processes; what comes beyond was made up by somebody


class Question:
    """One question.

    Args:
        awaited: the ids of those who will answer; None while their number is not known.

    Greenlets: `wait` waits; all else may be called in the hub.
    """

    def __init__(self, awaited: Iterable[bytes] | None) -> None:
        self._awaited = None if awaited is None else set(awaited)
        self._expected_count: int | None = None
        self._answers: dict[bytes, Facts] = {}
        self._is_done = Event()
        self._check()

    def expect(self, count: int) -> None:
        """Say how many will answer, where only that is known."""
        self._expected_count = count
        self._check()

    def take(self, sender: bytes, answer: Facts) -> None:
        """Take an answer."""
        if len(self._answers) < _MOST_ANSWERS:
            self._answers[sender] = answer
        self.give_up_on(sender)

    def give_up_on(self, sender: bytes) -> None:
        """Wait no longer for this one."""
        if self._awaited is not None:
            self._awaited.discard(sender)
        self._check()

    def wait(self, timeout_s: float) -> list[Facts]:
        """Wait for all answers, or as long as that, and give those that came."""
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
        """Late answers are dropped from now on."""
        self._open.pop(number, None)

    def take(self, number: int, sender: bytes, answer: Facts) -> None:
        """Take an answer; one that nobody waits for is dropped."""
        question = self._open.get(number)
        if question is not None:
            question.take(sender, answer)

    def give_up_on(self, sender: bytes) -> None:
        """That process answers nothing any more."""
        for question in list(self._open.values()):
            question.give_up_on(sender)


def answer_of(receiver: Receiver, question: Facts, sender: bytes, number: int) -> bytes:
    """Lay out this process's answer to a question; nothing, where the question can't be answered.
    Raises nothing.

    A question comes from another process, and so perhaps from a stranger who may publish in the
    same Redis: whatever it holds, it must not cost more than itself.
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
