"""How the log names the path of an upgrade that was refused."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tina4_wsgi import App, Router

UPGRADE = {"REQUEST_METHOD": "GET", "HTTP_UPGRADE": "websocket", "REMOTE_ADDR": "192.0.2.7"}


def refusal_of(path: bytes, caplog: pytest.LogCaptureFixture) -> str:
    """Ask an app without routes for an upgrade, and give what it logs."""
    environ: dict[str, Any] = {
        **UPGRADE,
        "PATH_INFO": path.decode("latin-1"),
    }  # as PEP 3333 hands it over
    with caplog.at_level(logging.INFO, "tina4_wsgi.upgrade"):
        App(router=Router())(environ, lambda status, headers: None)
    (line,) = caplog.messages
    return line


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (b"/ws/plain", "/ws/plain"),
        ("/ws/größe/房间".encode(), "/ws/größe/房间"),
        (b"/ws/\xff\xfe", r"/ws/\xff\xfe"),
        (b"/ws/gr\xc3", r"/ws/gr\xc3"),
        (b"/ws/a\r\nERROR forged\x1b[2J\x00", r"/ws/a\r\nERROR forged\x1b[2J\x00"),
        ("/ws/\u2028\u0085\u202e".encode(), r"/ws/\u2028\x85\u202e"),
        (b"/ws/x' from 203.0.113.9: 101", r"/ws/x\' from 203.0.113.9: 101"),
        (b"", "/"),
    ],
)
def test_a_refused_path_is_logged_as_text_on_one_line(
    path: bytes, shown: str, caplog: pytest.LogCaptureFixture
) -> None:
    line = refusal_of(path, caplog)

    assert line.startswith(f"refused '{shown}' from 192.0.2.7: 40")


def test_a_long_path_is_cut_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    line = refusal_of(b"/" + b"a" * 5_000, caplog)

    assert line.startswith("refused '/" + "a" * 199 + "' from ")
