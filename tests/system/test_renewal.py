"""A worker over many renewals of its connections: no trade and no change of the book is lost, doubled or in doubt."""

import asyncio
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from collector_worker import app
from collector_worker.app import Worker
from collector_worker.connection.connection import Timing
from collector_worker.connection.session import BackoffLimits, Session
from collector_worker.settings import WorkerSettings
from common.config.collector import ExchangeCollectorConfig
from common.config.exchanges import Endpoints
from tests.simulator.binance import BinanceOptions, BinanceSource
from tests.simulator.clock import SystemClock
from tests.simulator.okx import OkxOptions, OkxSource
from tests.simulator.server import Simulator
from tests.support.book_exchange import replayed
from tests.support.redis_server import RedisServer
from tests.support.waiting import until
from tests.support.worker_rig import IMPATIENT
from tickfleet.contract import coverage
from tickfleet.contract.codec import decode
from tickfleet.contract.coverage import State
from tickfleet.contract.events import BookDelta, BookSnapshot, Event, FeedState, FeedStatus, Trade
from tickfleet.contract.health import Heartbeat, read_heartbeat
from tickfleet.contract.identity import DataType

pytestmark = pytest.mark.system

RENEWALS = 3
LIFE_S = 0.7
"""Age at which the collector renews a connection, in the place of 23 h."""

NATIVE = {"binance": "BTCUSDT", "okx": "BTC-USDT"}
DEPTH = {"binance": 100, "okx": 400}
"""Levels that are compared: all that the channel has, or far fewer than the seed had."""

Exchange = Simulator[BinanceSource] | Simulator[OkxSource]


def binance() -> Simulator[BinanceSource]:
    options = BinanceOptions(instruments=("BTCUSDT",), trades_per_s=50, books_per_s=40, warmup_ms=1_000)
    return Simulator(BinanceSource(options, SystemClock().now_ms()))


def okx() -> Simulator[OkxSource]:
    options = OkxOptions(instruments=("BTC-USDT",), trades_per_s=50, books_per_s=20, warmup_ms=1_000)
    return Simulator(OkxSource(options, SystemClock().now_ms()))


def nothing(_: Exchange) -> None:
    """The age of the connection is reason enough."""


def announce(exchange: Exchange) -> None:
    """A service notice (OKX), or ``serverShutdown`` (Binance)."""
    exchange.controls.notice()


RENEWED: dict[str, tuple[str, Callable[[], Exchange], Callable[[Exchange], None]]] = {
    "binance, by age": ("binance", binance, nothing),
    "binance, by notice": ("binance", binance, announce),
    "okx, by notice": ("okx", okx, announce),
}


def ids(exchange: Exchange) -> set[object]:
    """The names of the open connections."""
    return {connection["id"] for connection in exchange.connections}


class Streams:
    """What Redis holds of the collector."""

    def __init__(self, server: RedisServer, exchange: str) -> None:
        self._client = server.client
        self._prefix = f"md:v1:{{{exchange}:BTC-USDT}}:"

    def entries(self, name: str) -> list[tuple[str, dict[str, str]]]:
        entries: list[tuple[str, dict[str, str]]] = self._client.xrange(self._prefix + name)
        return entries

    def events(self, name: str) -> list[Event]:
        return [decode(fields) for _, fields in self.entries(name)]

    def count(self, name: str) -> int:
        return int(self._client.xlen(self._prefix + name))

    def hash(self, name: str) -> dict[str, str]:
        fields: dict[str, str] = self._client.hgetall(self._prefix + name)
        return fields


async def run_renewals(
    worker: Worker, exchange: Exchange, streams: Streams, cause: Callable[[Exchange], None], sockets: int
) -> tuple[set[str], int]:
    """Collect over some renewals and a little more.

    Returns the states that the book had once it was there, and how often it was in doubt.
    """
    states: set[str] = set()

    def flows(trades: int, books: int) -> bool:
        return streams.count("trade") > trades and streams.count("orderbook") > books

    def renewed(before: set[object]) -> bool:
        states.add(streams.hash("book")["state"])
        now = ids(exchange)
        return len(now) == sockets and not now & before

    async with asyncio.TaskGroup() as tasks:
        work = tasks.create_task(worker.run())
        await until(lambda: flows(10, 5) and len(ids(exchange)) == sockets, "data flows")
        for _ in range(RENEWALS):
            before = ids(exchange)
            cause(exchange)
            await until(partial(renewed, before), "other connections have taken over")
        counts = streams.count("trade"), streams.count("orderbook")
        await until(lambda: flows(counts[0] + 10, counts[1] + 5), "data flows on")
        states.add(streams.hash("book")["state"])
        await until(lambda: beat_of(streams).reconnects >= RENEWALS * sockets, "the heartbeat has counted them")
        work.cancel()  # as a signal does
    return states, beat_of(streams).resyncs


def beat_of(streams: Streams) -> Heartbeat:
    beat = read_heartbeat(streams.hash("heartbeat"))
    assert beat is not None
    return beat


@pytest.mark.parametrize(("name", "make", "cause"), RENEWED.values(), ids=RENEWED)
async def test_renewed_connections_leave_no_trace_in_the_data(
    name: str,
    make: Callable[[], Exchange],
    cause: Callable[[Exchange], None],
    redis_server: RedisServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(app, "Timing", partial(Timing, tick_s=0.02))
    monkeypatch.setattr(app, "Session", partial(Session, patience=BackoffLimits(overlap_s=0.3)))
    if cause is nothing:
        monkeypatch.setattr("collector_worker.exchanges.binance._MAX_LIFE_S", LIFE_S)
    streams = Streams(redis_server, name)
    async with make() as exchange:
        endpoints = Endpoints(ws_public=exchange.ws_public, ws_business=exchange.ws_business, rest=exchange.rest)
        config = ExchangeCollectorConfig(name, "BTC-USDT", tuple(DataType), endpoints=endpoints)
        worker = Worker(WorkerSettings(config, redis_server.config, "info", tmp_path), limits=IMPATIENT)
        found = await run_renewals(worker, exchange, streams, cause, sockets=2 if name == "okx" else 1)

    assert found == ({"valid"}, 0)
    assert_every_trade_once(streams, exchange, NATIVE[name])
    snapshots = assert_the_book_of_the_exchange(streams, exchange, NATIVE[name], DEPTH[name])
    assert snapshots == ["subscribe", *(["reconnect"] * RENEWALS if name == "okx" else [])]
    ledger = [coverage.decode(fields) for _, fields in streams.entries("coverage")]
    for data_type in (DataType.ORDERBOOK, DataType.TRADE, DataType.TICKER):
        assert {interval.state for interval in coverage.intervals(ledger, data_type)} == {State.COMPLETE}


def assert_every_trade_once(streams: Streams, exchange: Exchange, native: str) -> None:
    """From the first to the last one, in order, with all values."""
    trades = [event for event in streams.events("trade") if isinstance(event, Trade)]
    first, last = int(trades[0].trade_id), int(trades[-1].trade_id)
    record = exchange.source.ledger.trades(native, first - 1, last - first + 1)
    assert [(t.trade_id, t.price, t.size, t.side, t.ts_event) for t in trades] == [
        (row["id"], row["px"], row["sz"], row["side"], int(row["ts"]) * 1_000_000) for row in record
    ]


def assert_the_book_of_the_exchange(streams: Streams, exchange: Exchange, native: str, depth: int) -> list[str]:
    """No doubt, an unbroken chain, and the exchange's levels at its end; the reasons of the snapshots in it."""
    events = streams.events("orderbook")
    told = [(event.state, event.reason) for event in events if isinstance(event, FeedStatus)]
    assert told == [(FeedState.CONNECTED, "start"), (FeedState.DISCONNECTED, "stopped")]
    chain = [event for event in events if isinstance(event, (BookSnapshot, BookDelta))]
    assert all(after.prev_seq == before.seq for before, after in pairwise(chain) if isinstance(after, BookDelta))
    levels = replayed(chain)
    best = {
        "bids": sorted(levels["bids"].items(), key=lambda level: -float(level[0]))[:depth],
        "asks": sorted(levels["asks"].items(), key=lambda level: float(level[0]))[:depth],
    }
    assert best == exchange.source.ledger.book(native, chain[-1].seq, depth)
    return [event.reason for event in chain if isinstance(event, BookSnapshot)]
