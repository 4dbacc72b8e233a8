"""Broadcasts from requests, threads and callbacks at once: none lost, none mangled, each source in
order.
"""

from __future__ import annotations

import http.client
import threading

import pytest

from tests.support.crowd import Crowd, Member
from tests.support.site import ANSWER_S, Site

LISTENERS = 6
MESSAGES_PER_SOURCE = 2_000
MESSAGES_PER_REQUEST = 50
PATIENCE_S = 25.0

REQUESTS = ("post-a", "post-b")
CALLBACKS = ("callback-a", "callback-b")
THREADS = ("t-native", "t-pool")
SOURCES = (*REQUESTS, *CALLBACKS, *THREADS)


@pytest.mark.deadline(60)
def test_broadcasts_of_all_kinds_of_sources_at_once_arrive_whole_and_in_order(
    site: Site, tag: str
) -> None:
    expected = len(SOURCES) * MESSAGES_PER_SOURCE
    with Crowd(site.address) as crowd:
        listeners = [crowd.join(f"/ws/audience/{tag}") for _ in range(LISTENERS)]
        crowd.wait_until_open()
        posters = [
            threading.Thread(target=post_all, args=(site, tag, source)) for source in REQUESTS
        ]

        post(site, f"/sources/threads/{tag}/t/{MESSAGES_PER_SOURCE}")
        for poster in posters:
            poster.start()
        for listener, source in zip(listeners, CALLBACKS, strict=False):
            listener.send_text(f"{source} {MESSAGES_PER_SOURCE}")
        crowd.listen_until(
            lambda: all(len(listener.frames) >= expected for listener in listeners),
            "all broadcasts",
            PATIENCE_S,
        )
        for poster in posters:
            poster.join(ANSWER_S)

    for listener in listeners:
        assert_whole_and_in_order(listener)


def assert_whole_and_in_order(listener: Member) -> None:
    by_source: dict[str, list[str]] = {}
    for text in listener.texts:
        by_source.setdefault(text.partition(" ")[0], []).append(text)

    assert sorted(by_source) == sorted(SOURCES)
    for source, texts in by_source.items():
        assert texts == [text_of(source, number) for number in range(MESSAGES_PER_SOURCE)]


def text_of(source: str, number: int) -> str:
    """What apps/sources.py sends."""
    length = 70_000 if number % 400 == 399 else number % 300
    return f"{source} {number} " + chr(97 + number % 26) * length


def post(site: Site, path: str) -> None:
    assert site.request("POST", path)[0] == 200


def post_all(site: Site, tag: str, source: str) -> None:
    """Have one source's messages broadcast, some by each request; the connection is kept."""
    connection = http.client.HTTPConnection(*site.address, timeout=ANSWER_S)
    try:
        for first in range(0, MESSAGES_PER_SOURCE, MESSAGES_PER_REQUEST):
            connection.request(
                "POST", f"/sources/request/{tag}/{source}/{first}/{MESSAGES_PER_REQUEST}"
            )
            connection.getresponse().read()
    finally:
        connection.close()
