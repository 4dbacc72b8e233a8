"""Publishing from outside: any Python process may, without gevent and without the app."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .. import jsontext
from ..config import Config
from ..protocol.frames import encode_message
from ..routing.names import check_name, check_path
from ..routing.paths import normal_path
from .contract import Receipt
from .envelope import Kind
from .outside import Outsider, check_settings

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..settings import AppSettings


class Publisher:
    """One who sends many messages; keeps its connections. Usable in a `with` block.

    Args:
        root: the folder that the server was started in; it names the bus of this machine. By
            default a server is looked for in the current folder, above it, where the program lies,
            and in Django's BASE_DIR.
        settings: fields of `Config` by name, as `backplane`, `backplane_url` or `bus_dir`.
    Raises:
        ConfigError: a setting is unknown or out of its range.

    Threads: one at a time. Processes: one that was made before a fork may be used in the parent and
    in each child, which have connections of their own; it may also be sent to a process of
    `multiprocessing`.
    """

    def __init__(
        self, *, root: str | os.PathLike[str] | None = None, **settings: Unpack[AppSettings]
    ) -> None:
        config = Config.from_environ(**settings)
        check_settings(config)
        self._guest = Outsider(config, root)

    def __enter__(self) -> Publisher:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def publish(self, path: str, message: jsontext.Message) -> Receipt:
        """Send one message to every connection on `path`, in every process; waits until they took
        it.

        Args:
            message: str as text, bytes as binary, a list or dict as JSON.
        Returns:
            How many processes took it.
        Raises:
            BackplaneError: there is nobody to take it; the text says where it was looked for.
            UsageError: the message is neither str, bytes, list nor dict, or the path can't name a
                group of connections.
        """
        return self._guest.carry(
            Kind.PATH, normal_path(check_path(path)), encode_message(jsontext.as_message(message))
        )

    def publish_to_room(self, room: str, message: jsontext.Message) -> Receipt:
        """Send one message to everybody in a named room; else as `publish`."""
        return self._guest.carry(
            Kind.ROOM, check_name(room, "room"), encode_message(jsontext.as_message(message))
        )

    def close(self) -> None:
        """Give the connections back."""
        self._guest.close()


def publish(path: str, message: jsontext.Message, **settings: Unpack[AppSettings]) -> Receipt:
    """Send one message to every connection on `path`, from any process on this machine or, with
    Redis, anywhere.

    For task queues, cron and management commands; in a process that serves, `broadcast` does the
    same without waiting. Connects anew each time: for many messages make a `Publisher`.

    Args:
        settings: see `Publisher`.
    Returns:
        How many processes took it.
    Raises:
        BackplaneError: there is nobody to take it; the text says where it was looked for.
        UsageError: the message is neither str, bytes, list nor dict, or the path can't name a group
            of connections.
    """
    with Publisher(**settings) as publisher:
        return publisher.publish(path, message)
