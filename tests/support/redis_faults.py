"""What can go wrong between a program and its Redis, as data."""

from collections.abc import Sequence
from random import Random
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from tests.support.poison import malformed
from tests.support.redis_site import RedisSite

RedisFaultKind = Literal[
    "cut", "cut_after_command", "refuse", "slow", "hang", "out_of_memory", "restart", "failover", "delete", "foreign"
]
KINDS: tuple[RedisFaultKind, ...] = get_args(RedisFaultKind)
_MOMENT = (0, 0)
_LENGTHS_MS: dict[RedisFaultKind, tuple[int, int]] = {
    "cut": _MOMENT,
    "cut_after_command": _MOMENT,
    "refuse": (500, 5_000),
    "slow": (500, 4_000),
    "hang": (500, 5_000),
    "out_of_memory": (500, 5_000),
    "restart": (100, 2_000),
    "failover": (100, 2_000),
    "delete": _MOMENT,
    "foreign": _MOMENT,
}
_FAULT_EVERY_MS = 3_000
FOREIGN_MARK = "foreign"
"""A field that only entries of others have."""
_MOST_FOREIGN = 5


class RedisFault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that goes wrong.

    Attributes:
        at_ms: When it begins, after the start of its schedule.
        kind: What. ``refuse``: Redis is away, open connections are cut, too. ``restart``: it ends and comes back with
            its data, perhaps without the last seconds of it where it was killed. ``failover``: its replica, which has
            missed what was written for `for_ms`, takes its place. ``delete``: a user deletes a stream.
            ``foreign``: somebody else writes into a stream what is no entry of ours.
        for_ms: How long; 0 for those of a moment.
        chunk_ms: For ``slow``: what each chunk of up to 64 KiB takes.
        orderly: For ``restart``: it is ordered to end, not killed.
        key: For ``delete`` and ``foreign``.
        drawn_from: For ``foreign``: what the entries are drawn from, and how many there are.
    """

    at_ms: Annotated[int, Meta(ge=0)]
    kind: RedisFaultKind
    for_ms: Annotated[int, Meta(ge=0, le=60_000)] = 0
    chunk_ms: Annotated[int, Meta(ge=0, le=1_000)] = 0
    orderly: bool = False
    key: str = ""
    drawn_from: Annotated[int, Meta(ge=0)] = 0

    @property
    def end_ms(self) -> int:
        """When it is over."""
        return self.at_ms + self.for_ms

    def start(self, site: RedisSite) -> None:
        """Let it happen."""
        proxy = site.proxy
        match self.kind:
            case "cut":
                proxy.cut()
            case "cut_after_command":
                proxy.cut_after_next_command()
            case "refuse":
                proxy.refuse(on=True)
                proxy.cut()
            case "slow":
                proxy.slow(self.chunk_ms)
            case "hang":
                proxy.hang(on=True)
            case "out_of_memory":
                site.out_of_memory(on=True)
            case "restart":
                if self.orderly:
                    site.server.stop()
                else:
                    site.server.kill()
            case "failover":
                site.lose_replica()
            case "delete":
                site.delete(self.key)
            case "foreign":
                for fields in self.foreign():
                    site.client.execute_command("XADD", self.key, "*", *fields, FOREIGN_MARK, "1")

    def foreign(self) -> list[list[bytes]]:
        """Names and values of each entry that somebody else writes."""
        random = Random(self.drawn_from)
        return [malformed(random) for _ in range(random.randint(1, _MOST_FOREIGN))]

    def end(self, site: RedisSite) -> None:
        """Let it be over."""
        proxy = site.proxy
        match self.kind:
            case "refuse":
                proxy.refuse(on=False)
            case "slow":
                proxy.slow(0)
            case "hang":
                proxy.hang(on=False)
            case "out_of_memory":
                site.out_of_memory(on=False)
            case "restart":
                site.server.start()
            case "failover":
                site.fail_over()


def draw_redis_schedule(
    seed: int, duration_ms: int, streams: Sequence[str] = (), ledger: str = ""
) -> tuple[RedisFault, ...]:
    """Draw faults one after the other, about one every 3 s, all over by `duration_ms`; same arguments, same faults.

    Args:
        seed: Any number.
        duration_ms: > 0.
        streams: Keys of streams that a user may delete.
        ledger: Key of one that nobody deletes, but others write into; empty for none.
    """
    rng = Random(f"redis:{seed}")
    kinds = [kind for kind in KINDS if streams or kind not in ("delete", "foreign")]
    count = max(1, duration_ms // _FAULT_EVERY_MS)
    slot_ms = duration_ms // count
    faults = []
    for start_ms in range(0, count * slot_ms, max(1, slot_ms)):  # slots: two faults of a kind would end each other
        kind = rng.choice(kinds)
        for_ms = rng.randint(*(min(bound, slot_ms) for bound in _LENGTHS_MS[kind]))
        at_ms = start_ms + rng.randint(0, slot_ms - for_ms)
        chunk_ms = rng.randint(20, 300) if kind == "slow" else 0
        orderly = kind == "restart" and rng.random() < 0.5
        key, drawn_from = rng.choice(streams) if kind == "delete" else "", 0
        if kind == "foreign":
            key, drawn_from = rng.choice([*streams, ledger or streams[0]]), rng.randrange(2**32)
        fault = RedisFault(
            at_ms=at_ms, kind=kind, for_ms=for_ms, chunk_ms=chunk_ms, orderly=orderly, key=key, drawn_from=drawn_from
        )
        faults.append(fault)
    return tuple(faults)
