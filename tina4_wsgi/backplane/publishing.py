"""Publishing from outside: from any Python process, without gevent and without the app."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import jsontext
from ..config import Config
from ..protocol.frames import encode_message
from ..routing.names import check_name, check_path
from ..routing.paths import normal_path
from .envelope import Kind
from .outside import Outsider, check_settings

if TYPE_CHECKING:
    import os

    from typing_extensions import Unpack

    from ..settings import AppSettings
    from .contract import Receipt


class Publisher:
    """Publishes many messages over the same connections. Usable in a `with` block.

    Args:
        root: the folder in which the server was started; it names the bus of this machine. By
            default, servers are looked for in the current folder and above it, in the program's
            folder and above it, and in Django's BASE_DIR.
        settings: fields of `Config` by name, such as `backplane`, `backplane_url` or `bus_dir`.
    Raises:
        ConfigError: a setting is unknown or out of its range.

    Threads: one at a time. Processes: a publisher made before a fork may be used in the parent and
    in each child, each with connections of its own; it may also be sent to a process of
    `multiprocessing`.
    """

    def __init__(
        self, *, root: str | os.PathLike[str] | None = None, **settings: Unpack[AppSettings]
    ) -> None:
        config = Config.from_environ(**settings)
        check_settings(config)
        self._outsider = Outsider(config, root)

    def __enter__(self) -> Publisher:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def publish(self, path: str, message: jsontext.Message, *, once: str | None = None) -> Receipt:
        """Send one message to every connection on `path`, in every process, and wait for them.

        Where the path keeps history, the message is kept, also while no process serves.

        Args:
            message: str as text, bytes as binary, a list or dict as JSON.
            once: a key, where the path keeps history: what was said under it isn't said again.
        Returns:
            How many processes took it.
        Raises:
            BackplaneError: no process took it, and it isn't kept; the text says where servers were
                looked for.
            UsageError: the message is neither str, bytes, list nor dict, or the path can't name a
                group of connections, or keeps no history and `once` is given.
        """
        name, frame = normal_path(check_path(path)), encode_message(jsontext.as_message(message))
        return self._outsider.carry(Kind.PATH, name, frame, once or "")

    def publish_to_room(
        self, room: str, message: jsontext.Message, *, once: str | None = None
    ) -> Receipt:
        """Send one message to everybody in a named room; otherwise like `publish`."""
        name, frame = check_name(room, "room"), encode_message(jsontext.as_message(message))
        return self._outsider.carry(Kind.ROOM, name, frame, once or "")

    def close(self) -> None:
        """Close the connections."""
        self._outsider.close()


def publish(
    path: str,
    message: jsontext.Message,
    *,
    once: str | None = None,
    **settings: Unpack[AppSettings],
) -> Receipt:
    """Send one message to every connection on `path`, from any process that isn't the server.

    The process runs on the same machine or, with Redis, anywhere: a task queue, a cron job, a
    management command. In a serving process, `broadcast` does the same without waiting. Each call
    connects anew: for many messages make a `Publisher`.

    Args:
        once: see `Publisher.publish`.
        settings: see `Publisher`.
    Returns:
        How many processes took it.
    Raises:
        BackplaneError: no process took it, and it isn't kept; the text says where servers were
            looked for.
        UsageError: the message is neither str, bytes, list nor dict, or the path can't name a group
            of connections.
    """
    with Publisher(**settings) as publisher:
        return publisher.publish(path, message, once=once)
