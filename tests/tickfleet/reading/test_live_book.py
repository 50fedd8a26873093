import asyncio
from collections.abc import Awaitable
from decimal import Decimal

import pytest

from tests.support.market_items import START_NS
from tests.support.redis_proxy import RedisProxy
from tests.support.redis_server import RedisServer
from tests.support.stream_writer import (
    BTC,
    BTC_BOOK,
    beat,
    delta,
    snapshot,
    write,
    write_beat,
    write_book_hash,
)
from tests.support.waiting import PATIENCE_S, until
from tickfleet.contract import keys
from tickfleet.contract.events import BookDelta, FeedState, FeedStatus, Level
from tickfleet.contract.health import BookState
from tickfleet.errors import ExchangeNotSupportedError, InvalidConfigurationError
from tickfleet.reading.live_book import LiveBook

NOBODY: tuple[object, ...] = (None, None, None, None, ([], []))
S = 1_000_000_000


class Market:
    """A collector's book in Redis, and a book that follows it."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.client = server.client

    def open(self) -> None:
        """A collector runs, and its book has the number 7."""
        write(self.client, BTC_BOOK, "1-7", snapshot(7))
        write_book_hash(self.client, "1-7", snapshot(7))
        write_beat(self.client, beat())

    def looks(self) -> int:
        """How often a hash was read."""
        calls: int = self.client.info("commandstats").get("cmdstat_hgetall", {"calls": 0})["calls"]
        return calls

    def book(self, url: str = "") -> LiveBook:
        return LiveBook("okx:BTC-USDT", redis=url or self.server.url)


@pytest.fixture
def market(redis_server: RedisServer) -> Market:
    """Nothing runs yet."""
    return Market(redis_server)


async def soon(waiting: Awaitable[None]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await waiting


def seen(book: LiveBook) -> tuple[object, ...]:
    """What somebody sees who wants to trade."""
    return book.best_bid, book.best_ask, book.mid, book.spread, book.depth()


def at(seq: int) -> tuple[object, ...]:
    """What is to be seen at a sequence number."""
    bids, asks = [Level("99", str(seq)), Level("98", "2")], [Level("101", str(seq)), Level("102", "2")]
    return bids[0], asks[0], Decimal(100), Decimal(2), (bids, asks)


async def test_a_book_is_joined_and_followed(market: Market) -> None:
    market.open()
    write(market.client, BTC_BOOK, "1-8", delta(8, 7))  # behind the hash
    async with market.book() as book:
        assert (book.valid, seen(book)) == (False, NOBODY)
        await soon(book.become_valid())
        await until(lambda: book.last_known.seq == 8, "what came behind the hash is read")
        assert (book.reason, seen(book), book.joins) == ("", at(8), 1)
        assert book.depth(1) == ([Level("99", "8")], [Level("101", "8")])
        changes = book.changes()
        await soon(_next(changes))
        write(market.client, BTC_BOOK, "1-9", delta(9, 8))
        await soon(_next(changes))
        assert seen(book) == at(9)


async def _next(changes: object) -> None:
    await anext(changes)  # type: ignore[call-overload]


async def test_a_broken_chain_is_a_doubt_until_it_is_joined_again(market: Market) -> None:
    market.open()
    async with market.book() as book:
        await soon(book.become_valid())
        write(market.client, BTC_BOOK, "1-9", delta(9, 8))
        await until(lambda: not book.valid, "the gap is noticed")
        assert (book.reason, seen(book)) == ("sequence gap: 8 does not continue 7", NOBODY)
        assert book.last_known.bids.best == Level("99", "7")
        write(market.client, BTC_BOOK, "1-10", delta(10, 9))
        write_book_hash(market.client, "1-9", snapshot(9))
        await soon(book.become_valid())
        await until(lambda: book.last_known.seq == 10, "what came behind the hash is read")
        assert (seen(book), book.joins) == (at(10), 2)


async def test_an_entry_that_cannot_be_read_is_a_doubt(market: Market) -> None:
    market.open()
    async with market.book() as book:
        await soon(book.become_valid())
        market.client.xadd(BTC_BOOK.key, {"type": "book_delta", "bids": "[["}, "1-8")
        await until(lambda: not book.valid, "it is noticed")
        looks = market.looks() + 6
        await until(lambda: market.looks() > looks, "the hash, which is older than that entry, was looked at again")
        assert book.reason == "an entry cannot be read"
        write(market.client, BTC_BOOK, "1-9", snapshot(9))
        await soon(book.become_valid())
        assert (seen(book), book.joins) == (at(9), 1)


async def test_a_feed_status_of_the_collector_counts_until_the_next_snapshot(market: Market) -> None:
    market.open()
    async with market.book() as book:
        await soon(book.become_valid())
        stale = FeedStatus(ts_event=1, ts_recv=1, state=FeedState.STALE, reason="checksum")
        write(market.client, BTC_BOOK, "1-8", stale)
        await until(lambda: not book.valid, "it is noticed")
        assert book.reason == "feed stale (checksum)"
        write(market.client, BTC_BOOK, "1-9", snapshot(9))
        await soon(book.become_valid())
        assert (seen(book), book.joins) == (at(9), 1)


async def test_a_collector_that_is_gone_is_a_doubt_until_it_is_back(market: Market) -> None:
    market.open()
    async with market.book() as book:
        await soon(book.become_valid())
        market.client.delete(keys.heartbeat(BTC))
        await until(lambda: not book.valid, "it is noticed")
        assert (book.reason, seen(book)) == ("no heartbeat: the collector does not run", NOBODY)
        write_beat(market.client, beat(2))
        await soon(book.become_valid())
        assert seen(book) == at(7)


async def test_the_book_of_an_earlier_run_is_not_believed(market: Market) -> None:
    market.open()
    async with market.book() as book:
        await soon(book.become_valid())
        write_beat(market.client, beat(1, run="r2", started_at=START_NS + S))
        await until(lambda: not book.valid, "it is noticed")
        assert book.reason == "the collector has started anew"
        write(market.client, BTC_BOOK, "2-1", snapshot(20, recv=2 * S))
        await soon(book.become_valid())
        assert (seen(book), book.joins) == (at(20), 1)


async def test_a_hash_of_an_earlier_run_is_not_joined(market: Market) -> None:
    market.open()
    write_beat(market.client, beat(1, run="r2", started_at=START_NS + S))
    async with market.book() as book:
        await until(lambda: book.reason == "not joined yet", "Redis was asked")
        write_book_hash(market.client, "2-1", snapshot(20, recv=2 * S))
        write(market.client, BTC_BOOK, "2-1", snapshot(20, recv=2 * S))
        await soon(book.become_valid())
        assert seen(book) == at(20)


@pytest.mark.parametrize("state", [BookState.SYNCING, BookState.STALE])
async def test_a_hash_that_is_not_valid_is_waited_for(market: Market, state: BookState) -> None:
    market.open()
    market.client.hset(keys.book(BTC), "state", state.value)
    async with market.book() as book:
        await until(lambda: book.reason == "not joined yet", "Redis was asked")
        write_book_hash(market.client, "1-7", snapshot(7))
        await soon(book.become_valid())
        assert (seen(book), book.joins) == (at(7), 1)


async def test_a_hash_ahead_of_the_stream_is_not_joined(market: Market) -> None:
    market.open()
    write_book_hash(market.client, "9000-0", snapshot(90))
    async with market.book() as book:
        looks = market.looks() + 9
        await until(lambda: market.looks() > looks, "the hash was looked at more than once")
        assert (book.reason, seen(book), book.joins) == ("not joined yet", NOBODY, 0)
        write_book_hash(market.client, "1-7", snapshot(7))
        await soon(book.become_valid())
        assert (seen(book), book.joins) == (at(7), 1)


async def test_a_hash_that_is_not_of_the_entry_it_names_is_not_joined(market: Market) -> None:
    market.open()
    write_book_hash(market.client, "1-7", snapshot(6))
    async with market.book() as book:
        looks = market.looks() + 9
        await until(lambda: market.looks() > looks, "the hash was looked at more than once")
        assert (seen(book), book.joins) == (NOBODY, 0)


async def test_an_entry_of_a_type_that_is_unknown_is_passed_over(market: Market) -> None:
    market.open()
    async with market.book() as book:
        await soon(book.become_valid())
        market.client.xadd(BTC_BOOK.key, {"type": "book_of_next_year", "bids": "1"}, "1-8")
        write(market.client, BTC_BOOK, "1-9", delta(8, 7))
        await until(lambda: book.last_known.seq == 8, "what came behind it is read")
        assert (book.reason, seen(book), book.joins) == ("", at(8), 1)


async def test_keys_of_another_type_are_not_a_redis_that_is_away(market: Market) -> None:
    market.open()
    market.client.delete(keys.book(BTC))
    market.client.set(keys.book(BTC), "x")
    async with market.book() as book:
        await until(lambda: book.reason == "not joined yet", "the hash was looked at")
        market.client.delete(keys.book(BTC))
        write_book_hash(market.client, "1-7", snapshot(7))
        await soon(book.become_valid())


async def test_a_crossed_book_is_a_doubt_except_in_an_auction(market: Market) -> None:
    market.open()
    crossed = BookDelta(
        ts_event=START_NS, ts_recv=START_NS, bids=[Level("101", "1")], asks=[], seq=8, prev_seq=7
    )  # fmt: skip
    write(market.client, BTC_BOOK, "1-8", crossed)
    async with market.book() as book:
        await until(lambda: book.reason == "crossed", "it is noticed")
        assert seen(book) == NOBODY
    market.client.hset(keys.instrument(BTC), "state", "preopen")
    async with market.book() as book:
        await until(lambda: book.last_known.seq == 8, "it is read")
        assert (book.reason, book.best_bid, book.best_ask) == ("", Level("101", "1"), Level("101", "7"))


async def test_a_redis_that_is_away_is_a_doubt_until_it_is_back(market: Market) -> None:
    market.open()
    proxy = RedisProxy(market.server.port).start()
    try:
        proxy.refuse(on=True)
        async with market.book(f"redis://127.0.0.1:{proxy.port}/0") as book:
            assert book.reason == "Redis does not answer"
            proxy.refuse(on=False)
            await soon(book.become_valid())
            proxy.refuse(on=True)
            proxy.cut()
            await until(lambda: not book.valid, "it is noticed")
            assert (book.reason, seen(book)) == ("Redis does not answer", NOBODY)
            write(market.client, BTC_BOOK, "1-8", delta(8, 7))
            proxy.refuse(on=False)
            await soon(book.become_valid())
            await until(lambda: seen(book) == at(8), "what came meanwhile is read")
            assert book.joins == 1
    finally:
        proxy.stop()


async def test_a_redis_that_comes_back_older_is_a_doubt_until_it_is_joined_again(market: Market) -> None:
    market.open()
    for seq in (8, 9):
        write(market.client, BTC_BOOK, f"1-{seq}", delta(seq, seq - 1))
    async with market.book() as book:
        await soon(book.become_valid())
        await until(lambda: seen(book) == at(9), "it is followed")
        market.client.flushall()
        write(market.client, BTC_BOOK, "1-7", snapshot(7))
        write_beat(market.client, beat())
        market.client.client_kill_filter(_type="normal", skipme=True)
        await until(lambda: book.reason == "Redis came back older", "it is noticed")
        assert seen(book) == NOBODY
        write_book_hash(market.client, "1-7", snapshot(7))
        await soon(book.become_valid())
        assert (seen(book), book.joins) == (at(7), 2)
        write(market.client, BTC_BOOK, "1-8", delta(8, 7))
        await until(lambda: seen(book) == at(8), "it is followed again")


async def test_an_error_in_the_block_comes_out_as_it_is(market: Market) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with market.book():
            raise KeyError("mine")


@pytest.mark.parametrize(
    ("collector", "error"), [("BTC-USDT", InvalidConfigurationError), ("okxx:BTC-USDT", ExchangeNotSupportedError)]
)
def test_a_collector_that_is_misspelt_is_refused(collector: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        LiveBook(collector)
