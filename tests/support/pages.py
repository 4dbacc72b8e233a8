"""Pages with our browser client's marks: they come back, and know what they have seen."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from tests.support.crowd import Crowd, Member

_names = itertools.count()

Come = Callable[[Crowd, str], Member]


class Page:
    """One page view, over all its connections.

    Attributes:
        messages: what was handed on, in order.
        heard, others: of that, what is kept and what isn't.
        verdicts: of each greeting.
        position: what it would send; "-" for a void one, "" before the first.
    """

    def __init__(self, crowd: Crowd, path: str, come: Come) -> None:
        self.me = f"page{next(_names):08d}"
        self.messages: list[str] = []
        self.heard: list[str] = []
        self.others: list[str] = []
        self.verdicts: list[str] = []
        self.position = ""
        self._crowd = crowd
        self._path = path
        self._come = come
        self._seen: set[str] = set()
        self._taken = 0
        self._is_settled = False
        self.member: Member | None = None

    @property
    def is_settled(self) -> bool:
        """Whether everything up to now has been said, and the position isn't void."""
        self.read()
        return self._is_settled and self.position != "-"

    def come(self) -> None:
        """Connect, and say where it was."""
        behind = f".{self.position}" if self.position else ""
        self.member = self._come(self._crowd, f"{self._path}?tina4=1.{self.me}{behind}")
        self._taken, self._is_settled = 0, False

    def cut(self) -> None:
        """Lose the line, with all that has not arrived."""
        self.read()
        assert self.member is not None
        self._crowd.reset(self.member)

    def say(self, text: str) -> None:
        """Say something, before the greeting was read."""
        assert self.member is not None
        self.member.send_text(text)

    def read(self) -> None:
        """Take what has arrived."""
        assert self.member is not None
        texts = self.member.texts
        for text in texts[self._taken :]:
            mark, _, message = text.partition(":")
            self._take(mark, message)
        self._taken = len(texts)

    def _take(self, mark: str, message: str) -> None:
        if mark.startswith("@"):
            me, position, verdict = (
                mark[1:].split(".", 1)[0],
                *mark[1:].split(".", 1)[1].rsplit(".", 1),
            )
            assert me == self.me
            self.verdicts.append(verdict)
            self._is_settled = False
            if verdict != "y":
                self.position, self._seen = position, set()
        elif mark.startswith("#"):
            self.position, self._seen, self._is_settled = mark[1:] or "-", set(), True
        elif mark == "":
            self.others.append(message)
            self.messages.append(message)
        elif mark not in self._seen:
            self._take_kept(mark, message)

    def _take_kept(self, mark: str, message: str) -> None:
        if not self._is_settled:
            self._seen.add(mark)
        elif self.position != "-":
            epoch, _, last = self.position.partition(".0-")
            number = int(mark.partition("-")[2])
            assert number > int(last), f"{mark} came behind {last}"
            self.position = f"{epoch}.0-{number}"
        self.heard.append(message)
        self.messages.append(message)
