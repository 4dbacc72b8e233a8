"""Pages of what was said before: read once for all who ask at the same time."""

from __future__ import annotations

import pytest

from tina4_wsgi.journal import pages as pages_module
from tina4_wsgi.journal.contract import Kept
from tina4_wsgi.journal.pages import Page, Pages
from tina4_wsgi.protocol.framing import text_frame


def kept(number: int, text: str, author: str = "") -> Kept:
    return Kept(number, text_frame(text), author, 0.0)


class Library:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.pages = Pages()
        self.asked = 0
        self.found: list[Kept] | None = [kept(1, "a")]

    def read(self, key: str = "chat", state: object = 1, now_s: float = 0.0) -> Page | None:
        return self.pages.read(key, state, now_s, self._ask)

    def _ask(self) -> list[Kept] | None:
        self.asked += 1
        return self.found


@pytest.fixture
def library() -> Library:
    return Library()


def test_a_page_is_read_once(library):
    assert library.read() is library.read()
    assert library.asked == 1


def test_that_there_is_none_is_found_out_once(library):
    library.found = None

    assert library.read() is library.read() is None
    assert library.asked == 1


def test_each_page_is_read_for_itself(library):
    library.read("chat")
    library.read("other")

    assert library.asked == 2


def test_once_the_journal_is_in_another_state_a_page_is_read_anew(library):
    library.read(state=1)
    library.read(state=2)

    assert library.asked == 2


def test_after_a_while_a_page_is_read_anew(library):
    library.read(now_s=0.0)
    library.read(now_s=1.0)

    assert library.asked == 2


def test_after_many_bytes_pages_are_read_anew(library, monkeypatch):
    monkeypatch.setattr(pages_module, "_MOST_BYTES", 100)

    library.read()
    library.read()

    assert library.asked == 2


def test_what_can_not_be_read_is_not_remembered(library):
    def fail() -> list[Kept]:
        raise OSError

    with pytest.raises(OSError):
        library.pages.read("chat", 1, 0.0, fail)

    assert library.read() == [kept(1, "a")]


def test_the_frames_of_a_page_stand_side_by_side():
    page = Page([kept(7, "a"), kept(9, "b")])

    assert page.joined(is_marked=False) == text_frame("a") + text_frame("b")
    assert page.joined(is_marked=True) == text_frame("0-7:a") + text_frame("0-9:b")


def test_frames_are_laid_out_once_for_each_way():
    page = Page([kept(7, "a")])

    assert page.joined(is_marked=True) is page.joined(is_marked=True)
    assert page.joined(is_marked=False) is page.joined(is_marked=False)


@pytest.mark.parametrize("author", ["", "page-of-ada1"])
def test_a_page_is_for_all_unless_somebody_is_excluded_from_a_message(author):
    page = Page([kept(1, "a"), kept(2, "b", author)])

    assert page.is_for_all is page.is_for_all is (author == "")
