#!/usr/bin/env python3
"""Feed the protocol random bytes for some minutes; `make test` does it for seconds.

Hypothesis runs the tests of tests/protocol/test_fuzz.py and test_round_trips.py again and again
with new seeds. Where atheris is installed (`pip install atheris`), half of the time is its: it
looks for bytes that reach new code. What it finds is kept in .cache/fuzz, and so is what it
learned.

Exit status: 0 nothing found; 1 something was found, and is printed; 2 usage.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import random
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOUND = ROOT / ".cache" / "fuzz"
TESTS = ("tests/protocol/test_fuzz.py", "tests/protocol/test_round_trips.py")
EXAMPLES_PER_ROUND = 2_000
MOST_BYTES = 2_048  # of one input; longer ones are slow, and everything has happened by then

SEEDS = (
    b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",  # the masked "Hello" of RFC 6455
    # In fragments, with a ping between them.
    b"\x01\x83\0\0\0\0Hel\x89\x80\0\0\0\0\x80\x82\0\0\0\0lo",
    b"\x82\xfe\x00\x7e\0\0\0\0" + b"x" * 126,
    b"\x82\xff\x00\x00\x00\x00\x00\x01\x00\x00\0\0\0\0",
    b"\x88\x85\0\0\0\0\x03\xe8bye",
    b"\xc1\x87\0\0\0\0\xf2\x48\xcd\xc9\xc9\x07\x00",  # the compressed "Hello" of RFC 7692
    b"\x81\x84\0\0\0\0\xf0\x9f\x98\x80",
)


def main() -> int:
    """Run what there is and give the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=5.0, help="in all; 5 by default")
    parser.add_argument("--engine", choices=["all", "hypothesis", "atheris"], default="all")
    arguments = parser.parse_args()
    seconds = arguments.minutes * 60
    if arguments.engine == "atheris":
        return run_atheris(seconds)
    if arguments.engine == "all" and importlib.util.find_spec("atheris") is not None:
        seconds /= 2
        # In a process of its own, which libFuzzer ends when it is done.
        command = [sys.executable, __file__, "--engine", "atheris", "--minutes", str(seconds / 60)]
        if subprocess.run(command, check=False).returncode != 0:
            return 1
    elif arguments.engine == "all":
        print("atheris is not installed, so Hypothesis has all of the time", flush=True)
    return run_hypothesis(seconds)


def run_hypothesis(seconds: float) -> int:
    """Run the fuzz tests with one seed after the other."""
    give_up_at = time.monotonic() + seconds
    rounds = 0
    while time.monotonic() < give_up_at or rounds == 0:
        seed = random.randrange(1 << 32)
        print(
            f"hypothesis: round {rounds + 1}, {EXAMPLES_PER_ROUND} examples a test, seed {seed}",
            flush=True,
        )
        command = [sys.executable, "-m", "pytest", f"--hypothesis-seed={seed}", *TESTS]
        environ = {
            **os.environ,
            "FUZZ_EXAMPLES": str(EXAMPLES_PER_ROUND),
            "CI": "",
        }  # CI has no random seeds
        if subprocess.run(command, cwd=ROOT, env=environ, check=False).returncode != 0:
            return 1
        rounds += 1
    return 0


def run_atheris(seconds: float) -> int:
    """Fuzz in this process, guided by coverage; libFuzzer ends the process."""
    import atheris

    sys.path.insert(0, str(ROOT))
    with atheris.instrument_imports(include=["tina4_wsgi.protocol"]):
        from tests.support import fuzzing

    def try_one(data: bytes) -> None:
        source = atheris.FuzzedDataProvider(data)
        shape = source.ConsumeIntInRange(0, 7)
        places = source.ConsumeIntListInRange(4, 0, MOST_BYTES)
        rest = source.ConsumeBytes(MOST_BYTES)
        if shape == 0:
            fields = [field.decode("latin-1") for field in rest.split(b"\n")]
            fuzzing.check_handshake(
                {"REQUEST_METHOD": "GET", **dict(zip(fuzzing.HEADERS, fields, strict=False))}
            )
        elif shape < 3:
            fuzzing.check_stream(rest, places, shape == 1, max_message_bytes=200, max_fragments=4)
        else:
            fuzzing.check_stream(rest, places, shape % 2 == 1)

    corpus = FOUND / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS):
        # FuzzedDataProvider takes its numbers from the end, and bytes from the beginning.
        (corpus / f"seed-{number}").write_bytes(seed + bytes(16) + b"\x03")
    options = [
        f"-max_total_time={max(1, int(seconds))}",
        f"-max_len={MOST_BYTES}",
        f"-artifact_prefix={FOUND}/",
    ]
    atheris.Setup([sys.argv[0], "-print_final_stats=1", *options, str(corpus)], try_one)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
