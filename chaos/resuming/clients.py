"""The clients: node processes with many connections each, which write down what happens to them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.support.servers import ROOT

from . import packages
from .ledger import Event, Listener
from .scale import Scale

PROCESSES = 2
NODE = Path(__file__).with_name("node")
SCRIPT = ROOT / "tina4_wsgi" / "browser" / "tina4-ws.js"
END_S = 10.0


class Pages:
    """All clients of a case.

    Attributes:
        listeners: each client, and what it has noted so far.
    """

    def __init__(self, scale: Scale) -> None:
        self.listeners = [
            Listener(f"client {number}", f"r{number % scale.rooms}")
            for number in range(scale.clients)
        ]
        self._scale = scale

    @contextlib.contextmanager
    def open(self, program: str, address: tuple[str, int], folder: Path) -> Iterator[None]:
        """Have all of them connect to an address, and stay until the block ends.

        Args:
            program: of the folder `node`.
            folder: gets all that they wrote.
        """
        with contextlib.ExitStack() as stack:
            share = -(-self._scale.clients // PROCESSES)
            for first in range(0, self._scale.clients, share):
                count = min(share, self._scale.clients - first)
                stack.enter_context(self._run(program, address, folder, first, count))
            yield

    @contextlib.contextmanager
    def _run(
        self, program: str, address: tuple[str, int], folder: Path, first: int, count: int
    ) -> Iterator[None]:
        order = {
            "url": f"ws://{address[0]}:{address[1]}",
            "script": str(SCRIPT),
            "rooms": self._scale.rooms,
            "first": first,
            "count": count,
            "seed": self._scale.seed * 1_000 + first,
        }
        with (folder / f"clients-{first}.log").open("wb") as log:
            process = subprocess.Popen(
                ["node", program, json.dumps(order)],
                cwd=NODE,
                env={**os.environ, "NODE_PATH": str(packages.FOLDER / "node_modules")},
                text=True,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        notes = folder / f"clients-{first}.jsonl"
        reader = threading.Thread(target=self._read, args=(process, notes), daemon=True)
        reader.start()
        try:
            yield
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(END_S)
            finally:
                process.kill()
                reader.join()
                assert process.stdout is not None
                process.stdout.close()

    def _read(self, process: subprocess.Popen[str], path: Path) -> None:
        assert process.stdout is not None
        with path.open("w") as file:
            for line in process.stdout:
                file.write(line)
                note = json.loads(line)
                self.listeners[note["client"]].notes.append(
                    Event(note["what"], note["text"], note["at"])
                )
