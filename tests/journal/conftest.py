"""A journal of each kind, which several users share; and drafts of messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tina4_wsgi.journal.contract import Draft, Journal, KeptLimits, Topic
from tina4_wsgi.journal.file import FileJournal
from tina4_wsgi.journal.memory import MemoryJournal
from tina4_wsgi.protocol.framing import text_frame

NOW_S = 1_000_000.0
MANY_BYTES = 64 << 20
LIMITS = KeptLimits(most_messages=100, longest_s=300.0)
CHAT: Topic = (2, "/ws/chat")
ROOM: Topic = (3, "/ws/chat")

Open = Callable[[], Journal]


def draft(
    text: str = "hi",
    topic: Topic = CHAT,
    limits: KeptLimits = LIMITS,
    *,
    author: str = "",
    once: str = "",
) -> Draft:
    """A message that is to be kept."""
    return Draft(topic, text_frame(text), limits, author, once)


def drafts(*texts: str, topic: Topic = CHAT, limits: KeptLimits = LIMITS) -> list[Draft]:
    """Messages that are said in one go."""
    return [draft(text, topic, limits) for text in texts]


def file_journal(path: Path, most_bytes: int = MANY_BYTES) -> FileJournal:
    """The journal in a file, for one more user."""
    return FileJournal(str(path), lambda: path.parent.mkdir(exist_ok=True), most_bytes)


@pytest.fixture(params=["memory", "file"])
def kind(request: pytest.FixtureRequest) -> str:
    """What a journal is kept in; a further kind is one more name, and a way to open it below."""
    return str(request.param)


@pytest.fixture
def open_journal(kind: str, tmp_path: Path) -> Iterator[Callable[..., Journal]]:
    """Opens one journal, for one more user with each call."""
    opened: list[Journal] = []

    def open_another(most_bytes: int = MANY_BYTES) -> Journal:
        if kind == "file":
            opened.append(file_journal(tmp_path / "h" / "history.sqlite", most_bytes))
        elif not opened:
            opened.append(MemoryJournal(most_bytes))
        return opened[-1]

    yield open_another
    for one in opened:
        one.close()


@pytest.fixture
def journal(open_journal: Open) -> Journal:
    """A journal that is empty."""
    return open_journal()
