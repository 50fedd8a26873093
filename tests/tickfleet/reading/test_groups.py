import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.clock import ManualClock
from tests.support.market_items import START_NS
from tests.support.ports import free_port
from tests.support.reading import numbers, read_items, rewinds
from tests.support.redis_server import RedisServer
from tests.support.stream_writer import (
    BTC,
    BTC_TRADES,
    ETH_TRADES,
    dated_id,
    trade,
    trade_id,
    write,
    write_dated,
    write_trades,
)
from tests.support.waiting import PATIENCE_S, until
from tickfleet.contract import keys
from tickfleet.contract.events import Gap
from tickfleet.errors import InvalidConfigurationError, RedisUnreachableError
from tickfleet.reading.entries import Missed
from tickfleet.reading.groups import Entry, GroupReader, Work
from tickfleet.reading.streams.group_streams import NOTE_EVERY_S
from tickfleet.reading.streams.new_streams import DISCOVER_EVERY_S

AT_ONCE_S = 0.0
"""An entry counts as left behind as soon as it has been handed out."""


def ids(first: int, last: int) -> list[str]:
    return [trade_id(number) for number in range(first, last + 1)]


class Site:
    """Makes members of one group."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.client = server.client

    def member(self, consumer: str = "", **options: Any) -> GroupReader:
        given = {"start": "oldest", "group": "g", **options}
        return GroupReader("okx:BTC-USDT", "trade", consumer=consumer, redis=self.server.url, **given)

    def pending(self) -> dict[str, int]:
        """How much each consumer has in its hands."""
        rows = self.client.xinfo_consumers(BTC_TRADES.key, "g")
        return {row["name"]: row["pending"] for row in rows}

    def dead(self) -> list[dict[str, str]]:
        """The dead letters."""
        return [fields for _, fields in self.client.xrange(keys.dead(BTC, "g"))]


@pytest.fixture
def site(redis_server: RedisServer) -> Site:
    """An empty Redis."""
    return Site(redis_server)


async def pieces(member: GroupReader, count: int) -> list[Work]:
    """The next pieces of work, none of them done."""
    return await read_items(member.work(), count)


async def deal(member: GroupReader, count: int) -> list[str | Missed]:
    """Deal with the next ``count`` entries."""
    dealt: list[Entry] = []
    async with asyncio.timeout(PATIENCE_S):
        async for work in member.work():
            dealt += work.entries
            await member.done(work)
            if len(dealt) >= count:
                break
    return numbers(dealt)


async def test_members_share_the_work(site: Site) -> None:
    write_trades(site.client, 1, 6)
    async with site.member("a", at_once=2) as a, site.member("b", at_once=2) as b:
        (first,), (second,), (third,) = await pieces(a, 1), await pieces(b, 1), await pieces(a, 1)
        assert first.entries == [Entry(BTC_TRADES, trade_id(1), trade(1)), Entry(BTC_TRADES, trade_id(2), trade(2))]
        assert [numbers([*work.entries]) for work in (second, third)] == [ids(3, 4), ids(5, 6)]
        assert (first.tries, site.pending()) == (1, {"a": 4, "b": 2})
        for work in (first, third):
            await a.done(work)
        assert site.pending() == {"a": 0, "b": 2}
    assert site.pending() == {"b": 2}  # who leaves nothing behind is forgotten


@pytest.mark.parametrize(("start", "expected"), [("new", ids(4, 5)), ("oldest", ids(1, 5)), (trade_id(2), ids(3, 5))])
async def test_a_new_group_begins_where_it_is_told(site: Site, start: str, expected: list[str]) -> None:
    write_trades(site.client, 1, 3)
    async with site.member(start=start) as member:
        dealing = asyncio.ensure_future(deal(member, len(expected)))
        await until(lambda: site.client.xinfo_groups(BTC_TRADES.key), "the group is there")
        write_trades(site.client, 4, 5)
        assert await dealing == expected


async def test_a_stream_that_is_not_there_is_waited_for_and_not_made(
    site: Site, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with site.member(start="new", clock=clock) as member:
        dealing = asyncio.ensure_future(deal(member, 2))
        await until(lambda: caplog.messages, "it has looked")
        assert caplog.messages == ["okx:BTC-USDT trade is not there yet; waiting for it"]
        assert (member.absent, site.client.keys()) == (frozenset({BTC_TRADES}), [])
        write_trades(site.client, 1, 2)
        clock.advance(DISCOVER_EVERY_S)
        assert await dealing == ids(1, 2)
        assert member.absent == frozenset()


async def test_what_a_dead_member_had_is_taken_over(site: Site) -> None:
    write_trades(site.client, 1, 4)
    dead, living = site.member("dead"), site.member("living", min_idle_s=AT_ONCE_S)
    await pieces(dead, 1)
    assert site.pending() == {"dead": 4}
    async with living:
        (work,) = await pieces(living, 1)
        assert (numbers([*work.entries]), work.tries) == (ids(1, 4), 2)
        await living.done(work)
        assert site.pending() == {"dead": 0, "living": 0}
    await dead.close()


async def test_what_a_living_member_has_is_not_taken_from_it(site: Site) -> None:
    write_trades(site.client, 1, 2)
    async with site.member("a", min_idle_s=60.0) as a, site.member("b", min_idle_s=60.0) as b:
        (work,) = await pieces(a, 1)
        write_trades(site.client, 3, 3)
        assert await deal(b, 1) == ids(3, 3)
        await a.done(work)
        assert site.pending() == {"a": 0, "b": 0}


async def test_a_member_that_comes_back_gets_what_it_had_at_once(site: Site) -> None:
    write_trades(site.client, 1, 3)
    first = site.member("a", min_idle_s=60.0)
    await pieces(first, 1)
    write_trades(site.client, 4, 4)
    async with site.member("a", min_idle_s=60.0) as again:
        assert await deal(again, 4) == ids(1, 4)
        assert site.pending() == {"a": 0}
    await first.close()


async def test_one_bad_entry_goes_to_the_dead_letters_and_takes_no_other_along(site: Site) -> None:
    write_trades(site.client, 1, 5)
    bad, done = trade_id(3), []
    handed: list[list[str | Missed]] = []
    for life in range(4):
        member = site.member(f"m{life}", min_idle_s=AT_ONCE_S, max_tries=3)
        async with asyncio.timeout(PATIENCE_S):
            async for work in member.work():
                handed.append(numbers([*work.entries]))
                if bad in handed[-1]:  # it kills the process before anything is done
                    break
                done += handed[-1]
                await member.done(work)
                if len(done) == 4:
                    break
        await member.close()
    one, two, four, five = (trade_id(number) for number in (1, 2, 4, 5))
    assert handed == [ids(1, 5), ids(1, 5), [one], [two], [bad], [four], [five]]
    (letter,) = site.dead()
    assert [letter[name] for name in ("dead_stream", "dead_id", "dead_tries", "trade_id", "type")] == [
        BTC_TRADES.key, bad, "3", "3", "trade",
    ]  # fmt: skip
    assert (member.buried, sum(site.pending().values())) == (1, 0)


def missed(count: int, first: int, last: int, reason: Any) -> Missed:
    after_id = trade_id(first) if first else "0-0"
    return Missed(
        ts_event=START_NS, ts_recv=START_NS, count=count, after_id=after_id, before_id=trade_id(last), reason=reason
    )


async def test_what_retention_removed_is_told_of(site: Site, clock: ManualClock) -> None:
    write_trades(site.client, 1, 3)
    dead = site.member("dead", clock=clock)
    await pieces(dead, 1)
    write_trades(site.client, 4, 9)
    site.client.xtrim(BTC_TRADES.key, minid=trade_id(7), approximate=False)
    async with site.member("living", min_idle_s=AT_ONCE_S, clock=clock) as living:
        assert await deal(living, 1) == [missed(3, 1, 3, "left_behind")]
        assert await deal(living, 4) == [missed(3, 3, 7, "trimmed"), *ids(7, 9)]
        write_trades(site.client, 10, 10)
        assert await deal(living, 1) == ids(10, 10)
    await dead.close()


async def test_what_is_no_event_is_done_without_a_word(site: Site) -> None:
    site.client.xadd(BTC_TRADES.key, {"type": "auction"}, "1-1")
    write_trades(site.client, 1, 1)
    async with site.member("a", at_once=1) as member:
        assert await deal(member, 1) == ids(1, 1)
        assert (member.skipped.unknown, site.pending()) == (1, {"a": 0})


# --- a group that is gone --------------------------------------------------------------------------------------------


async def test_a_group_that_is_gone_is_made_again_where_all_was_done(site: Site, clock: ManualClock) -> None:
    write_trades(site.client, 1, 6)
    async with site.member("a", at_once=2, clock=clock) as member:
        first, second = await pieces(member, 2)
        await member.done(second)
        await member.done(first)
        clock.advance(2)  # so that it is noted
        (third,) = await pieces(member, 1)
        await member.done(third)
        write_trades(site.client, 7, 9)
        (unfinished,) = await pieces(member, 1)
        assert numbers([*unfinished.entries]) == ids(7, 8)
        site.client.xgroup_destroy(BTC_TRADES.key, "g")
        assert await deal(member, 3) == ids(7, 9)


async def test_a_group_that_goes_before_anything_was_done_begins_where_it_began(site: Site) -> None:
    write_trades(site.client, 1, 3)
    async with site.member(start="new") as member:
        dealing = asyncio.ensure_future(deal(member, 2))
        await until(lambda: site.client.info("clients")["blocked_clients"], "it waits")
        site.client.xgroup_destroy(BTC_TRADES.key, "g")
        write_trades(site.client, 4, 5)
        assert await dealing == ids(4, 5)


async def test_a_process_that_comes_later_knows_where_all_was_done(site: Site, clock: ManualClock) -> None:
    write_trades(site.client, 1, 6)
    async with site.member("a", at_once=2, clock=clock) as first:
        works = await pieces(first, 2)
        await first.done(works[0])
    assert site.client.hgetall(keys.acknowledged(BTC, "g")) == {BTC_TRADES.key: trade_id(2)}
    site.client.xgroup_destroy(BTC_TRADES.key, "g")
    async with site.member("b", start="new", clock=clock) as member:
        assert await deal(member, 4) == ids(3, 6)


async def test_a_stream_that_is_gone_and_comes_back_goes_on(site: Site, clock: ManualClock) -> None:
    write_trades(site.client, 1, 4)
    async with site.member("a", clock=clock) as member:
        assert await deal(member, 4) == ids(1, 4)
        site.client.delete(BTC_TRADES.key)
        step = asyncio.ensure_future(deal(member, 2))
        clock.advance(DISCOVER_EVERY_S)
        await asyncio.sleep(0)
        write_trades(site.client, 3, 6)
        while not step.done():
            clock.advance(DISCOVER_EVERY_S)
            await asyncio.wait([step], timeout=0.05)
        assert await step == ids(5, 6)


@pytest.mark.parametrize("noted", [False, True])
async def test_trades_that_a_deleted_stream_brings_again_are_not_done_again(
    site: Site, clock: ManualClock, *, noted: bool
) -> None:
    write_dated(site.client, 1, 8)
    async with site.member("a", clock=clock, at_once=3) as member:
        assert await deal(member, 8) == [dated_id(number) for number in range(1, 9)]
        if noted:  # else only this member knows how far it came
            clock.advance(NOTE_EVERY_S)
        write_dated(site.client, 9, 10)
        assert await deal(member, 2) == [dated_id(9), dated_id(10)]
        site.client.delete(BTC_TRADES.key)
        write_dated(site.client, 4, 12, 60)
        gone, *rest = await deal(member, 3)
        assert isinstance(gone, Missed)
        assert (gone.reason, rest) == ("restarted", [dated_id(11, 60), dated_id(12, 60)])


async def test_numbers_that_the_exchange_gives_anew_are_not_done(site: Site, clock: ManualClock) -> None:
    gap = Gap(ts_event=START_NS, ts_recv=START_NS, reason="id_reset")
    write_dated(site.client, 1, 3)
    async with site.member("a", clock=clock) as member:
        await deal(member, 3)
        reset_id = f"{START_NS // 1_000_000 + 1}-0"
        write(site.client, BTC_TRADES, reset_id, gap)
        write_dated(site.client, 1, 2, 1)
        assert await deal(member, 3) == [reset_id, dated_id(1, 1), dated_id(2, 1)]


# --- Redis away ------------------------------------------------------------------------------------------------------


async def test_what_was_not_handed_out_when_a_stream_was_begun_anew_is_told_of(site: Site, clock: ManualClock) -> None:
    write_trades(site.client, 1, 10)
    async with site.member(clock=clock) as member:
        assert await deal(member, 10) == ids(1, 10)
        clock.advance(NOTE_EVERY_S)
        write_trades(site.client, 11, 11)
        assert await deal(member, 1) == ids(11, 11)
    write_trades(site.client, 12, 61)
    site.client.delete(BTC_TRADES.key)
    write_trades(site.client, 62, 63)
    async with site.member(clock=clock) as member:
        gone, *rest = await deal(member, 3)
        assert isinstance(gone, Missed)
        assert (gone.reason, gone.count, gone.after_id) == ("restarted", None, trade_id(11))
        assert rest == ids(62, 63)
        write_trades(site.client, 64, 64)
        assert await deal(member, 1) == ids(64, 64)


async def test_a_redis_that_never_answers_is_an_error() -> None:
    nowhere = f"redis://127.0.0.1:{free_port()}/0"
    member = GroupReader("okx:BTC-USDT", "trade", group="g", redis=nowhere, first_wait_s=0.0)
    with pytest.raises(RedisUnreachableError, match="cannot be reached"):
        await anext(member.work())


async def test_work_goes_on_when_redis_is_back(own_redis: RedisServer) -> None:
    write_trades(own_redis.client, 1, 4)
    async with Site(own_redis).member("a", at_once=2) as member:
        work_of: AsyncIterator[Work] = member.work()
        (first,) = await read_items(work_of, 1)
        own_redis.stop()
        confirming, step = asyncio.ensure_future(member.done(first)), asyncio.ensure_future(read_items(work_of, 1))
        await asyncio.wait([confirming], timeout=0.05)
        own_redis.start()
        async with asyncio.timeout(PATIENCE_S):
            await confirming
            assert numbers([*(await step)[0].entries]) == ids(3, 4)
        assert Site(own_redis).pending() == {"a": 2}


@pytest.mark.parametrize("name", ["", "a b", "x" * 65, "ä"])
def test_a_name_that_cannot_stand_in_a_key_is_refused(name: str) -> None:
    with pytest.raises(InvalidConfigurationError, match="letters, digits"):
        GroupReader("okx:BTC-USDT", "trade", group=name)


@pytest.mark.parametrize("options", [{"at_once": 0}, {"max_tries": 0}, {"min_idle_s": -1.0}])
def test_settings_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfigurationError, match="at least"):
        GroupReader("okx:BTC-USDT", "trade", group="g", **options)


async def test_streams_of_a_pattern_are_shared(site: Site) -> None:
    write_trades(site.client, 1, 2)
    write_trades(site.client, 1, 2, ETH_TRADES)
    async with GroupReader("okx:*", "trade", group="g", start="oldest", redis=site.server.url) as member:
        assert sorted(map(str, await deal(member, 4))) == sorted(ids(1, 2) * 2)


# --- a Redis that comes back older ------------------------------------------------------------------------------------


@pytest.mark.parametrize("last", [6, 0])
async def test_a_redis_restored_from_a_backup_is_reported_and_nothing_is_redone(site: Site, last: int) -> None:
    write_trades(site.client, 1, 10)
    async with site.member("one", at_once=2) as member:
        assert await deal(member, 10) == ids(1, 10)
        site.client.flushall()
        if last:  # as the group was in the backup: 4 handed out, of them 2 not yet done
            write_trades(site.client, 1, last)
            site.client.xgroup_create(BTC_TRADES.key, "g", trade_id(2))
            site.client.xreadgroup("g", "another", {BTC_TRADES.key: ">"}, count=2)
        site.client.client_kill_filter(_type="normal", skipme=True)
        work = aiter(member.work())
        first = asyncio.ensure_future(anext(work))
        if not last:
            await until(lambda: BTC_TRADES in member.absent)
            write_trades(site.client, 1, 3)
        told = await first
        assert rewinds(told.entries) == [(10 - (last or 3), trade_id(last or 3), trade_id(10))]
        await member.done(told)
        write_trades(site.client, (last or 3) + 1, 12)
        found = list[Entry]()
        while len(found) < 2:
            found += (await read_items(work, 1))[0].entries
        assert rewinds(found) == ids(11, 12)
