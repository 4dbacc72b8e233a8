"""Runs as a program, for `nursery`: runs the code that is its first argument, which imports things,
and then takes jobs, one a line, and runs each in a fork of itself.

A job is JSON with the `code`, the `argv`, `folder` and `env` to run it in, and the paths of two
files, `out` and `err`. A line with the exit status, as `os.waitpid` gives it, tells of its end.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import types
from typing import Any

# The code may patch these; here everything waits in the kernel.
_fork, _waitpid, _write = os.fork, os.waitpid, os.write


def next_job() -> dict[str, Any]:
    """Give the job that this process, which is a fork by then, is to run."""
    for line in sys.stdin:
        if (pid := _fork()) == 0:
            return dict(json.loads(line))
        _write(1, f"{_waitpid(pid, 0)[1]}\n".encode())
    raise SystemExit


def move_in(job: dict[str, Any]) -> types.ModuleType:
    """Become what a process is that Python was just started in; gives its main module."""
    for path, descriptor in ((os.devnull, 0), (job["out"], 1), (job["err"], 2)):
        opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(opened, descriptor)
        os.close(opened)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115  # the other one has read ahead
    os.chdir(job["folder"])
    os.environ.clear()
    os.environ.update(job["env"])
    sys.argv[:] = job["argv"]
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    return main


if __name__ == "__main__":
    sys.path.pop(0)  # the folder of this file
    exec(sys.argv[1], {"__name__": "beginning"})
    gc.freeze()  # or the collector of each fork would touch, and so copy, all that was imported
    the_job = next_job()
    the_main = move_in(the_job)
    exec(compile(the_job["code"], "<string>", "exec"), the_main.__dict__)
