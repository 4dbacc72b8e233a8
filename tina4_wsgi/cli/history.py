"""`tina4-wsgi history`: prints what was said on a path that keeps history, or drops it."""

from __future__ import annotations

import argparse
import sys

from .command import PROGRAM, Subcommand, WrongUsage
from .kept_messages import add_topic, open_history, position, print_messages

_MOST = 20

_DESCRIPTION = f"""\
Prints the last messages that are kept of a path, or of a room: when each was said, its position,
and itself. Run it as the server's user in its project folder; the server needn't run.

  {PROGRAM} history /ws/news
  {PROGRAM} history /ws/news --after k3x9Qz1a.0-42 --json
  {PROGRAM} history --room orders:7 --forget
"""


def history(arguments: argparse.Namespace) -> int:
    """Print what is kept of a path; the `history` command.

    Raises:
        Tina4Error: nothing is kept of it, or it can't be read.
    """
    wants_messages = arguments.after is not None or arguments.most is not None or arguments.json
    if arguments.forget and wants_messages:
        raise WrongUsage("--forget prints no messages; leave --after, --most and --json out")

    kept = open_history(arguments)
    try:
        name = arguments.path or arguments.room
        if arguments.forget:
            kept.forget()
            print(f"all that was kept of {name} is forgotten")
            return 0
        messages = kept.past(arguments.after, arguments.most or _MOST)
    finally:
        kept.close()

    print_messages(messages, as_json=arguments.json)
    if not messages:
        print(f"nothing is kept of {name}", file=sys.stderr)
    return 0


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r}, expected a number from 1 on")
    return int(text)


def _add_options(parser: argparse.ArgumentParser) -> None:
    add_topic(parser)
    add = parser.add_argument
    add(
        "--after",
        metavar="POSITION",
        type=position,
        help="the first messages behind this position, instead of the last ones",
    )
    add("--most", metavar="N", type=_count, help=f"how many (default: {_MOST})")
    add("--forget", action="store_true", help="drop all that is kept; who was away is told of it")


COMMAND = Subcommand(
    "history", "print what was said on a path", _DESCRIPTION, _add_options, history
)
