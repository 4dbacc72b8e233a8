"""A real server for a test: `tina4-wsgi serve` on a free port, in a process of its own."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import isolated_environ
from ..errors import Tina4Error, UsageError

if TYPE_CHECKING:
    from types import TracebackType

START_S = 30.0
STOP_S = 15.0
"""Longer than the default drain time of 10 s."""

_HOST = "127.0.0.1"
_BANNER = re.compile(r"http://127\.0\.0\.1:(\d+)")
_LOOK_EVERY_S = 0.02


class ServerFailed(Tina4Error):
    """The server did not start or did not stop; the message ends with what it printed."""


class LiveServer:
    """Serves an app until the block ends; `start` and `stop` do the same without a block.

    Args:
        target: as for `tina4-wsgi serve`: "module:app"; None for `wsgi:app` or the routes in `src`.
        folder: where the target is, and the current folder of the process.
        options: further options of `tina4-wsgi serve`.
    """

    def __init__(
        self, target: str | None = None, folder: str | os.PathLike[str] = ".", *options: str
    ) -> None:
        self.target = target
        self.folder = Path(folder)
        self.options = options
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._log_descriptor: int | None = None
        self._printed = ""

    def __enter__(self) -> LiveServer:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, as for `socket.create_connection`."""
        return _HOST, self.port

    @property
    def url(self) -> str:
        """The server's URL without a slash at its end, such as "http://127.0.0.1:40123"."""
        return f"http://{_HOST}:{self.port}"

    @property
    def ws_url(self) -> str:
        """The URL for WebSocket clients, such as "ws://127.0.0.1:40123"."""
        return f"ws://{_HOST}:{self.port}"

    @property
    def pid(self) -> int | None:
        """The process id, None when no server runs."""
        return None if self._process is None else self._process.pid

    @property
    def log(self) -> str:
        """What the server has printed so far."""
        descriptor = self._log_descriptor
        if descriptor is None:
            return self._printed
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode(errors="replace")

    def start(self) -> None:
        """Start the server, and return once it listens.

        Raises:
            ServerFailed: it ended instead, or took more than 30 s.
        """
        command = [
            sys.executable,
            "-u",
            "-m",
            "tina4_wsgi",
            "serve",
            *([self.target] if self.target else []),
        ]
        command += ["--host", _HOST, "--port", "0", *self.options]
        if self._process is not None:
            raise UsageError("this server runs already")

        with tempfile.TemporaryFile() as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=isolated_environ(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Programs that the app starts are killed with it, and ^C reaches the tests alone.
                start_new_session=True,
            )
            self._log_descriptor = os.dup(log.fileno())

        try:
            self.port = self._wait_for_port(self._process)
        except BaseException:
            self._end(self._process)
            raise

    def stop(self) -> None:
        """Stop the server gracefully, and return once it has ended; harmless if none runs.

        Raises:
            ServerFailed: the server had to be killed, or ended with an error.
        """
        process = self._process
        if process is None:
            return

        try:
            process.send_signal(signal.SIGTERM)  # harmless if the server has ended
            code = process.wait(STOP_S)
        except subprocess.TimeoutExpired as exc:
            raise ServerFailed(
                f"the server was killed, it still ran {STOP_S:g} s after SIGTERM:\n{self.log}"
            ) from exc
        finally:
            self._end(process)

        if code != 0:
            raise ServerFailed(f"the server ended with exit code {code}:\n{self.log}")

    def _wait_for_port(self, process: subprocess.Popen[bytes]) -> int:
        give_up_at = time.monotonic() + START_S
        while time.monotonic() < give_up_at:
            has_ended = process.poll() is not None
            found = _BANNER.search(self.log)
            if found:
                return int(found[1])
            if has_ended:
                raise ServerFailed(
                    f"the server ended with exit code {process.returncode}:\n{self.log}"
                )
            time.sleep(_LOOK_EVERY_S)

        raise ServerFailed(f"the server did not listen within {START_S:g} s:\n{self.log}")

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        """Kill whatever is left, and keep what the server printed."""
        self._process = None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(STOP_S)
        self._printed = self.log
        if self._log_descriptor is not None:
            os.close(self._log_descriptor)
            self._log_descriptor = None
