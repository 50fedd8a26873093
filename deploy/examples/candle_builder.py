"""Bars of one minute made from the trades of every collector, each with the word whether all its trades are in it.

They go to ``app:v1:{okx:BTC-USDT}:bars:1m``, one entry per minute, its id the bar's open time: ``open_time close_time``
(ns, UTC, the end exclusive), ``open high low close volume`` (without trades only ``volume``), ``trades``, of them
``backfilled``, and ``complete``: ``1`` where the ledger says that every trade of the minute is here, else ``0`` and the
``reason``. A bar is final and comes once, when the ledger is complete up to its end (some 10 s later; in a market that
rests, with the next trade): trades that are being fetched are waited for. A minute that nobody collected has no bar.
How far a trade's place in the stream reaches is believed of its entry's id; what its own time says decides only in
which bar it is, so one that is dated wrongly costs no other bar anything.
There is no state but these streams (``resume`` is the place in the trades): kill it, run two of it, nothing changes.
Where Redis comes back older and has lost bars, they are made again from the trades that are there.
"""

import argparse
import logging
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import islice

from msgspec import Struct

from common.process.service import run_service
from tickfleet._util.clock import SystemClock
from tickfleet.contract.events import Trade
from tickfleet.contract.intervals import number_at, opens_at
from tickfleet.reading.coverage_reader import UNKNOWN, CoverageReader, CoverageView
from tickfleet.reading.entries import Chunk, Unreadable
from tickfleet.reading.output import OutputEntry, OutputStreams
from tickfleet.reading.position import BEGINNING, id_order
from tickfleet.reading.subscriber import Entry, Mark, Missed, Position, Rewound, StreamName, Subscriber
from tickfleet.redis.config import RedisConfig

LOOK_EVERY_S = 1.0
KEPT_BARS = 100_000  # in the output, and so made at most: what is older would be trimmed at once
AHEAD_BARS = 60  # a trade that is dated further ahead of our clock is in none
LOG = logging.getLogger("candle_builder")

EPILOG = """\
The Redis is that of the fleet: TICKFLEET_REDIS_URL, else what the fleet file names (TICKFLEET_FLEET, else
deploy/fleet.toml); TICKFLEET_REDIS_PASSWORD is its password.

examples:
  .venv/bin/python deploy/examples/candle_builder.py                   bars of all collectors
  .venv/bin/python deploy/examples/candle_builder.py okx:BTC-USDT      of one; 'okx:*' is a pattern, to be quoted

exit codes: 0 told to stop, 1 failed, 3 no Redis at the start,
            78 a collector is misspelt, or nothing says where Redis is
"""


class Bar:
    """One that is being made. ``resume`` is the place before its first trade."""

    def __init__(self, resume: Mark) -> None:
        self.resume = resume
        self.trades = self.backfilled = 0
        self.prices: dict[str, str] = {}
        self.volume = Decimal(0)

    def add(self, trade: Trade) -> None:
        """Take the next trade."""
        known = self.prices or dict.fromkeys(("open", "high", "low"), trade.price)
        high, low = max(known["high"], trade.price, key=Decimal), min(known["low"], trade.price, key=Decimal)
        self.prices = {"open": known["open"], "high": high, "low": low, "close": trade.price}
        self.volume += Decimal(trade.size)
        self.trades += 1
        self.backfilled += trade.origin == "backfill"


class Hole(Struct):
    """Bars that this reader may lack trades of, found behind ``resume``; ``last`` is None until the next trade."""

    first: int
    why: str
    resume: Mark
    last: int | None = None


class BarMaker:
    """The bars of one stream of trades, by their numbers. Pure. ``last`` is the bar that was published last, if any."""

    def __init__(self, name: StreamName, last: OutputEntry | None = None) -> None:
        said = last[1] if last else {}
        self.name = name
        self.published = last[0] if last else None
        self.mark = Position.from_json(str(said["resume"])).marks[name] if said else Mark(BEGINNING)
        self.next = number_at("1m", int(said["close_time"])) if said else None
        self._begun = bool(said)  # before that the first bar is the earliest of which there is a trade
        self._newest = 0
        self._view: CoverageView | None = None
        self._read_to = str(said.get("read_to", BEGINNING))
        self._bars: OrderedDict[int, Bar] = OrderedDict()  # in the order of their first trades
        self._holes = [] if said else [Hole(0, "stream_begins", self.mark)]  # what was before may be trimmed

    @property
    def ripe(self) -> bool:
        """Whether a trade has come that lies behind the next bar: time to look at the ledger."""
        return self.next is not None and self._newest > self.next

    def add(self, chunk: Chunk) -> None:
        """Read on in the trade stream."""
        for entry in chunk.whole():
            if isinstance(entry.event, Trade):
                self._take_trade(entry, entry.event, chunk.origin)
            elif isinstance(entry.event, (Missed, Unreadable, Rewound)):
                self._lack(f"{entry.event.__struct_config__.tag}_by_reader", chunk.origin)
        self.mark = chunk.after

    def _lack(self, why: str, resume: Mark) -> None:
        """Trades may be missing from the newest one on until the next one."""
        if not any(hole.last is None and hole.first <= self._newest for hole in self._holes):
            self._holes.append(Hole(self._newest, why, resume))

    def _take_trade(self, entry: Entry, trade: Trade, origin: Mark) -> None:
        number = number_at("1m", trade.ts_event)
        place = number_at("1m", id_order(entry.id)[0] * 1_000_000)
        if self.next is None or not self._begun:
            self.next = number if self.next is None else min(self.next, number)
        for hole in self._holes:
            hole.last = max(hole.first, place) if hole.last is None else hole.last
        self._newest = max(self._newest, min(number, place))
        if number >= self.next:
            self._bars.setdefault(number, Bar(origin)).add(trade)
        elif id_order(entry.id) > id_order(self._read_to):  # else it is read again after a restart
            LOG.warning("%s %s comes after its bar was published: it is in none", entry.stream, entry.id)

    def due(self, view: CoverageView, now_ns: int) -> Iterator[OutputEntry]:
        """The bars that are final, if all is read that ``view`` confirms.

        ``view`` may be one that was given before: ``CoverageReader`` gives it for as long as it may be old. A new one
        was taken after what was read.
        """
        is_new, self._view = view is not self._view, view
        self._forget(lambda number: number > number_at("1m", now_ns) + AHEAD_BARS, "is dated ahead of the clock")
        if id_order(self.mark.id) < id_order(view.read_to):
            return
        if is_new and id_order(view.read_to) < id_order(self.mark.id):  # deleted: there may have been more than we read
            self._lack("rewound_by_reader", self.mark)
        end, self._read_to = number_at("1m", min(view.up_to, now_ns)), view.read_to  # what is to come is a wrong clock
        if self.next is None or self.next >= end:
            return
        self._begun, self.next = True, max(self.next, end - KEPT_BARS)
        first = self.next
        self._forget(lambda number: number < first, "is older than all bars that are kept")
        while self.next < end:
            number, self.next = self.next, self.next + 1
            from_ts, to_ts = opens_at("1m", number), opens_at("1m", number + 1)
            bar = self._bars.pop(number, None) or Bar(self.mark)
            self._holes = [hole for hole in self._holes if hole.last is None or hole.last >= number]
            lacks = view.lacks(from_ts, to_ts)
            if not bar.trades and lacks == UNKNOWN:
                self.next = max(self.next, min(end, *self._bars, number_at("1m", view.known_from(to_ts))))
                continue
            why = next((hole.why for hole in self._holes if hole.first <= number), lacks)
            held = [hole.resume for hole in self._holes if hole.last is None or hole.last > number]
            held += [bar.resume for bar in islice(self._bars.values(), 1)]
            head = {"type": "bar", "interval": "1m", "open_time": str(from_ts), "close_time": str(to_ts)}
            figures = {"volume": f"{bar.volume:f}", "trades": str(bar.trades), "backfilled": str(bar.backfilled)}
            verdict = {"complete": "0" if why else "1", "reason": why}
            mark = min(held, key=lambda mark: id_order(mark.id), default=self.mark)
            place = {"resume": Position({self.name: mark}).to_json(), "read_to": view.read_to}
            self.published = f"{from_ts // 1_000_000}-0"
            yield self.published, {**head, **bar.prices, **figures, **verdict, **place}

    def _forget(self, is_meant: Callable[[int], bool], why: str) -> None:
        """Drop bars that will not be made."""
        for number in [*filter(is_meant, self._bars)]:
            trades = self._bars.pop(number).trades
            LOG.warning("%s: the time of %d trades %s: they are in no bar", self.name, trades, why)


def bars_of(name: StreamName) -> str:
    """The stream of the bars: in the collector's slot of a Redis Cluster, but not under its prefix."""
    return f"app:v1:{{{name.collector}}}:bars:1m"


async def build(collectors: list[str], redis: RedisConfig) -> None:
    """Make bars until cancelled."""
    while True:
        await _build(collectors, redis)


async def _build(collectors: list[str], redis: RedisConfig) -> None:
    """Go on behind the bars that are there, until some of them are not there any more."""
    clock, makers = SystemClock(), dict[StreamName, BarMaker]()
    async with (
        OutputStreams(redis, maxlen=KEPT_BARS) as outputs,
        CoverageReader(redis, every_s=LOOK_EVERY_S) as coverage,
    ):
        for name in await outputs.inputs(collectors, "trade"):
            makers[name] = BarMaker(name, await outputs.last(bars_of(name)))
        places = Position({name: maker.mark for name, maker in makers.items() if maker.next is not None})
        async with Subscriber(collectors, "trade", start=places, redis=redis) as subscriber:
            seen = 0
            async for batch in subscriber.batches(idle_s=LOOK_EVERY_S):
                if subscriber.reconnects > seen:
                    seen = subscriber.reconnects
                    if await _lost_bars(makers, outputs):
                        return
                for chunk in batch.chunks:
                    makers.setdefault(chunk.name, BarMaker(chunk.name)).add(chunk)
                for maker in filter(lambda maker: maker.ripe, makers.values()):
                    view = await coverage.look(maker.name)
                    await outputs.add(bars_of(maker.name), maker.due(view, clock.now_ns()))


async def _lost_bars(makers: dict[StreamName, BarMaker], outputs: OutputStreams) -> bool:
    """Whether Redis came back without bars that were published."""
    for name, maker in makers.items():
        last = await outputs.last(bars_of(name))
        if maker.published is not None and (last is None or id_order(last[0]) < id_order(maker.published)):
            LOG.warning("%s: bars were lost with Redis' data; they are made again", name)
            return True
    return False


def main() -> int:
    """Read the arguments, and run until SIGTERM; the exit code."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, epilog=EPILOG, formatter_class=layout)
    parser.add_argument(
        "collectors", metavar="COLLECTOR", nargs="*", default=["*"], help="okx:BTC-USDT, 'okx:*' (default: all)"
    )
    arguments = parser.parse_args()
    return run_service("candle_builder", lambda redis: build(arguments.collectors, redis))


if __name__ == "__main__":
    sys.exit(main())
