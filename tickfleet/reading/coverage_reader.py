"""Follows completeness ledgers, for services that act on them.

    async with CoverageReader() as coverage:
        look = await coverage.look(StreamName(CollectorId("okx", "BTC-USDT"), DataType.TRADE))

What a look confirms is in the stream, but the caller may not have read so far. Rely on it once you have read the stream
up to ``look.read_to``. Both values are from the same moment, so they fit together exactly.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from tickfleet._util.clock import Clock, SystemClock
from tickfleet._util.closing import Closing
from tickfleet.contract import keys
from tickfleet.contract.coverage import Interval, State, believed_from, clip, decode, is_complete, note, up_to
from tickfleet.contract.coverage_fold import Timeline
from tickfleet.contract.identity import CollectorId, DataType
from tickfleet.errors import UndecodableFrameError
from tickfleet.reading.position import BEGINNING
from tickfleet.reading.selection import StreamName
from tickfleet.reading.streams.commands import accepted, facts_of, xinfo
from tickfleet.reading.streams.questions import RetryingPipe
from tickfleet.redis.config import RedisPlace
from tickfleet.redis.protocol import is_wrong_type, pack_command

__all__ = ["UNKNOWN", "UNREADABLE", "CoverageReader", "CoverageView"]

_PAGE = 5_000
"""Entries to read at once: a few milliseconds of Redis' time, which the collectors share."""

_NEVER_NS = 2**63 - 1

UNKNOWN, UNREADABLE = State.UNKNOWN.value, "ledger_unreadable"
"""What ``CoverageView.lacks`` says if nothing is known, and where the ledger cannot be trusted."""


class CoverageView(Struct, frozen=True):
    """What the ledger says about one stream at one moment.

    Attributes:
        known: See ``tickfleet.contract.coverage.intervals``.
        read_to: The newest entry of the stream; ``0-0`` if there is none.
        unreadable: Ledger entries that cannot be read or lie in the future; they might report gaps.
    """

    known: Sequence[Interval]
    read_to: str
    unreadable: int = 0

    @property
    def up_to(self) -> int:
        """See ``tickfleet.contract.coverage.up_to``."""
        return up_to(self.known)

    def lacks(self, from_ts: int, to_ts: int) -> str:
        """Why ``[from_ts, to_ts)``, ns, is not complete; empty: it is."""
        if self.unreadable:
            return UNREADABLE
        after = bisect_right(self.known, from_ts, key=lambda part: part.to_ts)
        parts = self.known[after : bisect_left(self.known, to_ts, after, key=lambda part: part.from_ts)]
        if is_complete(parts, from_ts, to_ts):
            return ""
        bad = (part for part in clip(parts, from_ts, to_ts) if part.state not in (State.COMPLETE, State.FILLED))
        worst = next(bad, None)
        return worst.reason or worst.state.value if worst else UNKNOWN

    def known_from(self, ts: int) -> int:
        """The first known time (ns) from the given time on; ``up_to`` if nothing is known."""
        after = bisect_right(self.known, ts, key=lambda part: part.to_ts)
        known = (part.from_ts for part in self.known[after:] if part.state is not State.UNKNOWN)
        return max(next(known, self.up_to), ts)


class CoverageReader(Closing):
    """Follows the ledgers of any number of collectors: each entry is read once. ``async with`` closes it.

    Args:
        redis: Address of Redis; else ``TICKFLEET_REDIS_URL``, else this machine. While it is away, ``look`` waits.
        every_s: How old an answer may be, seconds: no stream is read more often than that.
        clock: The time.
    """

    def __init__(self, redis: RedisPlace = None, *, every_s: float = 0.0, clock: Clock | None = None) -> None:
        self._pipe = RetryingPipe(redis)
        self._every_s = every_s
        self._clock = clock or SystemClock()
        self._followed: dict[CollectorId, _Followed] = {}
        self._looks: dict[StreamName, tuple[float, CoverageView]] = {}

    async def look(self, name: StreamName) -> CoverageView:
        """What is known about a stream, now or up to ``every_s`` ago."""
        now_s = self._clock.monotonic_s()
        known = self._looks.get(name)
        if known is None or now_s >= known[0] + self._every_s:
            known = self._looks[name] = (now_s, await self._read(name))
        return known[1]

    async def _read(self, name: StreamName) -> CoverageView:
        followed = self._followed.setdefault(name.collector, _Followed())
        while True:
            page = pack_command(("XRANGE", keys.coverage(name.collector), followed.last_id, "+", "COUNT", _PAGE))
            ledger, stream = await self._pipe.transaction([page, xinfo(name.key)])
            rows: list[Any] = [] if is_wrong_type(ledger) else accepted(ledger)
            if not followed.fold(rows, self._clock.now_ns()):
                followed = self._followed[name.collector] = _Followed()
            elif len(rows) < _PAGE:
                facts = facts_of(stream)
                return CoverageView(followed.known(name), facts.last_id if facts else BEGINNING, followed.unreadable)

    async def close(self) -> None:
        """Close the connection."""
        await self._pipe.close()


class _Followed:
    """What was read of one ledger."""

    def __init__(self) -> None:
        self.last_id = "-"
        self.unreadable = 0
        self._anew_ns = _NEVER_NS  # when the first entry that lies in the future does so no more
        self._timelines: dict[tuple[DataType, str], Timeline] = {}
        self._known: dict[tuple[DataType, str], list[Interval]] = {}  # as of the last entry

    def known(self, name: StreamName) -> list[Interval]:
        """The intervals of one stream."""
        data = (name.data_type, name.interval)
        if data not in self._known and data in self._timelines:
            self._known[data] = self._timelines[data].intervals()
        return self._known.get(data, [])

    def fold(self, rows: Sequence[tuple[str, list[str]]], now_ns: int) -> bool:
        """Fold the next rows; the first row is the last one that was read before.

        False: begin again from the start. Either that first row is gone, and maybe unread ones with it; or an earlier
        entry lay in the future, because our clock was behind, and its time has come now.
        """
        if now_ns >= self._anew_ns:
            return False
        if self.last_id != "-":
            if not rows or rows[0][0] != self.last_id:
                return False
            rows = rows[1:]
        if rows:
            self._known.clear()
        for entry_id, fields in rows:
            self.last_id = entry_id
            try:
                entry = decode(dict(zip(fields[::2], fields[1::2], strict=True)))
            except UndecodableFrameError:
                self.unreadable += 1
                continue
            if now_ns < believed_from(entry):
                self.unreadable += 1
                self._anew_ns = min(self._anew_ns, believed_from(entry))
            else:
                note(self._timelines.setdefault((entry.data_type, entry.interval), Timeline()), entry)
        return True
