"""Measures the adapter alone and a burst from socket to stream: ``python -m tests.bench [--count N] [--json]``."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from collector_worker.exchanges.contract import Instrument
from collector_worker.exchanges.okx import Okx
from common.config import ExchangeCollectorConfig
from common.identity import DataType
from common.redis_client import pack_command
from tests.bench.frames import book_frame, trade_frame, write_capture
from tests.bench.proc import cpu_s, pss_mib
from tests.bench.report import print_results
from tests.support.ports import wait_until
from tests.support.processes import SimulatorProcess, start_worker
from tests.support.redis_server import RedisServer

STREAM = "md:v1:{okx:BTC-USDT}:trade"
_ROUNDS = 20_000
_BATCH = 500


def adapter_ns() -> dict[str, float]:
    """Nanoseconds per frame of the adapter alone."""
    collector = Okx(ExchangeCollectorConfig("okx", "BTC-USDT", tuple(DataType)))
    instrument = Instrument(
        symbol="BTC-USDT", native="BTC-USDT", state="live", tick_size="0.1", lot_size="1", min_size="1"
    )
    feeds = {feed.name: collector.adapter(feed, instrument) for feed in collector.feeds()}
    cases = {
        "adapter_trade_ns": (feeds["business"], trade_frame(1).encode()),
        "adapter_book_20_levels_ns": (feeds["public"], book_frame(1).encode()),
    }
    results: dict[str, float] = {}
    for name, (adapter, frame) in cases.items():
        began_s = time.perf_counter()
        for number in range(_ROUNDS):
            adapter.on_frame(frame, number)
        results[name] = round((time.perf_counter() - began_s) / _ROUNDS * 1e9)
    return results


def redis_limit(server: RedisServer, count: int) -> float:
    """Entries per second that the same server takes prepacked on one connection."""
    fields = ("type", "trade", "ts_event", 1, "ts_recv", 1, "trade_id", "1", "price", "42219.9", "size", "0.12", "side")
    packed = [
        pack_command(("XADD", "limit", "MAXLEN", "~", 200_000, f"1-{n}", *fields, "buy", "origin", "live"))
        for n in range(1, count + 1)
    ]
    connection = server.client.connection_pool.get_connection()
    began_s = time.perf_counter()
    for start in range(0, count, _BATCH):
        batch = packed[start : start + _BATCH]
        connection.send_packed_command([b"".join(batch)])
        for _ in batch:
            connection.read_response()
    rate = count / (time.perf_counter() - began_s)
    server.client.connection_pool.release(connection)
    return rate


def burst(server: RedisServer, folder: Path, count: int) -> dict[str, float]:
    """One collector, as fast as it reads: entries/s, CPU per entry, memory."""
    capture = folder / "burst.jsonl.gz"
    write_capture(capture, count)
    simulator = SimulatorProcess("--replay", str(capture), "--speed", "0")
    fleet = folder / "fleet.toml"
    fleet.write_text(
        f'[redis]\nurl = "{server.url}"\n{simulator.endpoints}'
        '[[collectors]]\nexchange = "okx"\nsymbol = "BTC-USDT"\ndata_types = ["trade"]\n'
    )
    worker = start_worker("okx", "BTC-USDT", fleet, folder / "worker.log", TICKFLEET_ROOT=str(folder))
    try:
        first = wait_until(lambda: server.client.xlen(STREAM), 30, "the first entry")
        began_s, used_before_s = time.perf_counter(), cpu_s(worker.pid)
        wait_until(lambda: server.client.xinfo_stream(STREAM)["entries-added"] >= count, 300, "the last entry")
        entries, took_s = count - first, time.perf_counter() - began_s
        used_s = cpu_s(worker.pid) - used_before_s
        return {
            "burst_entries_per_s": round(entries / took_s),
            "burst_cpu_us_per_entry": round(used_s / entries * 1e6, 2),
            "burst_pss_mib": round(pss_mib(worker.pid), 1),
        }
    finally:
        worker.stop()
        simulator.stop()


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--count", type=int, default=100_000, help="trades of the burst")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tf-bench-") as name:
        server = RedisServer(Path(name))
        server.start()
        try:
            results: dict[str, float] = dict(adapter_ns())
            results["redis_limit_entries_per_s"] = round(redis_limit(server, options.count))
            results |= burst(server, Path(name), options.count)
        finally:
            server.stop()
    share = results["burst_entries_per_s"] / results["redis_limit_entries_per_s"]
    results["burst_share_of_redis_limit"] = round(share, 3)
    print_results(results, as_json=options.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
