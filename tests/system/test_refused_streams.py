"""A real worker and the simulated exchange, while somebody puts something else in the place of one of its streams."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from collector_worker import app
from collector_worker.app import Worker
from collector_worker.integrity import coverage_writer as ledger
from collector_worker.publish.stream_tips import StreamReturnedError
from collector_worker.settings import WorkerSettings
from common.config.collector import ExchangeCollectorConfig
from common.config.exchanges import Endpoints
from tests.simulator.clock import SystemClock
from tests.simulator.okx import OkxOptions, OkxSource
from tests.simulator.server import Simulator
from tests.soak.check import BookReader, id_faults, trade_faults
from tests.support.redis_server import RedisServer
from tests.support.waiting import until
from tests.support.worker_rig import IMPATIENT, PREFIX, heartbeat
from tickfleet.contract import coverage
from tickfleet.contract.coverage import Interval, State
from tickfleet.contract.health import WorkerState
from tickfleet.contract.identity import DataType

pytestmark = pytest.mark.system

NATIVE = "BTC-USDT"
TYPES = (DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER)
MS = 1_000_000

Exchange = Simulator[OkxSource]
Entries = list[tuple[str, dict[str, str]]]


class Site:
    """A collector, its exchange and its Redis.

    A run that ends because a stream has returned is followed by another one, as supervisord and the manager have it.
    """

    def __init__(self, server: RedisServer, exchange: Exchange, folder: Path) -> None:
        endpoints = Endpoints(ws_public=exchange.ws_public, ws_business=exchange.ws_business, rest=exchange.rest)
        config = ExchangeCollectorConfig("okx", NATIVE, TYPES, endpoints=endpoints)
        self._make = partial(Worker, WorkerSettings(config, server.config, "info", folder), limits=IMPATIENT)
        self.server = server
        self.exchange = exchange
        self.runs = 0

    async def run(self) -> None:
        while True:
            self.runs += 1
            try:
                await self._make().run()
            except StreamReturnedError:
                continue

    def entries(self, name: str) -> Entries:
        entries: Entries = self.server.client.xrange(PREFIX + name)
        return entries

    def last_trade(self) -> int:
        """Of the exchange."""
        return int(self.exchange.source.ledger.trades(NATIVE, 0, 1_000_000)[-1]["id"])

    def reached(self, trade: int) -> bool:
        """Whether the streams have come to what happened after a trade, and trades come live."""
        newest = self.server.client.xrevrange(PREFIX + "trade", count=1)[0][1]
        flows = all(self.server.client.xlen(PREFIX + each.value) > 10 for each in TYPES)
        return flows and int(newest.get("trade_id", 0)) > trade and newest.get("origin") == "live"

    def told(self, data_type: DataType) -> list[Interval]:
        """What the ledger says."""
        return coverage.intervals((coverage.decode(fields) for _, fields in self.entries("coverage")), data_type)

    def dropped(self) -> int:
        """Entries that were refused or left out by the run that has its say; 0 while nothing is amiss."""
        beat = heartbeat(self.server)
        return beat.entries_dropped if beat and beat.state is WorkerState.DEGRADED else 0


@pytest.fixture
async def exchange() -> AsyncIterator[Exchange]:
    options = OkxOptions(instruments=(NATIVE,), trades_per_s=50, books_per_s=20, warmup_ms=1_000)
    async with Simulator(OkxSource(options, SystemClock().now_ms())) as simulator:
        yield simulator


@asynccontextmanager
async def collecting(server: RedisServer, exchange: Exchange, folder: Path) -> AsyncIterator[Site]:
    """Collect from when data flows to the end of the block."""
    site = Site(server, exchange, folder)
    before = site.last_trade()
    work = asyncio.create_task(site.run())
    try:
        await until(lambda: server.client.exists(PREFIX + "trade") and site.reached(before), "data flows")
        yield site
    finally:
        work.cancel()
        await asyncio.wait([work])
    assert work.cancelled()


async def replace_for_a_while(site: Site, name: str) -> int:
    """Put a string in the place of a stream until entries were refused, and the stream back; how long it was then."""
    client: Any = site.server.client
    key = PREFIX + name
    with client.pipeline() as both:  # what was published in between would be lost to whoever does this by hand
        both.rename(key, key + ":away").set(key, "somebody's").execute()
    await until(site.dropped, "entries are refused")
    before = site.last_trade()
    await until(lambda: site.last_trade() > before + 20, "the market continues")
    client.delete(key)
    client.rename(key + ":away", key)
    before, length = site.last_trade(), int(client.xlen(key))
    await until(lambda: client.xlen(key) > length + 5 and site.reached(before + 20), "the streams go on")
    return length


@pytest.fixture(autouse=True)
def _talkative_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says all the time how far everything is there, so what it says is right behind what is refused."""
    monkeypatch.setattr(ledger, "WRITE_EVERY_S", 0.0)
    monkeypatch.setattr(app, "HOUSEKEEPING_S", 0.01)


def neighbour_times(entries: Entries, place: int) -> tuple[int, int]:
    """The times of the data before a place and behind it (ns)."""
    before, after = (
        [int(fields["ts_event"]) for _, fields in part if fields["type"] != "feed_status"]
        for part in (entries[:place], entries[place:])
    )
    return before[-1], after[0]


@pytest.mark.parametrize("name", ["trade", "ticker", "orderbook", "coverage"])
async def test_what_was_refused_is_fetched_or_told(
    redis_server: RedisServer, exchange: Exchange, tmp_path: Path, name: str
) -> None:
    async with collecting(redis_server, exchange, tmp_path) as site:
        place = await replace_for_a_while(site, name)
        runs = site.runs

    record = exchange.source.ledger.trades(NATIVE, 0, 1_000_000)
    reader = BookReader().read(site.entries("orderbook"))
    assert (trade_faults(site.entries("trade"), record), reader.complaints) == ([], [])
    assert [id_faults(site.entries(each.value)) for each in TYPES] == [[], [], []]
    assert {part.state for part in site.told(DataType.TRADE)} <= {State.COMPLETE, State.FILLED}
    if name in ("ticker", "orderbook"):  # which cannot be fetched
        last, following = neighbour_times(site.entries(name), place)
        assert following - last > 200 * MS
        assert not coverage.is_complete(site.told(DataType(name)), last, following)
    assert runs == 2


async def test_a_gap_that_the_ledger_did_not_learn_of_is_not_complete(
    redis_server: RedisServer, exchange: Exchange, tmp_path: Path
) -> None:
    """As where the run ended before it could say so, or its ledger was refused."""
    async with collecting(redis_server, exchange, tmp_path) as site:
        pass
    last = next(fields for _, fields in reversed(site.entries("trade")) if fields["type"] == "trade")
    number, ts = int(last["trade_id"]), int(last["ts_event"])
    assert {part.state for part in site.told(DataType.TRADE)} == {State.COMPLETE}
    gap = {"type": "gap", "ts_event": ts, "ts_recv": ts, "reason": "x", "from_id": number, "to_id": number + 3}
    redis_server.client.xadd(PREFIX + "trade", gap)
    async with collecting(redis_server, exchange, tmp_path) as site:
        pass
    held = [int(fields["trade_id"]) for _, fields in site.entries("trade") if fields["type"] == "trade"]
    assert (number in held, number + 1 in held, number + 3 in held) == (True, False, True)
    unknown = [part for part in site.told(DataType.TRADE) if part.state is State.UNKNOWN]
    assert [(part.from_id, part.to_id) for part in unknown] == [(str(number), str(number + 2))]
