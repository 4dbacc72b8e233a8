"""A model of what many workers carry: CPU of each worker and of Redis, from costs measured on one
machine.

    python -m benchmarks.scaling

W workers serve P paths with M members each, spread evenly; R messages a second are said on each
path, 64 bytes each, and come one by one (what comes in bursts costs a third). A part is full when
it takes 70 % of one core. The table says how many messages a second all paths together may have
then, and which part is full first.
"""

from __future__ import annotations

from typing import NamedTuple

FULL = 0.7
ENVELOPE_BYTES = 28 + 20 + 66
"""Head, the name of the path, and a frame of 64 bytes: what the message is between processes."""


class Costs(NamedTuple):
    """Microseconds of CPU, measured by `benchmarks.backplane` with one message outstanding.

    Attributes:
        say: take a message of a client, run the callback, send it to that client.
        deliver: send it to one client more; see docs/performance.md, one path of 200.
        bus_send: to one sibling.
        bus_hear: of one, for a worker without a member.
        bus_hand_on: of one, for a worker with a member, its first delivery included.
        publish: in Redis, and hear the own message come back.
        hear: of Redis, its first delivery included.
        redis_subscriber: Redis itself, per worker that it sends a message to; taking the message is
            in it.
    """

    say: float
    deliver: float
    bus_send: float
    bus_hear: float
    bus_hand_on: float
    publish: float
    hear: float
    redis_subscriber: float


COSTS = Costs(
    say=11.1,
    deliver=5.0,
    bus_send=9.6,
    bus_hear=12.8,
    bus_hand_on=19.1,
    publish=84.7,
    hear=50.3,
    redis_subscriber=9.3,
)


class Site(NamedTuple):
    """So many workers, paths and members of each path."""

    workers: int
    paths: int
    members: int

    @property
    def workers_per_path(self) -> float:
        """On how many workers a path has members, on average, when they are spread at random."""
        return self.workers * (1 - (1 - 1 / self.workers) ** self.members)


class Load(NamedTuple):
    """Microseconds of CPU per message: of the busiest worker and, with Redis, of the busiest
    node.
    """

    worker: float
    redis: float = 0.0

    @property
    def most_messages_per_s(self) -> float:
        """How many a second fill the fuller part."""
        return FULL * 1e6 / max(self.worker, self.redis)

    @property
    def full_first(self) -> str:
        """Which part that is."""
        return "Redis" if self.redis > self.worker else "workers"


def bus(site: Site) -> Load:
    """Every worker hears every message of its machine."""
    c, others = COSTS, site.workers - 1
    with_members = site.workers_per_path - 1
    total = (
        c.say
        + others * c.bus_send
        + with_members * c.bus_hand_on
        + (others - with_members) * c.bus_hear
    )
    return Load((total + _deliveries(site)) / site.workers)


def redis(site: Site, shards: int = 1) -> Load:
    """Workers with members hear a message; each shard has its part of the paths."""
    c = COSTS
    total = c.say + c.publish + (site.workers_per_path - 1) * c.hear + _deliveries(site)
    node = site.workers_per_path * c.redis_subscriber / min(shards, site.paths)
    return Load(total / site.workers, node)


def redis_bytes(site: Site) -> float:
    """Bytes that leave Redis per message."""
    return site.workers_per_path * ENVELOPE_BYTES


def _deliveries(site: Site) -> float:
    """To all members but the first of each worker, which the other costs have in them."""
    return (site.members - site.workers_per_path) * COSTS.deliver


SHARDS = 8
SITES = {
    "one machine, 4 workers": 4,
    "one machine, 16 workers": 16,
    "10 machines, 40 workers": 40,
    "100 machines, 400 workers": 400,
}
PATHS = {
    "10,000 rooms of 5": (10_000, 5),
    "100 rooms of 200": (100, 200),
    "one hall of 10,000": (1, 10_000),
}


def table() -> list[str]:
    """The table of docs/scaling.md, line by line."""
    lines = [
        f"| workers | paths | bus | Redis | {SHARDS} shards | deliveries | from Redis |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for place, workers in SITES.items():
        for name, (paths, members) in PATHS.items():
            site = Site(workers, paths, members)
            ways = [bus(site) if workers <= 16 else None, redis(site), redis(site, SHARDS)]
            best = max(way.most_messages_per_s for way in ways if way is not None)
            columns = [_shown(way) for way in ways]
            columns += [f"{_round(best * members):,}", f"{redis_bytes(site):,.0f} B"]
            lines.append(f"| {place} | {name} | {' | '.join(columns)} |")
    return lines


def _shown(load: Load | None) -> str:
    return "–" if load is None else f"{_round(load.most_messages_per_s):,} ({load.full_first})"


def _round(value: float) -> int:
    """Two digits that mean something."""
    return int(float(f"{value:.2g}"))


if __name__ == "__main__":
    print("\n".join(table()))
