"""An app's connection to other processes, usable from any thread.

The backplane is started lazily, in the hub that serves. A process without such a hub, for example a
task queue's worker that imported the app, publishes from outside instead.
"""

from __future__ import annotations

import logging
import random
from typing import TYPE_CHECKING, Any, TypeVar

import gevent
from gevent._hub_local import get_hub_if_exists
from gevent.hub import Hub
from greenlet import getcurrent

from ..errors import Tina4Error
from ..hub.hub_thread import HubThread
from ..hub.mailbox import Mailbox
from ..hub.native import allocate_lock, get_ident, start_new_thread
from .bus.bus import LocalBus
from .bus.directory import directory_of
from .contract import Backplane, Facts, Receiver, Status
from .isolation import isolation
from .outside import Outsider

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..config import Config
    from ..journal.contract import Topic
    from .envelope import Kind

logger = logging.getLogger("tina4_wsgi.backplane")

T = TypeVar("T")


_ANSWER_S = 1.0
_FIRST_RETRY_S, _LONGEST_RETRY_S = 1.0, 10.0
_SLACK_S = 1.0  # how long a hub may take to begin a call, beyond the call's own time


class Relay:
    """Carries frames and questions to other processes, and picks how.

    Args:
        root: folder of the project, which names the default bus directory.
        app_number: which app of the process this is.
        receiver: the connections here.
        is_outsider: whether this is the forked child of a serving process. Its hub has copies of
            the parent's watchers, so the backplane must not run there; and the child serves nobody.
            So it publishes from outside to all others, its parent included. `start` ends that: from
            then on it is a process like any other.
        is_serving: whether this process certainly serves requests.

    Greenlets and threads: any, unless a method says less.
    Locks: `_lock` guards the start. `_hub`, `_ident` and `_mailbox` are set before `_core`.
    """

    def __init__(
        self,
        config: Config,
        root: str,
        app_number: int,
        receiver: Receiver,
        is_outsider: bool = False,
        is_serving: bool = False,
    ) -> None:
        self._config = config
        self._root = root
        self._app_number = app_number
        self._receiver = receiver
        isolation.receivers.add(receiver)
        self._lock = allocate_lock()
        self._core: Backplane | None = None
        self._hub: Any = None  # Any: gevent ships no types
        self._ident = 0
        self._mailbox: Mailbox | None = None
        self._is_outsider = is_outsider
        self._is_serving = is_serving
        self._hears_all = False  # whether hubs of several threads serve
        self._error = ""
        self._retry: Any = None  # a timer of the hub's
        self._retry_s = _FIRST_RETRY_S

    def start(self) -> None:
        """Start in the hub of this thread, from one of its greenlets; harmless once started."""
        core = self._core
        if core is not None and get_ident() != self._ident:
            self._hear_all(core)
        if core is not None or self._error or isolation.is_on:
            return

        self._is_outsider = False
        with self._lock:
            if self._core is not None or self._error:
                return  # another thread was first
            self._hub = gevent.get_hub()
            self._ident = get_ident()
            self._mailbox = Mailbox(self._hub)
            self._begin()

        if self._error:
            logger.error("broadcasts stay in this process: %s", self._error)

    def _begin(self) -> None:
        """Start the backplane, or note why that failed. In the hub's thread, holding the lock."""
        core = self._new_core()
        try:
            core.start()
        except Exception as exc:  # noqa: BLE001  # the first handshake must not fail for it
            self._error = str(exc) or type(exc).__name__
            core.close()
            # With Redis the settings are at fault, and they don't change.
            if self._config.backplane == "local":
                self._retry_later()
        else:
            self._error, self._core = "", core

    def _hear_all(self, core: Backplane) -> None:
        """Have everything told here, since clients of another thread can't wait for it later."""
        if not self._hears_all:
            self._hears_all = True
            self._in_hub(_ANSWER_S, core.hear_all, _ANSWER_S)

    def _retry_later(self) -> None:
        """Try again in a while: another user's folder or a full disk may be gone by then."""
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

    @property
    def is_started(self) -> bool:
        """Whether the backplane runs in a hub of this process."""
        return self._core is not None

    def carry(self, kind: Kind, name: str, frame: bytes) -> None:
        """Tell all other processes; never waits in a serving process."""
        core = self._running_core()

        if core is None or (self._is_outsider and not isolation.is_on):
            if isolation.is_on or (core is None and self._error and not self._is_outsider):
                return
            self._from_outside(lambda outsider: outsider.carry(kind, name, frame))
        elif core.is_alone:
            pass
        elif get_ident() == self._ident:
            core.carry(kind, name, frame)
        else:
            assert self._mailbox is not None
            self._mailbox.post(core.carry, kind, name, frame)

    def ring(self, kind: Kind, name: str, frames: list[bytes], before: int) -> None:
        """Tell all other processes that the journal has news; never waits in a serving process.

        Args:
            kind, frames, before: see `contract.Backplane.ring`.
        """
        core = self._running_core()
        if core is None or (self._is_outsider and not isolation.is_on):
            if isolation.is_on or (core is None and self._error and not self._is_outsider):
                return
            self._from_outside(lambda outsider: outsider.ring(kind, name, frames, before))
        elif core.is_alone:
            pass
        elif get_ident() == self._ident:
            core.ring(kind, name, frames, before)
        else:
            assert self._mailbox is not None
            self._mailbox.post(core.ring, kind, name, frames, before)

    def call_line(self, method: str, *args: object) -> bool:
        """Call a method of the `JournalLine` in its hub; return whether there is a line."""
        core = self._running_core()
        if core is None or (line := core.line) is None:
            return False
        if get_ident() == self._ident:
            getattr(line, method)(*args)
        else:
            assert self._mailbox is not None
            self._mailbox.post(getattr(line, method), *args)
        return True

    def heard_since(self, topic: Topic) -> int | None:
        """Return behind which number every message of a topic was heard here; from any thread."""
        core = self._core
        line = None if core is None else core.line
        return None if line is None else line.heard_since(topic)

    def enter(self, kind: Kind, name: str) -> None:
        """The first connection here has come on path, or into room, `name`."""
        self._tell("enter", kind, name)

    def leave(self, kind: Kind, name: str) -> None:
        """The last connection of `name` here is gone."""
        self._tell("leave", kind, name)

    def wait_until_heard(self, kind: Kind, name: str) -> bool:
        """Wait, at most `backplane_wait_s`, until broadcasts of others to `name` arrive here.

        Greenlets: one that may wait.
        Returns:
            Whether it had to wait.
        """
        core = self._core
        limit_s = self._config.backplane_wait_s
        if core is None:
            return False
        if get_ident() == self._ident:
            return core.wait_until_heard(kind, name, limit_s)
        if get_hub_if_exists() is not None:
            return False  # waiting would stop the whole hub of another thread
        return bool(self._in_hub(limit_s, core.wait_until_heard, kind, name, limit_s))

    def ask(self, question: Facts) -> list[Facts]:
        """Ask all other processes, and wait for their answers.

        Greenlets and threads: one that may wait.
        """
        core = self._running_core()
        if core is None or core.is_alone:
            return []
        if get_ident() == self._ident:
            return core.ask(question, _ANSWER_S)
        return self._in_hub(_ANSWER_S, core.ask, question, _ANSWER_S) or []

    def status(self) -> Status:
        """Return the state of the backplane."""
        if self._core is not None:
            return self._core.status()
        return Status(self._config.backplane, not self._error, error=self._error)

    def retire(self, timeout_s: float) -> None:
        """Stop hearing, and wait until everything said has left. A greenlet that may wait."""
        core = self._core
        if core is None or self._hub.loop is None:
            return
        if get_ident() == self._ident:
            core.retire(timeout_s)
        else:
            self._in_hub(timeout_s, core.retire, timeout_s)

    def close(self) -> None:
        """Close all sockets."""
        core, self._core = self._core, None
        if self._hub is None or self._hub.loop is None:
            return

        for give_back in (self._stop_retrying, *(() if core is None else (core.close,))):
            if get_ident() == self._ident:
                give_back()
            else:
                assert self._mailbox is not None
                self._mailbox.post(give_back)

    def _in_hub(self, takes_s: float, function: Callable[..., Any], *args: object) -> Any:
        """Return what `function` returns in the backplane's hub; None if that hub is stuck."""
        assert self._mailbox is not None
        try:
            return self._mailbox.begin(function, *args).wait(takes_s + _SLACK_S)
        except TimeoutError:
            return None

    def _running_core(self) -> Backplane | None:
        core = self._core
        if core is not None and self._hub.loop is None:
            core = self._core = None  # its thread has ended
        if self._error and self._hub.loop is None:
            self._error, self._retry = "", None  # the timer that would try again ended with it

        if core is None and not self._is_outsider:
            if isinstance(getcurrent().parent, Hub):
                self.start()
            elif self._is_serving and not self._error and get_hub_if_exists() is None:
                # A request of a server without a hub: what it says and asks goes through the thread
                # that serves the WebSockets.
                HubThread.here().mailbox.call_waiting(self.start)
            core = self._core
        return core

    def _tell(self, method: str, kind: Kind, name: str) -> None:
        core = self._core
        if core is None:
            return
        if get_ident() == self._ident:
            getattr(core, method)(kind, name)
        else:
            assert self._mailbox is not None
            self._mailbox.post(getattr(core, method), kind, name)

    def _new_core(self) -> Backplane:
        config = self._config
        if config.backplane == "redis":
            from .redis.backplane import RedisBackplane

            return RedisBackplane(config, self._app_number, self._receiver)

        directory = directory_of(config, self._root)
        return LocalBus(
            self._hub, directory, self._app_number, self._receiver, config.max_backplane_bytes
        )

    def _from_outside(self, tell: Callable[[Outsider], object]) -> None:
        """Publish as a process that doesn't serve does, and wait for it."""
        if not self._is_outsider:
            self._publish(tell, logging.DEBUG)
            return

        call_apart(lambda: self._publish(tell, logging.WARNING))

    def _publish(self, tell: Callable[[Outsider], object], level: int) -> None:
        outsider = Outsider(self._config, self._root, self._app_number)
        try:
            tell(outsider)
        except Tina4Error as exc:
            logger.log(level, "a broadcast stays in this process: %s", exc)
        finally:
            outsider.close()


def call_apart(function: Callable[[], T]) -> T:
    """Call a function in a native thread, and wait for it.

    In a forked child: gevent's sockets have another hub there than that of the parent.
    """
    found: list[T] = []
    errors: list[BaseException] = []
    done = allocate_lock()
    done.acquire()

    def call() -> None:
        try:
            found.append(function())
        except BaseException as exc:  # noqa: BLE001  # raised again where somebody waits
            errors.append(exc)
        finally:
            gevent.get_hub().destroy(destroy_loop=True)
            done.release()

    start_new_thread(call, ())
    done.acquire()
    if errors:
        raise errors[0]
    return found[0]
