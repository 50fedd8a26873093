"""How fast a full stream of trades is read with a ``Subscriber``, entry by entry, in batches, and as columns.

Per second of CPU of the reading process, so that other load on the machine does not count; Redis has a core of its own.
It is a process of its own, so that its memory is the reader's: ``python -m tests.bench.scenarios.subscriber``.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from tests.bench.plan import Plan
from tests.bench.proc import pss_mib
from tests.bench.site import Site
from tests.bench.stats import Row
from tests.support.stream_writer import BTC_TRADES
from tickfleet.contract.codec import encode
from tickfleet.contract.events import Trade
from tickfleet.reading.subscriber import Batch, Subscriber, columns

_ROUNDS = 3
_WRITE_AT_ONCE = 5_000
_NOW_MS = 1_767_225_600_000
_NS_PER_MS = 1_000_000
_SIDES: list[Literal["buy", "sell"]] = ["sell", "buy"]


def measure(site: Site, plan: Plan) -> Row:
    """Trades per second of CPU, the best of some rounds each, and the reader's memory."""
    site.say("subscriber")
    with site.run() as run:
        fill(site.redis.client, plan.subscriber_trades)
        reader = run.helper("scenarios.subscriber", "--redis", site.redis.url, "--count", plan.subscriber_trades)
        return {"trades": plan.subscriber_trades, **reader.told()}


def fill(client: Any, count: int) -> None:
    """A stream of so many trades."""
    pipe = client.pipeline(transaction=False)
    for number in range(1, count + 1):
        ms = _NOW_MS + number // 10
        price, side = f"{42219.9 + number % 100 / 10:.1f}", _SIDES[number % 2]
        trade = Trade(ms * _NS_PER_MS, ms * _NS_PER_MS, str(700_000_000 + number), price, "0.12060306", side)
        pipe.execute_command("XADD", BTC_TRADES.key, f"{ms}-{number}", *encode(trade))
        if number % _WRITE_AT_ONCE == 0:
            pipe.execute()
    pipe.execute()


async def one_by_one(subscriber: Subscriber, count: int) -> None:
    """``async for entry in subscriber``."""
    read = 0
    async for _ in subscriber:
        read += 1
        if read == count:
            return


async def _batches(subscriber: Subscriber, count: int, use: Callable[[Batch], object]) -> None:
    read = 0
    async for batch in subscriber.batches():
        use(batch)
        read += len(batch.entries)
        if read == count:
            return


async def batches(subscriber: Subscriber, count: int) -> None:
    """Batches, each with the position behind it."""
    await _batches(subscriber, count, lambda batch: batch.position)


async def text_columns(subscriber: Subscriber, count: int) -> None:
    """Columns of text."""
    await _batches(subscriber, count, lambda batch: columns(batch.entries, Trade))


async def float_columns(subscriber: Subscriber, count: int) -> None:
    """Columns with arrays of doubles."""
    await _batches(subscriber, count, lambda batch: columns(batch.entries, Trade, decimals="float"))


async def _read(url: str, count: int) -> dict[str, float]:
    ways: list[Callable[[Subscriber, int], Awaitable[None]]] = [one_by_one, batches, text_columns, float_columns]
    results: dict[str, float] = {}
    for way in ways:
        spent_s = []
        for _ in range(_ROUNDS):
            async with Subscriber("okx:BTC-USDT", "trade", start="oldest", redis=url) as subscriber:
                began_s = time.process_time()
                await way(subscriber, count)
                spent_s.append(time.process_time() - began_s)
        results[f"{way.__name__}_per_cpu_s"] = round(count / min(spent_s))
    return {**results, "pss_mib": round(pss_mib(os.getpid()), 1)}


def main() -> int:
    """Read a stream that is there, and tell the figures."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scenarios.subscriber", description=__doc__)
    parser.add_argument("--redis", required=True)
    parser.add_argument("--count", type=int, required=True)
    options = parser.parse_args()
    sys.stdout.write(json.dumps(asyncio.run(_read(options.redis, options.count))) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
