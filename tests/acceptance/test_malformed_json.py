"""A message that is no JSON ends nothing in the chat room of the examples."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator

import pytest

from tests.support.raw import RawClient
from tests.support.servers import ROOT
from tests.support.site import NATIVE_KINDS, Site, run_site

FAILURE = re.compile(
    r"callback of /ws/room/\{roomName\} raised at 'message', connection ([0-9a-f]{32})\n"
)


@pytest.fixture(scope="module")
def chat_site(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The examples, as `wsgi.py` serves them; unpatched where the workers have no hub.

    gunicorn's gthread answers nothing at all in a patched process, whatever the application is.
    """
    folder = tmp_path_factory.mktemp(f"chat-{kind}")
    if kind in NATIVE_KINDS:
        chosen = run_site(kind, "chapter:app", folder)
    else:
        chosen = run_site(kind, "wsgi:app", folder, working_folder=ROOT)
    with chosen as running:
        yield running


def chat(client: RawClient, text: str) -> None:
    client.send_text(json.dumps({"type": "chat", "text": text}))


def read_greetings(client: RawClient, count: int) -> None:
    for _ in range(count):
        assert json.loads(client.read_text())["type"] == "system"


def next_text(client: RawClient) -> str:
    """Give the text of the next message, which must be of chat."""
    message = json.loads(client.read_text())
    assert message["type"] == "chat", message
    return str(message["text"])


def test_after_malformed_json_the_sender_goes_on_and_the_log_has_one_traceback(
    chat_site: Site, tag: str
) -> None:
    path = f"/ws/room/{tag}"
    with contextlib.ExitStack() as opened:
        sender = opened.enter_context(RawClient.open(chat_site.address, path))
        read_greetings(sender, 2)  # the welcome, and its own join
        other = opened.enter_context(RawClient.open(chat_site.address, path))
        read_greetings(other, 2)
        read_greetings(sender, 1)

        sender.send_text('{"type": "chat", "text": ')
        chat(sender, "still here")

        assert next_text(sender) == "still here"
        assert next_text(other) == "still here"
        chat(other, "did anything happen?")
        assert next_text(sender) == "did anything happen?"
        assert next_text(other) == "did anything happen?"
    log = chat_site.server.log
    assert log.count("Traceback (most recent call last)") == 1
    assert len(FAILURE.findall(log)) == 1
    assert log.count("json.decoder.JSONDecodeError: ") == 1
