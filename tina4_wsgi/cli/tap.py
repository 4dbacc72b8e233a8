"""`tina4-wsgi tap`: prints what is said on a path that keeps history, as it is said."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, NoReturn

from ..errors import JournalError
from .command import PROGRAM, Subcommand
from .kept_messages import add_topic, open_history, position, print_messages

if TYPE_CHECKING:
    import argparse

    from ..backplane.outside_history import OutsideHistory

_LOOK_EVERY_S = 0.1
_TRY_EVERY_S = 1.0

_DESCRIPTION = f"""\
Prints each message that is kept of a path, or of a room, as it is said, until ^C: when, its
position, and itself. Run it as the server's user in its project folder; servers may come and go.

  {PROGRAM} tap /ws/news
  {PROGRAM} tap --room orders:7 --since k3x9Qz1a.0-42 --json
"""


def tap(arguments: argparse.Namespace) -> int:
    """Print what is said on a path; the `tap` command.

    Raises:
        Tina4Error: nothing is kept of it, or it can't be read, or what came behind `--since` is
            gone.
    """
    kept = open_history(arguments)
    try:
        print_messages(kept.listen(arguments.since), as_json=arguments.json)
        _tell(f"listening to {arguments.path or arguments.room}, ^C ends it")
        _follow(kept, as_json=arguments.json)
    except KeyboardInterrupt:
        return 0
    finally:
        kept.close()


def _follow(kept: OutsideHistory, *, as_json: bool) -> NoReturn:
    """Print what is said, forever."""
    has_failed = False
    while True:
        try:
            heard = kept.hear()
        except JournalError as exc:
            if not has_failed:
                _tell(f"{exc}; trying again")
            has_failed = True
            time.sleep(_TRY_EVERY_S)
            continue

        has_failed = False
        if heard.has_gap:
            _tell("messages are missing here: they were dropped before they could be read")
        print_messages(heard.messages, as_json=as_json)
        if not heard.has_more:
            time.sleep(_LOOK_EVERY_S)


def _tell(what: str) -> None:
    print(f"{PROGRAM}: {what}", file=sys.stderr, flush=True)


def _add_options(parser: argparse.ArgumentParser) -> None:
    add_topic(parser)
    parser.add_argument(
        "--since",
        metavar="POSITION",
        type=position,
        help="print first what was said behind this position",
    )


COMMAND = Subcommand("tap", "print what is said on a path, live", _DESCRIPTION, _add_options, tap)
