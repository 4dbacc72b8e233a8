"""Those who hear what one hub keeps: its own groups, and the other hubs and processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..protocol.marks import VOID_FRAME, settled
from ..routing.names import GroupKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..journal.contract import Draft, Topic
    from ..websocket.transport import Transport
    from .engine import Engine

_KINDS = {int(kind): kind for kind in GroupKind}


class EngineAudience:
    """See `standing.Audience`; each method is called in the hub's thread, and doesn't wait."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def hear_kept(
        self,
        topic: Topic,
        numbers: Sequence[int],
        frames: list[bytes],
        excludes: Sequence[Transport | None] | None,
    ) -> None:
        """Queue messages that stand side by side in the journal for the members of their group."""
        number, name = topic
        self._engine.deliver_kept(_KINDS[number], name, numbers, frames, excludes)

    def hear_unkept(self, draft: Draft, exclude: Transport | None) -> None:
        """Queue a message that could not be kept for the members of its group, everywhere."""
        self._engine.fanout.lose(draft.topic, draft.frame, exclude, self._engine)

    def hear_early(self, draft: Draft, exclude: Transport | None) -> None:
        """Queue a message for the members of its group in this process."""
        number, name = draft.topic
        self._engine.fanout.broadcast_here(_KINDS[number], name, draft.frame, exclude)

    def has_members(self, topic: Topic) -> bool:
        """Return whether somebody here hears a topic, or is about to."""
        return self._engine.is_awaited(_KINDS[topic[0]], topic[1])

    def ring(self, topic: Topic, frames: list[bytes], before: int) -> None:
        """Tell other hubs and processes that there is news of a topic."""
        self._engine.fanout.ring(topic, frames, before, self._engine)

    def hear_void(self) -> None:
        """Tell all whose messages are marked that their positions are void."""
        for lifecycle in self._engine.marked_connections():
            lifecycle.tell(VOID_FRAME)

    def hear_position(self, position: str, *, has_gap: bool) -> None:
        """Tell all whose messages are marked where they are."""
        frame = settled(position)
        for lifecycle in self._engine.marked_connections():
            if has_gap:
                lifecycle.tell_gap()
            else:
                lifecycle.tell_position(frame)

    def hear_gap(self, topics: Sequence[Topic]) -> None:
        """Tell those whose messages are marked, and who hear these topics, of a gap."""
        for lifecycle in self._engine.marked_connections():
            heard = {(GroupKind.PATH, lifecycle.connection.path)}
            heard |= {(GroupKind.ROOM, room) for room in lifecycle.rooms or ()}
            if not heard.isdisjoint(topics):
                lifecycle.tell_gap()
