"""Whether Redis takes writes, and since when it does not. Pure.

A Redis that is full, cannot write to its disk or is a replica still answers, but refuses what collectors and manager
write. Then heartbeats expire, and prove nothing. Two things show this: our own write that would change nothing, and the
number of refusals that Redis has counted for all clients. Near its limit a small write passes while a collector's batch
does not.
"""

from collections.abc import Iterator, Mapping

import msgspec
from msgspec import Struct

from manager.model.formatting import clock_time
from tickfleet.redis.refusals import NO_WRITES, takes_no_writes

OVER_AFTER_S = 5.0
"""Without a refusal; collectors try again every two seconds."""

REMEDIES: Mapping[str, str] = {
    "OOM": (
        "manager-cli redis CONFIG SET maxmemory 4gb (and in its configuration),"
        " or manager-cli redis DEL the streams that nobody needs"
    ),
    "MISCONF": (
        "free its disk: it tries again each second; where only its snapshots fail: manager-cli redis BGSAVE, or for now"
        " manager-cli redis CONFIG SET stop-writes-on-bgsave-error no"
    ),
    "READONLY": (
        "let redis.url name the master (or its Sentinels); a replica becomes one by manager-cli redis REPLICAOF NO ONE"
    ),
    "NOREPLICAS": "bring its replicas back, or manager-cli redis CONFIG SET min-replicas-to-write 0",
}
"""What repairs it at once. A lower ``[redis.maxlen]`` does not: only writes trim entries, and Redis refuses them."""


class NoWrites(Struct, frozen=True):
    """That it takes none.

    Attributes:
        code: The code of its refusals.
        since_ns: When we met the first; 0 where that is not known.
    """

    code: str
    since_ns: int = 0

    def __str__(self) -> str:
        since = f"since {clock_time(self.since_ns)}" if self.since_ns else "since when is not known here"
        return f"Redis {takes_no_writes(self.code)}, {since}"


def encode(no_writes: NoWrites | None) -> str:
    """As it is in the manager's heartbeat; empty while Redis takes writes."""
    return "" if no_writes is None else msgspec.json.encode(no_writes).decode()


def decode(text: str) -> NoWrites | None:
    """What ``encode`` has written; None for anything else."""
    try:
        found = msgspec.json.decode(text, type=NoWrites) if text else None
    except msgspec.MsgspecError:
        return None
    return found if found is not None and found.code in NO_WRITES else None


class WriteWatch:
    """Decides after each round whether Redis takes writes.

    Attributes:
        refused: Whether the last write of ours was refused.
        refused_at_s: When a write was last refused, of anybody (monotonic).
    """

    def __init__(self) -> None:
        self.refused = False
        self.refused_at_s = float("-inf")
        self._no_writes: NoWrites | None = None
        self._counts: Mapping[str, int] | None = None

    @property
    def no_writes(self) -> NoWrites | None:
        """That Redis takes no writes; None while it does."""
        return self._no_writes

    @property
    def trouble(self) -> str:
        """The same as a phrase; empty while it takes them."""
        return "" if self._no_writes is None else str(self._no_writes)

    def see(self, code: str, counts: Mapping[str, int] | None, now_ns: int, now_s: float) -> None:
        """Take note of one look.

        Args:
            code: The code with which our write was refused; empty where it was not.
            counts: How often Redis has refused what it was asked, by code; None where it does not tell.
            now_ns: Wall clock.
            now_s: Monotonic.
        """
        self.refused = code in NO_WRITES
        found = code if self.refused else next(self._risen(counts or {}), "")
        self._counts = counts
        if found:
            since_ns = now_ns if self._no_writes is None else self._no_writes.since_ns
            self._no_writes, self.refused_at_s = NoWrites(found, since_ns), now_s
        elif now_s - self.refused_at_s >= OVER_AFTER_S:
            self._no_writes = None

    def _risen(self, counts: Mapping[str, int]) -> Iterator[str]:
        """The refusal codes whose counters rose since the last look; a counter that fell has started again from 0."""
        if self._counts is None:  # what was refused before our start is long over, or will be again
            return
        for code in NO_WRITES:
            if counts.get(code, 0) > self._counts.get(code, 0):
                yield code
