"""The console script ``collector-worker`` as a process, against the simulated exchange and a real Redis."""

import json
import os
import pty
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, cast

import pytest

from tests.support.ports import wait_until
from tests.support.processes import BIN, Process, SimulatorProcess, start_worker
from tests.support.redis_server import RedisServer
from tickfleet.contract.health import BookState, Heartbeat, WorkerState, read_heartbeat
from tickfleet.contract.identity import DataType

PREFIX = "md:v1:{okx:BTC-USDT}:"
STREAMS = [PREFIX + name for name in ("trade", "orderbook", "ticker", "candles:1m")]
S = 1_000_000_000
WAIT_S = 15.0

HEARTBEAT_FIELDS = {
    "collector", "pid", "host", "run_id", "version", "started_at", "beat_at", "beats", "state", "last_error",
    "connected_since", "reconnects", "resyncs", "gaps", "backfilled", "duplicates_dropped", "decode_errors",
    "entries_published", "entries_buffered", "entries_dropped", "redis_reconnects", "last_frame_at", "rss_bytes",
    "cpu_seconds", "latency_p50_us", "latency_p99_us", "clock_offset_ms", "loop_lag_ms", "book_state",
    *(f"{kind.value}_{fact}" for kind in DataType for fact in ("count", "last_event_at", "silence_limit")),
}  # fmt: skip
"""What the contract promises; there may be more."""


@pytest.fixture(scope="module")
def exchange() -> Iterator[SimulatorProcess]:
    process = SimulatorProcess("--instruments", "BTC-USDT", "--trades-per-s", "50", "--warmup-s", "5")
    yield process
    assert process.stop() == 0


def write_fleet(folder: Path, exchange: SimulatorProcess, redis: RedisServer) -> Path:
    path = folder / "fleet.toml"
    path.write_text(f'[redis]\nurl = "{redis.url}"\n{exchange.endpoints}', encoding="utf-8")
    return path


@contextmanager
def collecting(folder: Path, fleet: Path, redis: RedisServer) -> Iterator[Process]:
    """A worker that collects."""
    process = start_worker("okx", "BTC-USDT", fleet, folder / "worker.log")
    try:
        wait_until(lambda: collects(redis), WAIT_S, "data in all streams")
        yield process
    finally:
        process.stop()


class Running(NamedTuple):
    """A worker that only looks are taken at."""

    worker: Process
    redis: RedisServer


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, exchange: SimulatorProcess) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("running")
    redis = RedisServer(folder)
    redis.start()
    try:
        with collecting(folder, write_fleet(folder, exchange, redis), redis) as worker:
            yield Running(worker, redis)
    finally:
        redis.stop()


@pytest.fixture
def fleet(tmp_path: Path, exchange: SimulatorProcess, redis_server: RedisServer) -> Path:
    return write_fleet(tmp_path, exchange, redis_server)


@pytest.fixture
def worker(tmp_path: Path, fleet: Path, redis_server: RedisServer) -> Iterator[Process]:
    """A worker of the test's own."""
    with collecting(tmp_path, fleet, redis_server) as process:
        yield process


def collects(redis: RedisServer) -> bool:
    beat = read_heartbeat(redis.client.hgetall(PREFIX + "heartbeat"))
    return (
        beat is not None
        and beat.state is WorkerState.RUNNING
        and beat.beats > 1
        and beat.progress[DataType.TRADE].count > 30
        and all(redis.client.xlen(key) > 1 for key in STREAMS)
    )


def heartbeat(redis: RedisServer) -> Heartbeat:
    beat = read_heartbeat(redis.client.hgetall(PREFIX + "heartbeat"))
    assert beat is not None
    return beat


def entries(redis: RedisServer, key: str) -> list[tuple[str, dict[str, str]]]:
    return cast("list[tuple[str, dict[str, str]]]", redis.client.xrange(key))


def assert_trades_are_whole(redis: RedisServer, exchange: SimulatorProcess) -> None:
    """From the first published trade to the last, every one of the exchange's is there once, in order."""
    got = [fields for _, fields in entries(redis, STREAMS[0]) if fields["type"] == "trade"]
    first, last = int(got[0]["trade_id"]), int(got[-1]["trade_id"])
    record = exchange.get(f"/sim/trades?instId=BTC-USDT&after={first - 1}&limit={last - first + 1}")
    assert [{name: fields[name] for name in fields if name != "ts_recv"} for fields in got] == [
        {
            "type": "trade",
            "ts_event": f"{row['ts']}000000",
            "trade_id": row["id"],
            "price": row["px"],
            "size": row["sz"],
            "side": row["side"],
            "origin": "live",
        }
        for row in cast("list[dict[str, str]]", record)
    ]


def test_data_of_all_kinds_reaches_its_streams(running: Running) -> None:
    kinds = [[fields["type"] for _, fields in entries(running.redis, key)] for key in STREAMS]
    assert [set(names) - {"feed_status"} for names in kinds] == [
        {"trade"},
        {"book_snapshot", "book_delta"},
        {"ticker"},
        {"candle"},
    ]
    for key in STREAMS:
        ids = [tuple(map(int, entry_id.split("-"))) for entry_id, _ in entries(running.redis, key)]
        assert ids == sorted(set(ids))
        assert all({"type", "ts_event", "ts_recv"} <= fields.keys() for _, fields in entries(running.redis, key))


def test_the_book_is_the_exchange_s_book(running: Running, exchange: SimulatorProcess) -> None:
    book = running.redis.client.hgetall(PREFIX + "book")
    assert book["state"] == "valid"
    truth = cast("list[dict[str, object]]", exchange.get(f"/sim/book?instId=BTC-USDT&seqId={book['seq']}"))[0]
    assert {side: json.loads(book[side]) for side in ("bids", "asks")} == {
        side: truth[side] for side in ("bids", "asks")
    }
    [(_, named)] = running.redis.client.xrange(STREAMS[1], min=book["stream_id"], max=book["stream_id"])
    assert (named["seq"], named["ts_event"]) == (book["seq"], book["ts_event"])


def test_the_instrument_is_described(running: Running, exchange: SimulatorProcess) -> None:
    rows = cast("list[dict[str, str]]", exchange.get("/api/v5/public/instruments?instType=SPOT"))
    described = wait_until(lambda: running.redis.client.hgetall(PREFIX + "instrument"), WAIT_S, "it is described")
    expected = {"symbol": "BTC-USDT", "native": "BTC-USDT", "state": "live"}
    expected |= {"tick_size": rows[0]["tickSz"], "lot_size": rows[0]["lotSz"], "min_size": rows[0]["minSz"]}
    assert {name: described[name] for name in expected} == expected


def test_the_heartbeat_holds_all_it_should(running: Running) -> None:
    assert running.redis.client.hgetall(PREFIX + "heartbeat").keys() >= HEARTBEAT_FIELDS
    assert 0 < running.redis.client.pttl(PREFIX + "heartbeat") <= 10_000
    beat, now = heartbeat(running.redis), time.time_ns()
    assert (beat.collector, beat.pid, beat.host) == ("okx:BTC-USDT", running.worker.pid, socket.gethostname())
    assert len(beat.run_id) == 12
    assert (beat.last_error, beat.exit_code, beat.book_state) == ("", None, BookState.VALID)
    assert beat.started_at < beat.connected_since < beat.beat_at < now
    assert now - 3 * S < beat.beat_at
    assert beat.beat_at - S < beat.last_frame_at < now
    troubles = (beat.reconnects, beat.resyncs, beat.gaps, beat.decode_errors, beat.entries_dropped)
    assert (*troubles, beat.redis_reconnects, beat.backfilled) == (0,) * 7
    assert beat.entries_published >= sum(progress.count for progress in beat.progress.values()) - 500
    assert 10_000_000 < beat.rss_bytes < 200_000_000
    assert 0 < beat.cpu_seconds < 30
    assert 0 < beat.latency_p50_us <= beat.latency_p99_us < 5_000_000
    assert abs(beat.clock_offset_ms) < 1_000
    assert {kind: progress.silence_limit for kind, progress in beat.progress.items()} == {
        DataType.TRADE: 30 * S,
        DataType.ORDERBOOK: 65 * S,
        DataType.TICKER: 30 * S,
        DataType.CANDLES: 90 * S,
    }
    for progress in beat.progress.values():
        assert progress.count > 0
        assert beat.started_at < progress.last_event_at <= beat.last_frame_at


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGINT], [signal.SIGTERM, signal.SIGTERM]])
def test_told_to_stop_it_publishes_what_it_has_and_says_so(
    worker: Process, redis_server: RedisServer, exchange: SimulatorProcess, signals: list[signal.Signals]
) -> None:
    for number in signals:
        worker.signal(number)
    assert worker.wait(5.0) == 0
    beat = heartbeat(redis_server)
    assert (beat.state, beat.exit_code, beat.last_error) == (WorkerState.STOPPED, 0, "")
    assert 0 < redis_server.client.pttl(PREFIX + "heartbeat") <= 10_000
    held = [fields for key in STREAMS for _, fields in entries(redis_server, key)]
    assert beat.progress[DataType.TRADE].count == sum(fields["type"] == "trade" for fields in held)
    assert_trades_are_whole(redis_server, exchange)
    lines = [json.loads(line) for line in worker.text().splitlines()]  # nothing else is written, on stderr neither
    assert {line["collector"] for line in lines} == {"okx:BTC-USDT"}
    assert {line["level"] for line in lines} == {"info"}


def test_a_second_run_goes_on_where_the_first_one_stopped(
    worker: Process, redis_server: RedisServer, fleet: Path, tmp_path: Path
) -> None:
    worker.stop()
    before = entries(redis_server, STREAMS[0])
    first = heartbeat(redis_server)
    again = start_worker("okx", "BTC-USDT", fleet, tmp_path / "again.log")
    try:
        wait_until(
            lambda: heartbeat(redis_server).run_id != first.run_id and collects(redis_server), WAIT_S, "a new run"
        )
    finally:
        assert again.stop() == 0
    after = entries(redis_server, STREAMS[0])
    assert after[: len(before)] == before
    numbers = [int(fields["trade_id"]) for _, fields in after if fields["type"] == "trade"]
    assert numbers == sorted(set(numbers))
    assert heartbeat(redis_server).exit_code == 0


def test_in_the_foreground_a_live_run_is_not_ended_unasked(
    worker: Process, redis_server: RedisServer, fleet: Path, tmp_path: Path
) -> None:
    first = heartbeat(redis_server)
    command = [str(BIN / "collector-worker"), "--exchange", "okx", "--symbol", "BTC-USDT", "--fleet", str(fleet)]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=WAIT_S
    )
    assert (done.returncode, done.stderr) == (
        2,
        f"collector-worker: okx:BTC-USDT is collected by process {worker.pid} on {first.host}; a manager that keeps "
        "it starts it again, which ends ours: then manager-cli stop okx:BTC-USDT first; --take-over ends that run "
        "unasked\n",
    )
    wait_until(lambda: heartbeat(redis_server).beats > first.beats + 1, WAIT_S, "the first one continues")
    assert heartbeat(redis_server).run_id == first.run_id
    second = Process([*command, "--take-over"], tmp_path / "second.log", {})
    try:
        assert worker.wait(WAIT_S) == 1  # superseded
        wait_until(lambda: heartbeat(redis_server).pid == second.pid and collects(redis_server), WAIT_S, "the second")
    finally:
        assert second.stop() == 0


@pytest.mark.parametrize(("answer", "code"), [(b"n\n", 2), (b"y\n", 0)])
def test_on_a_terminal_it_asks_whether_a_live_run_is_to_be_ended(
    worker: Process, redis_server: RedisServer, fleet: Path, answer: bytes, code: int
) -> None:
    ours, theirs = pty.openpty()
    command = [str(BIN / "collector-worker"), "--exchange", "okx", "--symbol", "BTC-USDT", "--fleet", str(fleet)]
    second = subprocess.Popen(command, stdin=theirs, stderr=theirs, stdout=subprocess.DEVNULL)
    try:
        os.write(ours, answer)
        if code == 0:
            wait_until(lambda: heartbeat(redis_server).pid == second.pid, WAIT_S, "the second one took over")
            second.terminate()
        assert second.wait(WAIT_S) == code
        assert b"End that run and take over? [y/N] " in os.read(ours, 4096)
        assert (worker.wait(WAIT_S) == 1) if code == 0 else (heartbeat(redis_server).pid == worker.pid)
    finally:
        second.kill()
        second.wait()
        os.close(ours)
        os.close(theirs)
