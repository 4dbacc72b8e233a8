"""Deadlines of one connection when the loop was held, so that bytes came in time and were looked at
too late.
"""

from __future__ import annotations

import time

import pytest

from tina4_wsgi.server.wire import RequestReader, send


class LateWire:
    """A socket whose every byte takes longer than its timeout, as it seems to a loop that was held
    meanwhile.
    """

    timeout: float | None = None

    def _be_late(self) -> None:
        assert self.timeout is not None
        time.sleep(self.timeout + 0.01)

    def recv_into(self, buffer: bytearray) -> int:
        self._be_late()
        buffer[:1] = b"a"
        return 1

    def send(self, data: memoryview) -> int:
        self._be_late()
        return 1

    # What `io` and gevent ask of a socket.
    def gettimeout(self) -> float | None:
        return self.timeout

    def _decref_socketios(self) -> None:
        pass


def test_a_body_that_comes_too_late_is_cut():
    reader = RequestReader(LateWire())
    reader.await_body(0.01, 60)
    assert reader.readinto(bytearray(10)) == 1

    with pytest.raises(TimeoutError, match="the client is too slow"):
        reader.readinto(bytearray(10))


def test_a_body_that_keeps_coming_is_cut_when_its_whole_time_is_over():
    reader = RequestReader(LateWire())
    reader.await_body(60, 0.01)
    assert reader.readinto(bytearray(10)) == 1

    with pytest.raises(TimeoutError, match="the client is too slow"):
        reader.readinto(bytearray(10))


def test_the_next_head_has_no_time_of_the_last_body():
    reader = RequestReader(LateWire())
    reader.await_body(60, 0.01)
    reader.readinto(bytearray(10))

    reader.await_request(0.01, 0.01)

    assert reader.readinto(bytearray(10)) == 1


def test_an_answer_that_is_taken_too_late_is_cut():
    with pytest.raises(TimeoutError, match="the client is too slow"):
        send(LateWire(), b"abc", 0.01)
