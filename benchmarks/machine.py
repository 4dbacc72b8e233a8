"""What the kernel knows: processors, processor time, memory, descriptors. All of it from /proc, so
Linux only.
"""

from __future__ import annotations

import os
import platform
import re
import resource
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Cpus(NamedTuple):
    """Which processor the servers run on, and which one the load generators."""

    server: int
    load: int


def choose_cpus() -> Cpus:
    """The first two that this process may use; the same one twice where there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return Cpus(allowed[0], allowed[1] if len(allowed) > 1 else allowed[0])


def raise_descriptor_limit() -> int:
    """Allow this process, and those it starts, as many descriptors as it may; give how many."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return 1 << 30 if hard == resource.RLIM_INFINITY else hard


def family(pid: int) -> list[int]:
    """Give a process and all below it; under gunicorn that is the master and its worker."""
    parents = {int(entry): _parent(int(entry)) for entry in os.listdir("/proc") if entry.isdigit()}
    found = [pid]
    for one in found:  # grows meanwhile
        found += [child for child, parent in parents.items() if parent == one]
    return found


def _parent(pid: int) -> int:
    try:
        return int(_stat(pid)[1])
    except OSError:  # it has ended
        return 0


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on: a name may hold blanks and parentheses."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def cpu_seconds(pids: Iterable[int]) -> float:
    """Give the time that processes have run, in user mode and in the kernel, all threads of
    them.
    """
    return sum(sum(int(field) for field in _stat(pid)[11:13]) for pid in pids) / TICKS_PER_S


def own_cpu_seconds() -> float:
    """Give the time that this process has run, and those it started that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def busy_seconds(cpu: int) -> float:
    """Give the time that a processor has run processes, or was kept from us by the hypervisor."""
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith(f"cpu{cpu} "):
            user, nice, system, _idle, _wait, _irq, _softirq, steal = (
                int(field) for field in line.split()[1:9]
            )
            return (user + nice + system + steal) / TICKS_PER_S
    return 0.0


def resident_bytes(pid: int) -> int:
    """Give the memory of a process that is in RAM."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES


def descriptor_count(pid: int) -> int:
    """Count the open descriptors of a process."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def load_average() -> float:
    """Give how many processes have wanted to run during the last minute."""
    return os.getloadavg()[0]


def describe() -> dict[str, str | int]:
    """Say what machine this is."""
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = re.search(r"^MemTotal:\s*(\d+) kB", Path("/proc/meminfo").read_text())
    return {
        "processor": model[1].strip() if model else platform.machine(),
        "cores": os.cpu_count() or 1,
        "memory_gib": round(int(memory[1]) / (1 << 20)) if memory else 0,
        "system": _system_name(),
        "kernel": platform.release().partition("-")[0],
    }


def _system_name() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()
