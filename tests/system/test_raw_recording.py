"""What a killed collector has recorded is there, and played again it gives the same streams."""

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from redis import Redis

from tests.support.ports import wait_until
from tests.support.processes import Process, SimulatorProcess, start_worker
from tests.support.recording import Trade, recorded_trades
from tests.support.redis_server import RedisServer

pytestmark = pytest.mark.system

RECORD_S = 4.0
RECORDER, LISTENER = 0, 1
NATIVE = {"okx": "BTC-USDT", "binance": "BTCUSDT"}
FLUSH_S = 1.0
"""What a kill may cost."""

LATE_S = 1.0
"""By so much its loop may be late on a busy machine."""

Entry = tuple[str, dict[str, str]]


class Recorded(NamedTuple):
    """A recording, and what is known of the run that made it.

    Attributes:
        folder: The files.
        made: What the exchange traded.
        killed_ms: When the collector was killed.
        streams: What it had published, by data type.
    """

    folder: Path
    made: list[Trade]
    killed_ms: float
    streams: dict[str, list[Entry]]


def fleet_of(folder: Path, exchange: str, simulator: SimulatorProcess, redis: RedisServer, *, record: bool) -> Path:
    """A fleet file; who records and who does not use databases of their own."""
    base = f"127.0.0.1:{simulator.port}"
    paths = ("/ws/v5/public", "/ws/v5/business") if exchange == "okx" else ("", "")
    path, database = folder / "fleet.toml", RECORDER if record else LISTENER
    path.write_text(
        f'[redis]\nurl = "redis://127.0.0.1:{redis.port}/{database}"\n[exchanges.{exchange}]\nrest = "http://{base}"\n'
        f'ws_public = "ws://{base}{paths[0]}"\nws_business = "ws://{base}{paths[1]}"\n'
        f'[[collectors]]\nexchange = "{exchange}"\nsymbol = "BTC-USDT"\ndata_types = ["trade", "orderbook"]\n'
        f"store_raw_data = {str(record).lower()}\n"
    )
    return path


def start(folder: Path, exchange: str, fleet: Path) -> Process:
    return start_worker(exchange, "BTC-USDT", fleet, folder / "worker.log", TICKFLEET_ROOT=str(folder))


def entries(redis: RedisServer, database: int, exchange: str, data_type: str) -> list[Entry]:
    """The data of a stream, without the markers."""
    with Redis(port=redis.port, db=database, decode_responses=True) as client:
        found: Any = client.xrange(f"md:v1:{{{exchange}:BTC-USDT}}:{data_type}")
    return [(entry_id, fields) for entry_id, fields in found if fields["type"] != "feed_status"]


def record(exchange: str, folder: Path, redis: RedisServer) -> Recorded:
    """Let a collector record for some seconds, then kill it."""
    simulator = SimulatorProcess("--exchange", exchange, "--trades-per-s", "60", "--warmup-s", "1")
    worker = start(folder, exchange, fleet_of(folder, exchange, simulator, redis, record=True))
    try:
        (_, began), *_ = wait_until(lambda: entries(redis, RECORDER, exchange, "orderbook"), 20, "a book")
        until_s = int(began["ts_recv"]) / 1e9 + RECORD_S
        wait_until(lambda: time.time() > until_s, 2 * RECORD_S, "enough is recorded")
        worker.signal(signal.SIGKILL)
        killed_ms = time.time() * 1_000
        assert worker.wait(5) == -signal.SIGKILL
        rows: Any = simulator.get(f"/sim/trades?instId={NATIVE[exchange]}")
    finally:
        worker.stop()
        assert simulator.stop() == 0
    made = [(int(row["id"]), row["px"], row["sz"], row["side"], int(row["ts"])) for row in rows]
    streams = {name: entries(redis, RECORDER, exchange, name) for name in ("trade", "orderbook")}
    return Recorded(folder / "var" / "raw" / exchange / "BTC-USDT", made, killed_ms, streams)


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def recordings(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Recorded]:
    """Both exchanges at once: most of the time it waits."""
    folders = [tmp_path_factory.mktemp(exchange) for exchange in NATIVE]
    with ThreadPoolExecutor(len(NATIVE)) as pool:
        made = pool.map(record, NATIVE, folders, [redis] * len(NATIVE))
        return dict(zip(NATIVE, made, strict=True))


@pytest.mark.parametrize("exchange", NATIVE)
def test_a_killed_recording_is_complete_to_its_last_second_and_replays(
    exchange: str, recordings: dict[str, Recorded], redis: RedisServer, tmp_path: Path
) -> None:
    first = recordings[exchange]
    trades = recorded_trades(exchange, first.folder)
    since = [row for row in first.made if row[0] >= trades[0][0]]
    flushed_ns = (first.killed_ms - (FLUSH_S + LATE_S) * 1_000) * 1e6
    due = [fields["trade_id"] for _, fields in first.streams["trade"] if int(fields["ts_recv"]) < flushed_ns]
    assert trades == since[: len(trades)]
    assert trades[-1][0] >= int(due[-1])
    assert len(due) > 40

    second = play(exchange, first.folder, tmp_path, redis, trades[-1][0])
    assert [int(fields["trade_id"]) for _, fields in second["trade"]] == [trade[0] for trade in trades]
    for name, published in first.streams.items():  # of the very last that was recorded, some was never published
        both = min(len(published), len(second[name]))
        assert bare(second[name])[:both] == bare(published)[:both]
        assert both > 5


def play(exchange: str, recording: Path, folder: Path, redis: RedisServer, last_id: int) -> dict[str, list[Entry]]:
    """What another collector publishes that meets the recording."""
    with ExitStack() as stack:
        simulator = SimulatorProcess("--exchange", exchange, "--replay", str(recording), "--speed", "0")
        stack.callback(simulator.stop)
        worker = start(folder, exchange, fleet_of(folder, exchange, simulator, redis, record=False))
        stack.callback(worker.stop)

        def over() -> bool:
            trades = entries(redis, LISTENER, exchange, "trade")
            books = entries(redis, LISTENER, exchange, "orderbook")
            return bool(trades and books) and int(trades[-1][1]["trade_id"]) >= last_id

        wait_until(over, 20, "all is played")
        assert worker.stop() == 0, worker.text()
    return {name: entries(redis, LISTENER, exchange, name) for name in ("trade", "orderbook")}


def bare(published: list[Entry]) -> list[dict[str, str]]:
    """Entries without what the collector's own clock says; Binance's snapshots have no other time."""
    fields_of = [dict(fields) for _, fields in published]
    for fields in fields_of:
        if fields.pop("ts_recv") == fields["ts_event"]:
            del fields["ts_event"]
    return fields_of
