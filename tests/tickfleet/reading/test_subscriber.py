import asyncio
import threading
from collections import deque
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from msgspec.structs import replace

from tests.support.clock import ManualClock
from tests.support.market_items import START_NS
from tests.support.reading import entries, numbers, read_items, rewinds, until_idle
from tests.support.redis_server import RedisServer
from tests.support.stream_writer import (
    BTC,
    BTC_BOOK,
    BTC_TRADES,
    ETH_TRADES,
    dated_id,
    delta,
    trade,
    trade_id,
    write,
    write_dated,
    write_trades,
)
from tests.support.waiting import PATIENCE_S
from tickfleet.contract.events import Event, FeedState, FeedStatus, Gap
from tickfleet.errors import ExchangeNotSupportedError, InvalidConfigurationError
from tickfleet.reading.position_store import PositionStore
from tickfleet.reading.streams import stream_reader as streams
from tickfleet.reading.streams.commands import facts_of
from tickfleet.reading.streams.cursor import StreamFacts
from tickfleet.reading.streams.new_streams import DISCOVER_EVERY_S
from tickfleet.reading.subscriber import Entry, Lag, Mark, Missed, Position, Skipped, Start, Subscriber


def ids(first: int, last: int) -> list[str]:
    return [trade_id(number) for number in range(first, last + 1)]


async def test_five_lines_to_the_data(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKFLEET_REDIS_URL", redis_server.url)
    write_trades(redis_server.client, 1, 1)
    async for entry in Subscriber("okx:BTC-USDT", "trade", start="oldest"):
        assert entry == Entry(BTC_TRADES, "1000-1", trade(1))
        assert (entry.collector, entry.data_type.value, entry.interval) == (BTC, "trade", "")
        break


# --- where to begin --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("new", ids(6, 6)),
        ("oldest", ids(1, 6)),
        (trade_id(2), ids(3, 6)),
        (trade_id(9), []),
        ("0", ids(1, 6)),
        (datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), ids(1, 6)),
        (datetime(1970, 1, 1, 0, 0, 1, 1_000, tzinfo=UTC), []),
        (Position({BTC_TRADES: Mark(trade_id(4), 4)}), ids(5, 6)),
        (Position(), ids(1, 6)),
    ],
)
async def test_it_begins_where_it_is_told(redis_server: RedisServer, start: Start, expected: list[str]) -> None:
    write_trades(redis_server.client, 1, 5)
    async with Subscriber("okx:BTC-USDT", "trade", start=start, redis=redis_server.url) as subscriber:
        before = await until_idle(subscriber)
        write_trades(redis_server.client, 6, 6)
        found = before + await until_idle(subscriber)
        assert [entry.id for batch in found for entry in batch.entries] == expected
        if expected:
            assert subscriber.position == Position({BTC_TRADES: Mark(trade_id(6), 6)})


async def test_a_saved_position_goes_on_behind_what_was_handed_out(redis_server: RedisServer) -> None:
    write_trades(redis_server.client, 1, 9)
    async with Subscriber("okx:BTC-USDT", "trade", start="oldest", redis=redis_server.url) as subscriber:
        assert numbers(await entries(subscriber, 3)) == ids(1, 3)
        saved = subscriber.position
    assert saved == Position({BTC_TRADES: Mark(trade_id(3), 3)})
    async with PositionStore("test", redis_server.url) as store:
        assert await store.load() == Position()
        await store.save(saved)
        saved = await store.load()
    async with Subscriber("okx:BTC-USDT", "trade", start=saved, redis=redis_server.url) as subscriber:
        assert subscriber.position == saved
        assert numbers(await entries(subscriber, 6)) == ids(4, 9)


async def test_a_loop_that_was_left_goes_on_with_the_next_one(redis_server: RedisServer) -> None:
    write_trades(redis_server.client, 1, 9)
    async with Subscriber("okx:BTC-USDT", "trade", start="oldest", redis=redis_server.url) as subscriber:
        assert numbers(await entries(subscriber, 2)) == ids(1, 2)
        assert numbers(await entries(subscriber, 3)) == ids(3, 5)
        (batch,) = await read_items(subscriber.batches(), 1)
        assert numbers(batch.entries) == ids(6, 9)
        assert batch.position == subscriber.position == Position({BTC_TRADES: Mark(trade_id(9), 9)})


async def test_a_wait_that_is_cancelled_loses_nothing(redis_server: RedisServer) -> None:
    write_trades(redis_server.client, 1, 1)
    async with Subscriber("okx:BTC-USDT", "trade", start="oldest", redis=redis_server.url) as subscriber:
        assert numbers(await entries(subscriber, 1)) == ids(1, 1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(aiter(subscriber)), 0.05)
        write_trades(redis_server.client, 2, 2)
        assert numbers(await entries(subscriber, 1)) == ids(2, 2)


# --- which streams ---------------------------------------------------------------------------------------------------


async def test_several_streams_are_read_each_in_its_order(redis_server: RedisServer) -> None:
    write_trades(redis_server.client, 1, 3)
    write_trades(redis_server.client, 1, 2, ETH_TRADES)
    write(redis_server.client, BTC_BOOK, "5-0", delta(8, 7))
    chosen = (["okx:BTC-USDT", "okx:ETH-USDT"], ["trade", "orderbook"])
    async with Subscriber(*chosen, start="oldest", redis=redis_server.url) as subscriber:
        found = await entries(subscriber, 6)
        assert {name: [e.id for e in found if e.stream == name] for name in {e.stream for e in found}} == {
            BTC_TRADES: ids(1, 3),
            ETH_TRADES: ids(1, 2),
            BTC_BOOK: ["5-0"],
        }
        assert [str(name) for name in subscriber.absent] == ["okx:ETH-USDT orderbook"]


async def test_a_pattern_takes_up_streams_that_appear_later(redis_server: RedisServer, clock: ManualClock) -> None:
    write_trades(redis_server.client, 1, 1)
    redis_server.client.set("md:v1:{okx:SOL-USDT}:trade", "a key that is no stream")
    async with Subscriber("okx:*", "trade", redis=redis_server.url, clock=clock) as subscriber:
        assert await until_idle(subscriber) == []
        write_trades(redis_server.client, 1, 2, ETH_TRADES)
        assert await until_idle(subscriber) == []
        clock.advance(DISCOVER_EVERY_S)
        assert [(e.stream, e.id) for e in await entries(subscriber, 2)] == [(ETH_TRADES, each) for each in ids(1, 2)]
        write_trades(redis_server.client, 2, 2)
        assert numbers(await entries(subscriber, 1)) == ids(2, 2)


@pytest.mark.parametrize("start", ["new", "oldest", trade_id(0)])
async def test_a_stream_that_is_not_there_yet_is_waited_for(
    redis_server: RedisServer, start: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with Subscriber("okx:BTC-USDT", "trade", start=start, redis=redis_server.url) as subscriber:
        assert await until_idle(subscriber) == []
        assert subscriber.absent == {BTC_TRADES}
        assert caplog.messages == ["okx:BTC-USDT trade is not there yet; waiting for it"]
        write_trades(redis_server.client, 1, 2)
        assert numbers(await entries(subscriber, 2)) == ids(1, 2)
        assert subscriber.absent == frozenset()


async def test_a_key_that_holds_no_stream_is_looked_at_again(redis_server: RedisServer, clock: ManualClock) -> None:
    write_trades(redis_server.client, 1, 1, ETH_TRADES)
    redis_server.client.set(BTC_TRADES.key, "something else")
    collectors = ["okx:BTC-USDT", "okx:ETH-USDT"]
    async with Subscriber(collectors, "trade", start="oldest", redis=redis_server.url, clock=clock) as subscriber:
        assert [e.stream for e in await entries(subscriber, 1)] == [ETH_TRADES]
        redis_server.client.delete(BTC_TRADES.key)
        write_trades(redis_server.client, 1, 1)
        clock.advance(DISCOVER_EVERY_S)
        assert [e.stream for e in await entries(subscriber, 1)] == [BTC_TRADES]


async def test_a_key_that_turns_into_something_else_does_not_stop_the_others(
    redis_server: RedisServer, clock: ManualClock
) -> None:
    write_trades(redis_server.client, 1, 2)
    write_trades(redis_server.client, 1, 1, ETH_TRADES)
    collectors = ["okx:BTC-USDT", "okx:ETH-USDT"]
    async with Subscriber(collectors, "trade", start="oldest", redis=redis_server.url, clock=clock) as subscriber:
        await entries(subscriber, 3)
        redis_server.client.set(BTC_TRADES.key, "something else")
        write_trades(redis_server.client, 2, 2, ETH_TRADES)
        assert [(e.stream, e.id) for e in await entries(subscriber, 1)] == [(ETH_TRADES, trade_id(2))]
        redis_server.client.delete(BTC_TRADES.key)
        write_trades(redis_server.client, 1, 3)
        clock.advance(DISCOVER_EVERY_S)
        assert [(e.stream, e.id) for e in await entries(subscriber, 1)] == [(BTC_TRADES, trade_id(3))]
        assert subscriber.position.marks[BTC_TRADES] == Mark(trade_id(3), 3)


@pytest.mark.parametrize(
    ("collectors", "data_types", "start", "error"),
    [
        ("okx", "trade", "new", InvalidConfigurationError),
        ("okxx:BTC-USDT", "trade", "new", ExchangeNotSupportedError),
        ("okx:BTC-USDT", "trades", "new", InvalidConfigurationError),
        ("okx:BTC-USDT", "trade", "latest", InvalidConfigurationError),
    ],
)
def test_what_is_misspelt_is_refused_at_once(
    collectors: str, data_types: str, start: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        Subscriber(collectors, data_types, start=start)


def test_a_batch_of_nothing_is_refused() -> None:
    with pytest.raises(InvalidConfigurationError, match="at_once must be at least 1"):
        Subscriber("okx:BTC-USDT", "trade", at_once=0)


# --- what is in them -------------------------------------------------------------------------------------------------


async def test_gaps_and_feed_states_stand_in_their_place(redis_server: RedisServer) -> None:
    gap = Gap(ts_event=1, ts_recv=1, reason="x", from_id="1", to_id="3")
    status = FeedStatus(ts_event=1, ts_recv=1, state=FeedState.CONNECTED, reason="start")
    events: list[Event] = [status, trade(1), gap, trade(3)]
    for number, event in enumerate(events):
        write(redis_server.client, BTC_TRADES, f"1-{number + 1}", event)
    async with Subscriber("okx:BTC-USDT", "trade", start="oldest", redis=redis_server.url) as subscriber:
        assert [entry.event for entry in await entries(subscriber, 4)] == events


async def test_what_is_no_event_is_passed_over_and_counted(redis_server: RedisServer) -> None:
    write_trades(redis_server.client, 1, 1)
    for entry_id, fields in (
        ("1000-2", {"type": "auction", "ts_event": 1}),
        ("1000-3", {"type": "trade", "price": "1"}),
        ("1000-4", {"x": b"\xff\xfe"}),
    ):
        redis_server.client.xadd(BTC_TRADES.key, fields, entry_id)
    async with Subscriber("okx:BTC-USDT", "trade", start="oldest", redis=redis_server.url) as subscriber:
        (batch,) = await until_idle(subscriber)
        assert numbers(batch.entries) == ids(1, 1)
        assert subscriber.position == Position({BTC_TRADES: Mark("1000-4", 4)})
        why = "okx:BTC-USDT trade 1000-4: entry of unknown type ''"
        aside: deque[Any] = deque([(BTC_TRADES, "1000-3", ["type", "trade", "price", "1"])])
        assert subscriber.skipped == Skipped(unknown=2, malformed=1, last=why, aside=aside)
    assert batch.position_behind(0) == Position({BTC_TRADES: Mark("0-0", 0)})


# --- what retention removed ------------------------------------------------------------------------------------------


def missed(count: int | None, after: int, before: int, reason: Any = "trimmed") -> Missed:
    after_id = trade_id(after) if after else "0-0"
    return Missed(
        ts_event=START_NS, ts_recv=START_NS, count=count, after_id=after_id, before_id=trade_id(before), reason=reason
    )


async def test_a_sleeper_is_told_exactly_what_he_missed(redis_server: RedisServer, clock: ManualClock) -> None:
    write_trades(redis_server.client, 1, 10)
    where: dict[str, Any] = {"redis": redis_server.url, "clock": clock}
    async with Subscriber("okx:BTC-USDT", "trade", start="oldest", **where) as subscriber:
        await entries(subscriber, 4)
        redis_server.client.xtrim(BTC_TRADES.key, maxlen=5, approximate=False)
        # what it has in its hands already is not missed
        assert numbers(await entries(subscriber, 6)) == ids(5, 10)
        write_trades(redis_server.client, 11, 30)
        redis_server.client.xtrim(BTC_TRADES.key, maxlen=3, approximate=False)
        assert numbers(await entries(subscriber, 4)) == [missed(17, 10, 28), *ids(28, 30)]
        assert subscriber.position == Position({BTC_TRADES: Mark(trade_id(30), 30)})
        write_trades(redis_server.client, 31, 31)
        redis_server.client.xtrim(BTC_TRADES.key, maxlen=1, approximate=False)
        assert numbers(await entries(subscriber, 1)) == ids(31, 31)


async def test_a_saved_position_is_told_exactly_too_also_where_users_deleted(
    redis_server: RedisServer, clock: ManualClock
) -> None:
    write_trades(redis_server.client, 1, 10)
    saved = Position({BTC_TRADES: Mark(trade_id(4), 4)})
    redis_server.client.xdel(BTC_TRADES.key, *ids(7, 8))
    redis_server.client.xtrim(BTC_TRADES.key, minid=trade_id(6), approximate=False)
    async with Subscriber("okx:BTC-USDT", "trade", start=saved, redis=redis_server.url, clock=clock) as subscriber:
        # the number tells of all that is gone, wherever it was
        assert numbers(await entries(subscriber, 4)) == [missed(3, 4, 6), *ids(6, 6), *ids(9, 10)]


async def test_what_is_missed_is_told_once_also_when_it_is_all_that_was_saved(
    redis_server: RedisServer, clock: ManualClock
) -> None:
    write_trades(redis_server.client, 1, 10)
    redis_server.client.xtrim(BTC_TRADES.key, maxlen=2, approximate=False)
    saved = Position({BTC_TRADES: Mark(trade_id(4), 4)})
    where: dict[str, Any] = {"redis": redis_server.url, "clock": clock}
    async with Subscriber("okx:BTC-USDT", "trade", start=saved, **where) as subscriber:
        assert numbers(await entries(subscriber, 1)) == [missed(4, 4, 9)]
        saved = subscriber.position
    assert saved == Position({BTC_TRADES: Mark(trade_id(4), 8)})
    async with Subscriber("okx:BTC-USDT", "trade", start=saved, **where) as subscriber:
        assert numbers(await entries(subscriber, 2)) == ids(9, 10)


async def test_behind_a_bare_id_the_number_is_known_once_the_end_was_reached(
    redis_server: RedisServer, clock: ManualClock
) -> None:
    write_trades(redis_server.client, 1, 10)
    redis_server.client.xtrim(BTC_TRADES.key, maxlen=5, approximate=False)
    where: dict[str, Any] = {"redis": redis_server.url, "clock": clock}
    async with Subscriber("okx:BTC-USDT", "trade", start=trade_id(3), **where) as subscriber:
        assert numbers(await entries(subscriber, 6)) == [missed(None, 3, 6), *ids(6, 10)]
        write_trades(redis_server.client, 11, 20)
        redis_server.client.xtrim(BTC_TRADES.key, maxlen=2, approximate=False)
        assert numbers(await entries(subscriber, 3)) == [missed(8, 10, 19), *ids(19, 20)]


async def test_oldest_misses_nothing_of_what_was_gone_before(redis_server: RedisServer) -> None:
    write_trades(redis_server.client, 1, 10)
    redis_server.client.xtrim(BTC_TRADES.key, maxlen=2, approximate=False)
    async with Subscriber("okx:BTC-USDT", "trade", start="oldest", redis=redis_server.url) as subscriber:
        assert numbers(await entries(subscriber, 2)) == ids(9, 10)


async def test_a_stream_that_was_begun_anew_is_told_of(redis_server: RedisServer, clock: ManualClock) -> None:
    write_trades(redis_server.client, 1, 10)
    where: dict[str, Any] = {"redis": redis_server.url, "clock": clock}
    async with Subscriber("okx:BTC-USDT", "trade", start="oldest", **where) as subscriber:
        await entries(subscriber, 10)
        redis_server.client.delete(BTC_TRADES.key)
        write_trades(redis_server.client, 13, 14)
        assert numbers(await entries(subscriber, 3)) == [missed(None, 10, 13, "restarted"), *ids(13, 14)]
        assert subscriber.position == Position({BTC_TRADES: Mark(trade_id(14), 2)})


async def test_what_was_read_is_not_read_again_when_redis_lost_it(redis_server: RedisServer) -> None:
    write_trades(redis_server.client, 1, 10)
    async with Subscriber("okx:BTC-USDT", "trade", start="oldest", redis=redis_server.url) as subscriber:
        await entries(subscriber, 10)
        redis_server.client.delete(BTC_TRADES.key)
        write_trades(redis_server.client, 8, 11)  # as a collector does that finds them missing
        assert numbers(await entries(subscriber, 1)) == ids(11, 11)


# --- figures ---------------------------------------------------------------------------------------------------------


async def test_the_lag_is_what_is_left_and_how_old_the_last_one_was(
    redis_server: RedisServer, clock: ManualClock
) -> None:
    write_trades(redis_server.client, 1, 50)
    where: dict[str, Any] = {"redis": redis_server.url, "clock": clock, "at_once": 20}
    async with Subscriber("okx:BTC-USDT", "trade", start="oldest", **where) as subscriber:
        assert subscriber.lag() == {}
        batches = subscriber.batches()
        clock.advance(3)
        for left in (30, 10, 0):
            (batch,) = await read_items(batches, 1)
            last = 50 - left
            assert batch.entries[-1].id == trade_id(last)
            assert subscriber.lag() == {BTC_TRADES: Lag(left, (3_000_000_000 - last) / 1e9)}
        assert (subscriber.connected, subscriber.reconnects) == (True, 0)
        await batches.aclose()


async def test_what_was_read_and_what_was_missed_is_all_that_there_was(redis_server: RedisServer) -> None:
    """A writer whose retention overtakes the reader again and again, in the middle of everything."""
    random, total = Random(7), 20_000
    done = threading.Event()

    def write_all() -> None:
        number = 1
        while number <= total:
            pipe = redis_server.client.pipeline(transaction=random.random() < 0.5)
            for each in range(number, min(number + random.randint(1, 400), total + 1)):
                fields = {"type": "trade", "x": "1"} if each % 10 == 0 else {"type": "later"}
                pipe.xadd(
                    BTC_TRADES.key, fields, trade_id(each), maxlen=random.choice([60, 200, 500]), approximate=False
                )
                number += 1
            pipe.execute()
        done.set()

    missed_count, seen = 0, 0
    write_trades(redis_server.client, 0, 0)
    async with Subscriber("okx:BTC-USDT", "trade", start="oldest", redis=redis_server.url, at_once=40) as subscriber:
        await entries(subscriber, 1)
        writer = threading.Thread(target=write_all)
        writer.start()
        async with asyncio.timeout(PATIENCE_S):
            async for batch in subscriber.batches(idle_s=0.02):
                for chunk in batch.chunks:
                    seen += len(chunk.ids)
                for entry in batch.entries:
                    assert isinstance(entry.event, Missed)
                    assert entry.event.count
                    missed_count += entry.event.count
                if done.is_set() and not batch.chunks:
                    break
        await asyncio.to_thread(writer.join)
        assert missed_count > 0
        assert seen + missed_count == total
        assert subscriber.position == Position({BTC_TRADES: Mark(trade_id(total), total + 1)})
        assert subscriber.skipped.unknown + subscriber.skipped.malformed == seen


# --- a Redis that comes back older ------------------------------------------------------------------------------------


def come_back(server: RedisServer, last: int) -> None:
    """As from a backup that ends with that trade; 0: empty."""
    server.client.flushall()
    if last:
        write_trades(server.client, 1, last)
    server.client.client_kill_filter(_type="normal", skipme=True)


@pytest.mark.parametrize(("last", "told"), [(6, (4, trade_id(6), trade_id(10))), (0, (10, "0-0", trade_id(10)))])
async def test_a_redis_that_comes_back_older_is_told_and_nothing_comes_twice(
    redis_server: RedisServer, last: int, told: tuple[int, str, str]
) -> None:
    write_trades(redis_server.client, 1, 10)
    async with Subscriber("okx:BTC-USDT", "trade", start="oldest", redis=redis_server.url) as subscriber:
        following = aiter(subscriber)
        await read_items(following, 10)
        come_back(redis_server, last)
        rewound = await read_items(following, 1)
        assert (rewinds(rewound), subscriber.position.marks) == ([told], {BTC_TRADES: Mark(trade_id(10))})
        redis_server.client.client_kill_filter(_type="normal", skipme=True)
        write_trades(redis_server.client, last + 1, 12)  # the collector fetches what is missing, and continues
        assert rewinds(await read_items(following, 2)) == ids(11, 12)


async def test_so_it_is_for_a_reader_that_was_away_meanwhile(redis_server: RedisServer) -> None:
    come_back(redis_server, 6)
    saved = Position({BTC_TRADES: Mark(trade_id(10), 10)})
    async with Subscriber("okx:BTC-USDT", "trade", start=saved, redis=redis_server.url) as subscriber:
        (told,) = await until_idle(subscriber)
        assert rewinds(told.entries) == [(4, trade_id(6), trade_id(10))]
        write_trades(redis_server.client, 7, 12)
        assert rewinds(await entries(subscriber, 2)) == ids(11, 12)


async def test_each_time_is_told_where_redis_does_not_count_what_it_got(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def facts_of_redis_6(reply: Any) -> StreamFacts | None:
        facts = facts_of(reply)
        return replace(facts, added=None) if facts else None

    monkeypatch.setattr(streams, "facts_of", facts_of_redis_6)
    write_trades(redis_server.client, 1, 10)
    async with Subscriber("okx:BTC-USDT", "trade", start="oldest", redis=redis_server.url) as subscriber:
        following = aiter(subscriber)
        await read_items(following, 10)
        come_back(redis_server, 6)
        assert rewinds(await read_items(following, 1)) == [(None, trade_id(6), trade_id(10))]
        redis_server.client.client_kill_filter(_type="normal", skipme=True)  # looked at again, told once
        write_trades(redis_server.client, 7, 20)
        assert rewinds(await read_items(following, 10)) == ids(11, 20)
        come_back(redis_server, 18)  # less is lost than the first time
        assert rewinds(await read_items(following, 1)) == [(None, trade_id(18), trade_id(20))]
        come_back(redis_server, 3)  # and more than was, of the same place
        assert rewinds(await read_items(following, 1)) == [(None, trade_id(3), trade_id(20))]
        write_trades(redis_server.client, 4, 21)
        assert rewinds(await read_items(following, 1)) == ids(21, 21)


async def test_one_that_has_grown_again_before_the_reader_looked(redis_server: RedisServer) -> None:
    come_back(redis_server, 3)
    write_trades(redis_server.client, 11, 12)  # the collector could not fetch 4 to 10 any more
    saved = Position({BTC_TRADES: Mark(trade_id(10), 10)})
    async with Subscriber("okx:BTC-USDT", "trade", start=saved, redis=redis_server.url) as subscriber:
        found = [entry for batch in await until_idle(subscriber) for entry in batch.entries]
        assert rewinds(found) == [(5, trade_id(12), trade_id(10)), *ids(11, 12)]


async def test_a_redis_that_was_only_away_has_lost_nothing(redis_server: RedisServer) -> None:
    write_trades(redis_server.client, 1, 10)
    async with Subscriber("okx:BTC-USDT", "trade", start="oldest", redis=redis_server.url) as subscriber:
        await entries(subscriber, 10)
        redis_server.client.client_kill_filter(_type="normal", skipme=True)
        assert await until_idle(subscriber) == []


async def test_a_restarted_stream_is_reported_also_when_no_counts_are_known(
    redis_server: RedisServer,
) -> None:
    write_trades(redis_server.client, 1, 30)
    redis_server.client.delete(BTC_TRADES.key)  # 20 were not read
    write_trades(redis_server.client, 31, 32)
    saved = Position({BTC_TRADES: Mark(trade_id(10))})
    async with Subscriber("okx:BTC-USDT", "trade", start=saved, redis=redis_server.url) as subscriber:
        gone, *rest = await entries(subscriber, 3)
        assert isinstance(gone.event, Missed)
        told = (gone.event.reason, gone.event.count, gone.event.after_id, gone.event.before_id)
        assert told == ("restarted", None, trade_id(10), trade_id(31))
        assert numbers(rest) == ids(31, 32)
        write_trades(redis_server.client, 33, 33)
        assert numbers(await entries(subscriber, 1)) == ids(33, 33)  # it is reported once


# --- a stream that was deleted while its collector was dead -----------------------------------------------------------


def fresh_ids(first: int, last: int) -> list[str]:
    return [dated_id(number, 60) for number in range(first, last + 1)]


@pytest.mark.parametrize("rest", [False, True], ids=["followed", "saved"])
async def test_what_comes_again_under_other_ids_is_not_handed_out_again(
    redis_server: RedisServer, clock: ManualClock, *, rest: bool
) -> None:
    """The next run begins above the ids that there were, with trades that the ledger does not call complete."""
    where: dict[str, Any] = {"redis": redis_server.url, "clock": clock, "at_once": 2}
    status = FeedStatus(ts_event=START_NS, ts_recv=START_NS, state=FeedState.CONNECTED, reason="subscribed")
    write_dated(redis_server.client, 1, 10)
    write(redis_server.client, BTC_TRADES, f"{START_NS // 1_000_000 + 1}-0", status)
    subscriber = Subscriber("okx:BTC-USDT", "trade", start="oldest", **where)
    assert len(await entries(subscriber, 11)) == 11
    redis_server.client.delete(BTC_TRADES.key)
    write_dated(redis_server.client, 5, 8, 60)
    saved = subscriber.position
    if rest:
        await subscriber.close()
        subscriber = Subscriber("okx:BTC-USDT", "trade", start=Position.from_json(saved.to_json()), **where)
    told = [entry for batch in await until_idle(subscriber) for entry in batch.entries]
    assert [getattr(entry.event, "reason", None) for entry in told] == ["restarted"]
    if rest:
        saved = Position.from_json(subscriber.position.to_json())
        await subscriber.close()
        subscriber = Subscriber("okx:BTC-USDT", "trade", start=saved, **where)
    write_dated(redis_server.client, 9, 12, 60)
    assert numbers(await entries(subscriber, 2)) == fresh_ids(11, 12)
    await subscriber.close()


async def test_what_comes_again_is_not_called_unreadable(redis_server: RedisServer) -> None:
    write_dated(redis_server.client, 1, 3, 60)
    saved = Position({BTC_TRADES: Mark(dated_id(2))})
    async with Subscriber("okx:BTC-USDT", "trade", start=saved, redis=redis_server.url) as subscriber:
        (batch,) = await until_idle(subscriber)
    (chunk,) = batch.chunks
    assert [entry.id for entry in chunk.whole() if not isinstance(entry.event, Missed)] == fresh_ids(3, 3)
    assert (chunk.ids, chunk.repeats) == (fresh_ids(1, 3), {*fresh_ids(1, 2)})


async def test_the_position_within_a_batch_knows_what_came_again(redis_server: RedisServer) -> None:
    """Nothing that was handed out comes again, whatever entry of the batch was the last."""
    status = FeedStatus(ts_event=START_NS, ts_recv=START_NS, state=FeedState.CONNECTED, reason="subscribed")
    write(redis_server.client, BTC_TRADES, f"{START_NS // 1_000_000 + 60_000}-0", status)
    write_dated(redis_server.client, 1, 3, 60)
    saved = Position({BTC_TRADES: Mark(dated_id(2), 2)})
    async with Subscriber("okx:BTC-USDT", "trade", start=saved, redis=redis_server.url) as subscriber:
        following = aiter(subscriber)
        assert [getattr(each.event, "reason", None) for each in await read_items(following, 2)] == [
            "restarted",
            "subscribed",
        ]
        mark = subscriber.position.marks[BTC_TRADES]
        assert mark == Mark(f"{START_NS // 1_000_000 + 60_000}-0", 1, item=dated_id(2))
        assert [each.id for each in await read_items(following, 1)] == fresh_ids(3, 3)
        assert subscriber.position.marks[BTC_TRADES] == Mark(dated_id(3, 60), 4)
