"""A Python that has imported what many programs begin with, and forks for each of them: a process of
its own for a hundredth of the price.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

PROGRAM = Path(__file__).with_name("forking.py")
STOP_S = 10.0


class Nursery:
    """Where programs are born.

    Args:
        python: the interpreter with its options.
        beginning: the code that imports things, once.
        env: all of the variables to do that with, which are those of a program too unless it has
            others.
    """

    def __init__(self, python: Sequence[str], beginning: str, env: Mapping[str, str]) -> None:
        self._env = dict(env)
        self._process = subprocess.Popen(
            [*python, str(PROGRAM), beginning],
            env=self._env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    def run(
        self,
        code: str,
        folder: Path,
        timeout_s: float,
        *,
        argv: Sequence[str] = ("-c",),
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end, in a process of its own.

        Raises:
            AssertionError: it takes longer than `timeout_s` seconds; then no other can be run.
        """
        with tempfile.TemporaryDirectory() as name:
            out, err = Path(name, "out"), Path(name, "err")
            job = {
                "code": code,
                "argv": [*argv],
                "folder": str(folder),
                "env": self._env if env is None else dict(env),
                "out": str(out),
                "err": str(err),
            }
            status = self._ask(json.dumps(job), timeout_s)
            exit_code = os.waitstatus_to_exitcode(status)
            return subprocess.CompletedProcess([*argv], exit_code, out.read_text(), err.read_text())

    def close(self) -> None:
        """End it, and what it still runs."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(STOP_S)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):  # of what it has not read
                pipe.close()

    def _ask(self, job: str, timeout_s: float) -> int:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(job.encode() + b"\n")
        stdin.flush()
        if not select.select([stdout], [], [], timeout_s)[0]:
            self.close()  # or the next one would take this one's status for its own
            raise AssertionError(f"still running after {timeout_s:g} s")
        answer = stdout.readline()
        assert answer, f"what was to be imported failed, exit code {self._process.wait(STOP_S)}"
        return int(answer)


@contextlib.contextmanager
def opened(python: Sequence[str], beginning: str, env: Mapping[str, str]) -> Iterator[Nursery]:
    """Have one until the block ends."""
    nursery = Nursery(python, beginning, env)
    try:
        yield nursery
    finally:
        nursery.close()
