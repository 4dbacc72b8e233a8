"""A log-out that comes while `auth` is answering is not overtaken by the answer."""

from __future__ import annotations

import pytest

from tina4_wsgi.websocket.inquiries import Farewell, Inquiries

ALL = Farewell(None, 4_001, "everybody")
ADA = Farewell('"ada"', 4_003, "banned")


@pytest.mark.parametrize(
    ("code", "status"),
    [(1000, 401), (1001, 503), (1008, 401), (1012, 503), (1013, 503), (4401, 401), (4403, 403)],
)
def test_before_the_101_a_farewell_refuses_by_a_status(code: int, status: int) -> None:
    refusal = Farewell(None, code, "").refusal()

    assert refusal.status == status
    assert dict(refusal.headers) == ({"Retry-After": "1"} if status == 503 else {})


def test_an_inquiry_hears_of_farewells_while_it_is_open() -> None:
    inquiries = Inquiries()
    with inquiries.begin("/ws") as inquiry:
        assert list(inquiries.open) == [inquiry]
        assert inquiry.farewell_to("ada") is None
        inquiries.note(ADA, None)

    assert inquiry.farewell_to("ada") is ADA
    assert not inquiries.open
    inquiries.note(ALL, None)
    assert inquiry.farewell_to("bob") is None


@pytest.mark.parametrize(
    ("path", "is_meant"), [(None, True), ("/ws", True), ("/ws/", False), ("/", False)]
)
def test_a_farewell_may_be_limited_to_a_path(path: str | None, is_meant: bool) -> None:
    inquiries = Inquiries()

    with inquiries.begin("/ws") as inquiry, inquiries.begin("/other") as other:
        inquiries.note(ALL, path)

    assert (inquiry.farewell_to("ada") is ALL) == is_meant
    assert (other.farewell_to("ada") is ALL) == (path is None)


def test_the_first_that_means_the_user_counts() -> None:
    inquiries = Inquiries()
    bob = Farewell('"bob"', 4_002, "")

    with inquiries.begin("/ws") as inquiry:
        for one in (bob, ADA, ALL):
            inquiries.note(one, None)

    assert [inquiry.farewell_to(auth) for auth in ("ada", "bob", "cyd", object())] == [
        ADA,
        bob,
        ALL,
        ALL,
    ]


def test_one_that_is_kept_stays_open_until_its_end() -> None:
    inquiries = Inquiries()
    with inquiries.begin("/ws") as inquiry:
        inquiry.keep()
    assert list(inquiries.open) == [inquiry]

    inquiry.end()
    inquiry.end()

    assert not inquiries.open


@pytest.mark.parametrize("is_kept", [True, False])
def test_one_whose_block_fails_is_closed(is_kept: bool) -> None:
    inquiries = Inquiries()

    def fail() -> None:
        with inquiries.begin("/ws") as inquiry:
            if is_kept:
                inquiry.keep()
            raise LookupError("no database")

    with pytest.raises(LookupError):
        fail()
    assert not inquiries.open
