"""Books of readers that join a running collector at random moments, against the simulator's own."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from msgspec import Struct

from tests.support.processes import Process, SimulatorProcess, start_worker
from tests.support.redis_server import RedisServer
from tickfleet.reading.live_book import LiveBook

JOINS = 100
_AT_ONCE = 10
_DEPTH = 400
"""Levels of a side that OKX shows."""

_PATIENCE_S = 60.0


class Sight(Struct, frozen=True):
    """A book as a reader had it at some moment."""

    seq: int | None
    bids: list[list[str]]
    asks: list[list[str]]


@pytest.fixture
def exchange() -> Iterator[SimulatorProcess]:
    """A market whose book changes fifty times a second."""
    simulator = SimulatorProcess("--instruments", "BTC-USDT", "--books-per-s", "50", "--trades-per-s", "40")
    yield simulator
    simulator.stop()


@pytest.fixture
def collector(redis_server: RedisServer, exchange: SimulatorProcess, tmp_path: Path) -> Iterator[Process]:
    """A collector of that book."""
    fleet = tmp_path / "fleet.toml"
    fleet.write_text(
        f'[redis]\nurl = "{redis_server.url}"\n{exchange.endpoints}'
        '[[collectors]]\nexchange = "okx"\nsymbol = "BTC-USDT"\ndata_types = ["orderbook"]\n'
    )
    worker = start_worker("okx", "BTC-USDT", fleet, tmp_path / "worker.log", TICKFLEET_ROOT=str(tmp_path))
    yield worker
    worker.stop()


def sight(book: LiveBook) -> Sight:
    bids, asks = book.depth(_DEPTH)
    return Sight(book.last_known.seq, [[*_texts(level)] for level in bids], [[*_texts(level)] for level in asks])


def _texts(level: Any) -> tuple[str, str]:
    return level.price, level.size


async def join(url: str, random: Random, turns: asyncio.Semaphore) -> list[Sight]:
    """Join at a random moment; the book as it is then, and some changes later."""
    async with turns:
        await asyncio.sleep(random.uniform(0.0, 0.1))
        async with LiveBook("okx:BTC-USDT", redis=url) as book:
            await book.become_valid()
            sights, later = [sight(book)], random.randint(1, 5)
            async for _ in book.changes():
                later -= book.valid
                if not later:
                    return [*sights, sight(book)]
    raise AssertionError("changes do not end")


async def trouble(exchange: SimulatorProcess, what: str, random: Random) -> list[Sight]:
    """At a random moment: the collector loses its book, and gets another."""
    await asyncio.sleep(random.uniform(1.0, 4.0))
    await asyncio.to_thread(exchange.get, f"/sim/do/{what}")
    return []


def truth(exchange: SimulatorProcess, seq: int | None) -> Sight:
    """The exchange's own book at a number."""
    record: Any = exchange.get(f"/sim/book?instId=BTC-USDT&seqId={seq}&sz={_DEPTH}")
    bids, asks = ([level[:2] for level in record[0][side]] for side in ("bids", "asks"))
    return Sight(seq, bids, asks)


@pytest.mark.system
@pytest.mark.usefixtures("collector")
async def test_a_book_that_is_joined_at_any_moment_is_the_exchanges(
    redis_server: RedisServer, exchange: SimulatorProcess
) -> None:
    seed = Random().randrange(10**6)
    print("seed", seed)  # noqa: T201 - shown when it fails
    random, turns = Random(seed), asyncio.Semaphore(_AT_ONCE)
    async with asyncio.timeout(_PATIENCE_S):
        readers = [join(redis_server.url, random, turns) for _ in range(JOINS)]
        *found, _, _ = await asyncio.gather(
            *readers, *(trouble(exchange, what, random) for what in ("gap?instId=BTC-USDT&n=1", "drop"))
        )
    sights = {each.seq: each for pair in found for each in pair}
    assert all(each == sights[each.seq] for pair in found for each in pair)
    assert {seq: truth(exchange, seq) for seq in sights} == sights
    assert len(sights) > JOINS / 4  # a few join by the same hash
    assert all(each.bids and each.asks for each in sights.values())
