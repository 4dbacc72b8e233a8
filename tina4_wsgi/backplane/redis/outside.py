"""A publisher that reaches the serving processes through Redis; free of gevent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import BackplaneError
from ..contract import TIMEOUT_S, Receipt
from ..envelope import Kind, pack
from .channels import Channels, RedisNode, check_client, client, describe, new_connection

if TYPE_CHECKING:
    from ...config import Config
    from .channels import RedisConnection


class RedisOutsider:
    """Publishes in Redis.

    Args:
        app_number: which app of each serving process it speaks to.
    Raises:
        BackplaneError: redis-py is missing.
    """

    def __init__(self, config: Config, app_number: int = 0) -> None:
        check_client()
        self._config = config
        self._channels = Channels(
            config.backplane_prefix, app_number, is_sharded=config.backplane_sharded
        )
        self._prefix = "S" if config.backplane_sharded else ""
        self._place = RedisNode()
        self._connection: RedisConnection | None = None

    def ring(self, kind: Kind, name: str, frames: list[bytes], before: int) -> Receipt:
        """Do nothing: who keeps a message in Redis publishes it with it."""
        return Receipt(0, None)

    def carry(self, kind: Kind, name: str, frame: bytes, once: str = "") -> Receipt:
        """Publish, and return the number of processes that are subscribed."""
        channel = self._channels.of(kind, name)
        # Without a number: this publisher never repeats a message, and receivers would remember the
        # number of every new sender for nothing.
        count = self._ask(f"{self._prefix}PUBLISH", channel, pack(kind, name, frame))
        if count:
            return Receipt(count, None)

        # Nobody is on that path. Is any process with WebSockets there at all?
        answer = self._ask(
            "PUBSUB", f"{'SHARD' if self._prefix else ''}NUMSUB", self._channels.everybody
        )
        if not answer[1]:
            raise BackplaneError(
                "nobody took the message: no process with WebSockets is subscribed in this Redis; "
                "see that backplane_url and backplane_prefix are the server's"
            )

        return Receipt(answer[1], 0)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.disconnect()
            self._connection = None

    def _ask(self, *command: str | bytes) -> Any:  # Any: each command has its own reply
        """Ask the node that has our shard; the node of the URL redirects us there, once."""
        try:
            try:
                return self._ask_here(*command)
            except client.ResponseError as exc:
                if not self._place.is_elsewhere(exc):
                    raise
                self.close()
                return self._ask_here(*command)
        except (client.RedisError, OSError) as exc:
            self.close()
            self._place.forget()
            raise BackplaneError(f"redis can't be reached: {describe(exc, self._config)}") from None

    def _ask_here(self, *command: str | bytes) -> Any:
        if self._connection is None:
            self._connection = new_connection(self._config, TIMEOUT_S, self._place)

        self._connection.connect()
        self._connection.send_command(*command, check_health=False)
        return self._connection.read_response()
