"""What tests of hostile clients share: a bystander whom nothing may disturb, and measures of what
an attack cost.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from tests.support import servers, site
from tests.support.raw import ANSWER_S, RawClient
from tests.support.site import Site, run_site

ARENA = servers.ROOT / "tests" / "hostile" / "apps"

MOST_WORK_S = (
    2.0  # what a server computes for all others during one echo, which takes it some 50 µs
)
PAUSE_S = 0.005
STUCK_S = 0.4  # no byte taken for so long: reading has stopped

MARKER = b"smuggled-secret"
"""Part of what hostile clients send; it may stand in no log and in no answer."""


class Bystander:
    """A client that echoes on a connection of its own, in a thread, for as long as the `with` block
    runs.

    Leaving the block is an AssertionError if an echo was wrong or did not come, the one after the
    block included, or if the server computed for too long before one. That is told by its processor
    time: by the clock an echo is late on a busy machine, too.

    Args:
        pid: the process that serves it.
    """

    def __init__(self, address: tuple[str, int], path: str, pid: int) -> None:
        self._client = RawClient.open(address, path)
        self._pid = pid
        self._thread = threading.Thread(target=self._run, name="bystander")
        self._is_over = threading.Event()
        self._count = 0
        self._longest_work_s = 0.0
        self._failure = ""

    def __enter__(self) -> Bystander:
        self._echo()
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._is_over.set()
        self._thread.join(2 * ANSWER_S)
        self._client.close()
        assert not self._thread.is_alive(), "the bystander hears nothing"
        assert not self._failure, f"the bystander was disturbed: {self._failure}"
        assert self._longest_work_s < MOST_WORK_S, (
            f"{self._longest_work_s:.1f} s of work came before an echo"
        )

    def _run(self) -> None:
        """Echo now and then; the last echo begins when the block is over."""
        try:
            is_over = False
            while not is_over:
                is_over = self._is_over.wait(PAUSE_S)
                self._echo()
        except (OSError, AssertionError) as exc:
            self._failure = f"{exc!r} after {self._count} echoes"

    def _echo(self) -> None:
        text = f"echo {self._count}"
        before_s = cpu_s(self._pid)
        self._client.send_text(text)
        assert self._client.read_text() == text
        self._longest_work_s = max(self._longest_work_s, cpu_s(self._pid) - before_s)
        self._count += 1


def run_arena(
    kind: str, folder: Path, env: Mapping[str, str] | None = None
) -> AbstractContextManager[Site]:
    """Run apps/arena.py; see `run_site`. It sends no pings, which would come between literal
    bytes.
    """
    probe_path = f"{servers.ROOT}:{site.APPS}"  # the probe is with the other applications
    env = {"PYTHONPATH": probe_path, "TINA4_WS_PING_INTERVAL_S": "0", **(env or {})}
    return run_site(kind, "arena:app", folder, env=env, working_folder=ARENA)


def read_to_fin(client: RawClient) -> bytes:
    """Read all until the server ends its side; a reset is a ConnectionResetError."""
    taken = bytearray()
    while data := client.socket.recv(65_536):
        taken += data
    return bytes(taken)


def send_until_stuck(client: RawClient, piece: bytes, most_bytes: int) -> int:
    """Send the same bytes again and again until nobody takes them any more, and give how many were
    taken.
    """
    client.socket.settimeout(STUCK_S)
    taken = 0
    try:
        while taken < most_bytes:
            taken += client.socket.send(piece[taken % len(piece) :])
    except TimeoutError:
        pass
    client.socket.settimeout(ANSWER_S)
    return taken


def close_frame(code: int, reason: str = "") -> bytes:
    """Lay out a server's close frame by hand: 88, length, code, reason."""
    payload = code.to_bytes(2, "big") + reason.encode()
    return bytes((0x88, len(payload))) + payload


class Memory:
    """What one process holds, and the most it has held since `forget_peak`."""

    def __init__(self, pid: int) -> None:
        self._folder = Path("/proc") / str(pid)

    def held_bytes(self) -> int:
        """Its share of memory (Pss), in which pages that it shares with a parent count in part."""
        return self._read("smaps_rollup", "Pss")

    def peak_bytes(self) -> int:
        """The most it had in memory at once."""
        return self._read("status", "VmHWM")

    def forget_peak(self) -> None:
        """Let the peak begin anew."""
        (self._folder / "clear_refs").write_text("5")

    def _read(self, file: str, name: str) -> int:
        for line in (self._folder / file).read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1_024
        raise AssertionError(f"no {name} in {file}")


def cpu_s(pid: int) -> float:
    """Give the processor time that the threads of a process have used, to the nanosecond."""
    used = (path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    return sum(int(line.split()[0]) for line in used) / 1e9
