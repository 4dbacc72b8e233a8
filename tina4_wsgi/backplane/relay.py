"""A process's way to the others, for whichever thread has something to say.

Started lazily, in the hub that serves. A process without one, such as a task queue's worker that
imported the app, publishes as a guest instead.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Any

import gevent
from gevent.hub import Hub
from gevent.monkey import get_original
from greenlet import getcurrent

from ..config import Config
from ..errors import Tina4Error
from ..hub.mailbox import Mailbox
from .bus.bus import LocalBus
from .bus.directory import directory_of
from .contract import Backplane, Facts, Receiver, Status
from .envelope import Kind
from .isolation import isolation
from .outside import Outsider

logger = logging.getLogger("tina4_wsgi.backplane")

_get_ident = get_original("_thread", "get_ident")
_allocate_lock = get_original("_thread", "allocate_lock")
_start_new_thread = get_original("_thread", "start_new_thread")

_ANSWER_S = 1.0
_FIRST_RETRY_S, _LONGEST_RETRY_S = 1.0, 10.0
_SLACK_S = 1.0  # what a hub may take to come to an errand, beyond the errand's own time


class Relay:
    """Everything beyond this process.

    Args:
        root: of the project, which names the default bus directory.
        app_number: which of the process's apps this is.
        receiver: the connections here.
        is_outsider: whether this is the forked child of a process that serves. Its hub has copies
            of the parent's watchers, so it must not run for our sake, and it serves nobody: it
            tells all others, the parent too, as a publisher does. Until `start`, from which on it
            is a process like any other.

    Attributes:
        tracks_names: whether `enter` and `leave` do anything.

    Greenlets and threads: any, where a method doesn't say less.
    Locks: `_lock` guards the start; `_core`, `_hub`, `_ident` and `_mailbox` are set together,
    before `_core`.
    """

    def __init__(
        self,
        config: Config,
        root: str,
        app_number: int,
        receiver: Receiver,
        is_outsider: bool = False,
    ) -> None:
        self._config = config
        self._root = root
        self._app_number = app_number
        self._receiver = receiver
        isolation.receivers.add(receiver)
        self._lock = _allocate_lock()
        self._core: Backplane | None = None
        self._hub: Any = None  # Any: gevent ships no types
        self._ident = 0
        self._mailbox: Mailbox | None = None
        self._is_outsider = is_outsider
        self._error = ""
        self._retry: Any = None  # a timer of the hub's
        self._retry_s = _FIRST_RETRY_S
        self.tracks_names = config.backplane == "redis"

    def start(self) -> None:
        """Begin in the hub of this thread; harmless when it has begun. A greenlet of the hub calls
        this.
        """
        if self._core is not None or self._error or isolation.is_on:
            return
        self._is_outsider = False
        with self._lock:
            if self._core is not None or self._error:
                return
            self._hub = gevent.get_hub()
            self._ident = _get_ident()
            self._mailbox = Mailbox(self._hub)
            self._begin()
        if self._error:
            logger.error("broadcasts stay in this process: %s", self._error)

    def _begin(self) -> None:
        """Begin, or note why that failed. In the hub's thread, and with the lock."""
        core = self._new_core()
        try:
            core.start()
        except Exception as exc:  # noqa: BLE001  # the handshake that came first must not fail for it
            self._error = str(exc) or type(exc).__name__
            core.close()
            if (
                self._config.backplane == "local"
            ):  # with Redis it is the set-up, which stays as it is
                self._retry_later()
        else:
            self._error, self._core = "", core

    def _retry_later(self) -> None:
        """Whatever was in the way, another user's folder or a full disk, may go: look again in a
        while.
        """
        self._retry = self._hub.loop.timer(self._retry_s * random.uniform(0.8, 1.2), ref=False)
        self._retry.start(gevent.spawn, self._try_again)
        self._retry_s = min(self._retry_s * 2, _LONGEST_RETRY_S)

    def _try_again(self) -> None:
        with self._lock:
            if self._retry is None or self._core is not None:
                return  # closed meanwhile
            self._stop_retrying()
            before = self._error
            self._begin()
        if not self._error:
            logger.warning("broadcasts reach the other processes now")
        elif self._error != before:
            logger.error("broadcasts stay in this process: %s", self._error)

    def _stop_retrying(self) -> None:
        retry, self._retry = self._retry, None
        if retry is not None:
            retry.stop()
            retry.close()

    def carry(self, kind: Kind, name: str, frame: bytes) -> None:
        """Tell all other processes; never waits in a process that serves."""
        core = self._running_core()
        if self._is_outsider and not isolation.is_on:
            self._carry_from_afar(kind, name, frame)
        elif core is None:
            if not self._error and not isolation.is_on:
                self._carry_as_guest(kind, name, frame)
        elif core.is_alone:
            pass
        elif _get_ident() == self._ident:
            core.carry(kind, name, frame)
        else:
            assert self._mailbox is not None
            self._mailbox.post(core.carry, kind, name, frame)

    def enter(self, kind: Kind, name: str) -> None:
        """Here is somebody on path, or in room, `name`: the first of it."""
        self._tell("enter", kind, name)

    def leave(self, kind: Kind, name: str) -> None:
        """The last one of `name` is gone."""
        self._tell("leave", kind, name)

    def wait_until_heard(self, kind: Kind, name: str) -> bool:
        """Wait, not for long, until what others broadcast to `name` arrives here. A greenlet that
        may wait.

        Returns:
            Whether it had to wait.
        """
        core = self._core
        if core is None or _get_ident() != self._ident:
            return False  # another hub's thread would stand still for it
        return core.wait_until_heard(kind, name, self._config.backplane_wait_s)

    def ask(self, question: Facts) -> list[Facts]:
        """Ask all other processes and wait for their answers. A greenlet or thread that may
        wait.
        """
        core = self._running_core()
        if core is None or core.is_alone:
            return []
        if _get_ident() == self._ident:
            return core.ask(question, _ANSWER_S)
        return self._in_hub(_ANSWER_S, core.ask, question, _ANSWER_S) or []

    def status(self) -> Status:
        """Say how it is."""
        if self._core is not None:
            return self._core.status()
        return Status(self._config.backplane, not self._error, error=self._error)

    def retire(self, timeout_s: float) -> None:
        """Hear nothing more, and wait until what was said has left. A greenlet that may wait."""
        core = self._core
        if core is None or self._hub.loop is None:
            return
        if _get_ident() == self._ident:
            core.retire(timeout_s)
        else:
            self._in_hub(timeout_s, core.retire, timeout_s)

    def close(self) -> None:
        """Give everything back."""
        core, self._core = self._core, None
        if self._hub is None or self._hub.loop is None:
            return
        for give_back in (self._stop_retrying, *(() if core is None else (core.close,))):
            if _get_ident() == self._ident:
                give_back()
            else:
                assert self._mailbox is not None
                self._mailbox.post(give_back)

    def _in_hub(self, takes_s: float, function: Callable[..., Any], *args: Any) -> Any:
        """Have a function run in the hub of the others, and wait for it; None if that hub stands
        still.
        """
        assert self._mailbox is not None
        try:
            return self._mailbox.begin(function, *args).wait(takes_s + _SLACK_S)
        except TimeoutError:
            return None

    def _running_core(self) -> Backplane | None:
        core = self._core
        if core is not None and self._hub.loop is None:
            core = self._core = None  # the thread that it lived in has ended
        if self._error and self._hub.loop is None:
            self._error, self._retry = "", None  # and with it the timer that would have tried again
        if (
            core is None
            and not self._error
            and not self._is_outsider
            and isinstance(getcurrent().parent, Hub)
        ):
            self.start()
            core = self._core
        return core

    def _tell(self, method: str, kind: Kind, name: str) -> None:
        core = self._core
        if core is None:
            return
        if _get_ident() == self._ident:
            getattr(core, method)(kind, name)
        else:
            assert self._mailbox is not None
            self._mailbox.post(getattr(core, method), kind, name)

    def _new_core(self) -> Backplane:
        config = self._config
        if config.backplane == "redis":
            from .redis.backplane import RedisBackplane

            return RedisBackplane(self._hub, config, self._app_number, self._receiver)
        directory = directory_of(config, self._root)
        return LocalBus(
            self._hub, directory, self._app_number, self._receiver, config.max_backplane_bytes
        )

    def _carry_from_afar(self, kind: Kind, name: str, frame: bytes) -> None:
        """Tell the others from a native thread, and wait for it; in that thread gevent's sockets
        have another hub.
        """
        done = _allocate_lock()
        done.acquire()

        def carry() -> None:
            try:
                self._carry_as_guest(kind, name, frame, logging.WARNING)
            finally:
                gevent.get_hub().destroy(destroy_loop=True)
                done.release()

        _start_new_thread(carry, ())
        done.acquire()

    def _carry_as_guest(
        self, kind: Kind, name: str, frame: bytes, level: int = logging.DEBUG
    ) -> None:
        guest = Outsider(self._config, self._root, self._app_number)
        try:
            guest.carry(kind, name, frame)
        except Tina4Error as exc:
            logger.log(level, "a broadcast stays in this process: %s", exc)
        finally:
            guest.close()
