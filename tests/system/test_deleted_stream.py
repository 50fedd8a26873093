"""A stream that is deleted while its collector is dead: a reader who has followed it gets each trade once."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import Process, SimulatorProcess, start_worker
from tests.support.redis_server import RedisServer
from tests.support.stream_writer import BTC, BTC_TRADES
from tests.support.waiting import until
from tickfleet import Missed, Subscriber, Trade
from tickfleet.contract import keys
from tickfleet.contract.coverage import LedgerKind

pytestmark = pytest.mark.system
REPEATED = 10
"""So many trades at least the next run publishes again."""


async def follow(subscriber: Subscriber, read: list[int], told: list[str]) -> None:
    async for entry in subscriber:
        if isinstance(entry.event, Trade):
            read.append(int(entry.event.trade_id))
        elif isinstance(entry.event, Missed):
            told.append(entry.event.reason)


def complete_up_to(client: Any) -> int:
    """The last trade that the ledger calls complete."""
    rows = [row for _, row in client.xrange(keys.coverage(BTC)) if row.get("data_type") == "trade"]
    return max((int(row["to_id"]) for row in rows if row["kind"] == LedgerKind.COMPLETE.value), default=0)


def trades_of(client: Any) -> list[int]:
    rows = [row for _, row in client.xrange(BTC_TRADES.key)]
    return [int(row["trade_id"]) for row in rows if row["type"] == "trade"]


async def test_each_trade_comes_once_over_a_kill_and_a_deletion(own_redis: RedisServer, tmp_path: Path) -> None:
    client, read, told = own_redis.client, list[int](), list[str]()
    simulator = SimulatorProcess("--exchange", "okx", "--seed", "7", "--trades-per-s", "20")
    fleet = tmp_path / "fleet.toml"
    collector = '[[collectors]]\nexchange = "okx"\nsymbol = "BTC-USDT"\ndata_types = ["trade"]\n'
    fleet.write_text(f'[redis]\nurl = "{own_redis.url}"\n{simulator.endpoints}{collector}')

    def start(log: str) -> Process:
        return start_worker("okx", "BTC-USDT", fleet, tmp_path / log, TICKFLEET_ROOT=str(tmp_path))

    def is_ahead() -> bool:
        bound = complete_up_to(client)
        return bool(bound and read and read[-1] >= bound + REPEATED)

    worker = start("first.log")
    subscriber = Subscriber(str(BTC), "trade", start="oldest", redis=own_redis.url)
    following = asyncio.create_task(follow(subscriber, read, told))
    try:
        await until(is_ahead, "the reader is ahead of the ledger")
        os.kill(worker.pid, signal.SIGKILL)
        worker.stop()
        await until(lambda: read[-1] == trades_of(client)[-1], "the reader has read all")
        last = read[-1]
        client.delete(BTC_TRADES.key)
        worker = start("second.log")
        await until(lambda: read[-1] >= last + REPEATED, "the reader reads on")
    finally:
        following.cancel()
        await asyncio.wait([following])
        await subscriber.close()
        worker.stop()
        simulator.stop()
    assert read == [*range(read[0], read[-1] + 1)]
    assert told == ["restarted"]
    assert trades_of(client)[0] <= last - REPEATED + 1, "they came again"
    (_, first), *_ = client.xrange(BTC_TRADES.key)
    assert (first["type"], first["reason"]) == ("feed_status", "begun_anew")
