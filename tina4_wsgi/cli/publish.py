"""`tina4-wsgi publish`: sends a message from the shell, by way of `backplane.publishing`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from .. import jsontext
from ..backplane.contract import SaidBefore
from ..config import ENVIRONMENT_PREFIX
from .command import CommandFailed, Subcommand

if TYPE_CHECKING:
    import argparse

    from ..backplane.contract import Receipt
    from ..settings import AppSettings

_DESCRIPTION = """\
Sends one message to every client on a path: on this machine through the bus, when run as the
server's user in its project folder; through Redis where that is set up. Prints how many processes
took it; exit code 1 if none did and it isn't kept for clients that come back.
"""


def publish(arguments: argparse.Namespace) -> int:
    """Send one message to the clients on a path; the `publish` command.

    Raises:
        Tina4Error: no process took it, or the message is malformed.
    """
    from ..backplane.publishing import Publisher

    message = sys.stdin.read() if arguments.message == "-" else arguments.message
    if arguments.json:
        message = _compact(message)
    settings: AppSettings = {
        "bus_dir": arguments.bus_dir,
        "history_dir": arguments.history_dir,
        "backplane_url": arguments.url,
    }
    if arguments.url is not None:
        settings["backplane"] = "redis"
    with Publisher(**settings) as publisher:
        receipt = publisher.publish(arguments.path, message, once=arguments.once)
    print(_described(receipt))
    return 0


def _described(receipt: Receipt) -> str:
    """Return in words what became of a message."""
    if isinstance(receipt, SaidBefore):
        return "said before under this key; nobody gets it again"
    if not receipt.processes:
        return "kept for those who come back; no process serves now"
    processes = f"taken by {receipt.processes} process{'es' * (receipt.processes != 1)}"
    if receipt.clients is None:
        return processes
    return f"{processes}, for {receipt.clients} client{'s' * (receipt.clients != 1)}"


def _compact(message: str) -> str:
    try:
        return jsontext.encode(jsontext.decode(message))
    except ValueError as exc:
        raise CommandFailed(f"the message is not JSON: {exc}") from exc


def _add_options(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("path", metavar="PATH", help="as clients connect to it: /ws/news")
    add("message", metavar="MESSAGE", help="a text; - reads it from standard input")

    add("--json", action="store_true", help="see that it is JSON, and send it compact")
    add(
        "--once",
        metavar="KEY",
        help="where history is kept: what was said under this key is not said again",
    )
    add(
        "--bus-dir",
        metavar="DIR",
        help=f"where the server's processes meet ({ENVIRONMENT_PREFIX}BUS_DIR)",
    )
    add(
        "--history-dir",
        metavar="DIR",
        help=f"the folder of the server's history ({ENVIRONMENT_PREFIX}HISTORY_DIR)",
    )
    add(
        "--url",
        metavar="URL",
        help=f"go through this Redis; {ENVIRONMENT_PREFIX}BACKPLANE_URL keeps passwords safer",
    )


COMMAND = Subcommand(
    "publish", "send a message to the clients on a path", _DESCRIPTION, _add_options, publish
)
