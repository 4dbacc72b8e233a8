"""What compressing one message costs: `python -m benchmarks.deflating`.

It compresses the same 1 KiB of JSON as the engine does, with each pair of `deflate_level` and
`deflate_mem_level`. The time is that of this process, so it holds on a busy machine; the best of
many runs counts.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence

from tina4_wsgi.protocol.deflate import compress_frame
from tina4_wsgi.protocol.frames import encode_message

from .tables import table

SIZE_BYTES = 1_024
WINDOW_BITS = 15
PAIRS = ((6, 8), (1, 8), (6, 5), (1, 5), (9, 9))
MESSAGES = 500
RUNS = 40


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.deflating", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help=f"default: {RUNS}")
    runs = parser.parse_args(argv).runs

    frame = encode_message(some_json(SIZE_BYTES))
    best = dict.fromkeys(PAIRS, float("inf"))
    for _ in range(runs):
        for pair in PAIRS:  # interleaved, so that what slows the machine slows all of them
            best[pair] = min(best[pair], _seconds(frame, *pair))

    usual = best[PAIRS[0]]
    rows = [
        [
            str(level),
            str(memory_level),
            f"{seconds * 1e6:.1f} µs",
            f"{seconds / usual:.2f}",
            str(len(compress_frame(frame, WINDOW_BITS, 0, level, memory_level)) - 4),
        ]
        for (level, memory_level), seconds in best.items()
    ]
    head = ["deflate_level", "deflate_mem_level", "per message", "× default", "bytes"]
    print(table(head, rows))
    return 0


def some_json(size_bytes: int) -> str:
    """Lay out rows as an API sends them, equal keys and other values, cut at a size."""
    names = ("ada", "grace", "linus", "margaret", "ken")
    rows = [
        {
            "id": 48_000 + number * 7_919 % 10_007,
            "user": names[number * number % 5],
            "text": f"message {number * 31 % 97} of the room",
            "at": 1_764_400_000 + number * 1_009,
        }
        for number in range(size_bytes // 40)
    ]
    return json.dumps(rows)[:size_bytes]


def _seconds(frame: bytes, level: int, memory_level: int) -> float:
    """How long the process takes for one message."""
    begun = time.process_time()
    for _ in range(MESSAGES):
        compress_frame(frame, WINDOW_BITS, 0, level, memory_level)
    return (time.process_time() - begun) / MESSAGES


if __name__ == "__main__":
    sys.exit(main())
