from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from tests.support.clock import ManualClock
from tests.support.stream_writer import BTC_TRADES
from tickfleet.reading.position import id_order
from tickfleet.reading.selection import select
from tickfleet.reading.streams import group_streams
from tickfleet.reading.streams.group_streams import NOTE_EVERY_S, GroupStreams
from tickfleet.redis.client import RedisPipe

MOST = 10_000


class Pipe:
    """A Redis in which all was handed out, and what is pending begins somewhere."""

    def __init__(self, first_pending: str) -> None:
        self.first_pending = first_pending

    async def execute(self, commands: Sequence[bytes]) -> list[Any]:
        groups = [["name", "g", "last-delivered-id", "9999999-0", "entries-read", 9]]
        return [groups, [1, self.first_pending]] if len(commands) == 2 else [1]


class CountedCalls:
    """How often ids were compared."""

    def __init__(self, really: Callable[[str], tuple[int, int]]) -> None:
        self.times, self._really = 0, really

    def __call__(self, entry_id: str) -> tuple[int, int]:
        self.times += 1
        return self._really(entry_id)


def ids(first: int, last: int) -> list[str]:
    return [f"{number}-0" for number in range(first, last + 1)]


@pytest.mark.asyncio
async def test_a_dead_member_costs_the_others_neither_memory_nor_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, pipe = ManualClock(), Pipe("1-0")
    streams = GroupStreams("g", select("okx:BTC-USDT", "trade"), "new", clock)
    streams.names[BTC_TRADES.key] = BTC_TRADES
    for first in range(2, 30_002, 100):
        streams.confirmed(BTC_TRADES, ids(first, first + 99))
    known = [entry_id for entry_id in ids(1, 30_001) if streams.is_done(BTC_TRADES, entry_id)]
    assert known == ids(30_002 - MOST, 30_001)

    counted = CountedCalls(id_order)
    monkeypatch.setattr(group_streams, "id_order", counted)
    await streams.note_done(cast(RedisPipe, pipe))
    assert counted.times < 10  # though nothing has moved

    pipe.first_pending = "29990-0"
    clock.advance(NOTE_EVERY_S)
    await streams.note_done(cast(RedisPipe, pipe))
    assert all(streams.is_done(BTC_TRADES, entry_id) for entry_id in ids(1, 30_001))
    assert not streams.is_done(BTC_TRADES, "30002-0")
