"""A history for the commands that read it, in a folder of the test's own."""

from __future__ import annotations

import time
from pathlib import Path

from tina4_wsgi.backplane.journal_files import journal_file
from tina4_wsgi.config import Config
from tina4_wsgi.journal.contract import Declared, Draft, KeptLimits
from tina4_wsgi.protocol.frames import encode_message
from tina4_wsgi.routing.names import GroupKind

LIMITS = KeptLimits(most_messages=50, longest_s=300)
NOTHING = KeptLimits(most_messages=0, longest_s=300)


class History:
    """The file of an app that keeps `/ws/news/{name}` and the rooms `orders:{id}`.

    Args:
        folder: of the file.
    """

    def __init__(self, folder: Path) -> None:
        self.journal = journal_file(Config(history_dir=str(folder)), folder, 0)
        self.journal.declare(
            [
                Declared(GroupKind.PATH, "/ws/news/{name}", LIMITS),
                Declared(GroupKind.PATH, "/ws/plain", NOTHING),
                Declared(GroupKind.ROOM, "orders:{id}", LIMITS),
            ]
        )

    def say(
        self,
        *messages: str | bytes,
        name: str = "/ws/news/a",
        kind: GroupKind = GroupKind.PATH,
        at_s: float | None = None,
    ) -> list[str]:
        """Keep messages, and return their positions."""
        drafts = [Draft((kind, name), encode_message(one), LIMITS) for one in messages]
        appended = self.journal.append(drafts, time.time() if at_s is None else at_s)
        return [f"{appended.before.epoch}.0-{number}" for number in appended.numbers]

    def close(self) -> None:
        """Close the file."""
        self.journal.close()
