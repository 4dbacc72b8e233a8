"""What `tina4-wsgi history` and `tap` share: which messages, and how they are printed."""

from __future__ import annotations

import argparse
import base64
import json
import sys
from datetime import datetime
from typing import TYPE_CHECKING

from ..config import ENVIRONMENT_PREFIX, Config
from ..server.console import CYAN, coloured, has_colours
from .command import WrongUsage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..backplane.outside_history import OutsideHistory
    from ..journal.past import KeptMessage
    from ..settings import AppSettings

_SHOWN_BYTES = 32


def add_topic(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say which messages are meant, and where they are kept."""
    add = parser.add_argument
    add("path", metavar="PATH", nargs="?", help="as clients connect to it: /ws/news")
    add("--room", metavar="NAME", help="a named room instead of a path")
    add("--json", action="store_true", help="a JSON object for each message, on a line of its own")
    add(
        "--history-dir",
        metavar="DIR",
        help=f"the folder of the server's file ({ENVIRONMENT_PREFIX}HISTORY_DIR)",
    )
    add(
        "--url",
        metavar="URL",
        help=f"read in this Redis; {ENVIRONMENT_PREFIX}BACKPLANE_URL keeps passwords safer",
    )


def position(text: str) -> str:
    """Return a position as it was given; for argparse.

    Raises:
        ArgumentTypeError: it is none.
    """
    from ..backplane.outside_history import is_position

    if not is_position(text):
        raise argparse.ArgumentTypeError(f"{text!r}, expected a position as in k3x9Qz1a.0-42")
    return text


def open_history(arguments: argparse.Namespace) -> OutsideHistory:
    """Find what is kept of the path, or of the room, that the arguments name.

    Raises:
        WrongUsage: they name both, or none.
        Tina4Error: nothing is kept.
    """
    from ..backplane.outside_history import OutsideHistory
    from ..routing.names import GroupKind, check_name, check_path
    from ..routing.paths import normal_path

    if (arguments.path is None) is (arguments.room is None):
        raise WrongUsage("expected a path, or --room with the name of a room")
    settings: AppSettings = {
        "history_dir": arguments.history_dir,
        "backplane_url": arguments.url,
    }
    if arguments.url is not None:
        settings["backplane"] = "redis"
    config = Config.from_environ(**settings)
    if arguments.room is not None:
        return OutsideHistory(config, (GroupKind.ROOM, check_name(arguments.room, "room")))
    return OutsideHistory(config, (GroupKind.PATH, normal_path(check_path(arguments.path))))


def print_messages(messages: Iterable[KeptMessage], *, as_json: bool) -> None:
    """Print messages, each on a line, and leave none in a buffer."""
    wants_colours = has_colours(sys.stdout)
    for message in messages:
        print(_as_json(message) if as_json else _as_text(message, wants_colours=wants_colours))
    sys.stdout.flush()


def _as_json(kept: KeptMessage) -> str:
    content = (
        {"message": kept.message}
        if isinstance(kept.message, str)
        else {"base64": base64.b64encode(kept.message).decode()}
    )
    return json.dumps(
        {"position": kept.position, "said_at_s": round(kept.said_at_s, 3), **content},
        ensure_ascii=False,
    )


def _as_text(kept: KeptMessage, *, wants_colours: bool) -> str:
    time = datetime.fromtimestamp(kept.said_at_s).isoformat(" ", "milliseconds")
    position = coloured(kept.position, CYAN, wanted=wants_colours)
    return f"{time}  {position}  {_shown(kept.message)}"


def _shown(message: str | bytes) -> str:
    """Return a message on one line; nothing in it can change the terminal, since clients say it."""
    if isinstance(message, bytes):
        cut = "…" if len(message) > _SHOWN_BYTES else ""
        return f"({len(message)} bytes) {message[:_SHOWN_BYTES].hex(' ')}{cut}"
    if message.isprintable():
        return message
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in message
    )
