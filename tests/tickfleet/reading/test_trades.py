import asyncio
import subprocess
import sys
from threading import active_count

import pytest

import tickfleet
from tests.support.reading import read_items
from tests.support.redis_server import RedisServer
from tests.support.stream_writer import BTC_TRADES, trade, write, write_trades
from tests.support.waiting import PATIENCE_S
from tickfleet import Gap, Missed, RedisUnreachableError, Trade, trades
from tickfleet.contract.events import FeedState, FeedStatus


def with_gap_and_status(server: RedisServer) -> list[Trade | Gap]:
    """Two trades, a gap and a change of the feed between them; what of that is handed out."""
    ts = trade(1).ts_event
    gap = Gap(ts_event=ts, ts_recv=ts, reason="not_available", from_id="1", to_id="4")
    status = FeedStatus(ts_event=ts, ts_recv=ts, state=FeedState.DISCONNECTED, reason="closed")
    write_trades(server.client, 1, 1)
    write(server.client, BTC_TRADES, "1000-2", gap)
    write(server.client, BTC_TRADES, "1000-3", status)
    write_trades(server.client, 4, 4)
    return [trade(1), gap, trade(4)]


async def test_trades_and_what_is_missing(redis_server: RedisServer) -> None:
    expected = with_gap_and_status(redis_server)
    assert await read_items(aiter(trades("okx:BTC-USDT", start="oldest", redis=redis_server.url)), 3) == expected


async def test_what_retention_removed_is_told(redis_server: RedisServer) -> None:
    write_trades(redis_server.client, 1, 1)
    read = aiter(trades("okx:BTC-USDT", start="oldest", redis=redis_server.url))
    assert await read_items(read, 1) == [trade(1)]
    write_trades(redis_server.client, 2, 5)
    redis_server.client.xtrim(BTC_TRADES.key, maxlen=2, approximate=False)
    missed, *rest = await read_items(read, 3)
    assert isinstance(missed, Missed)
    assert (missed.count, missed.reason, rest) == (2, "trimmed", [trade(4), trade(5)])


def test_without_async(redis_server: RedisServer) -> None:
    expected, threads = with_gap_and_status(redis_server), active_count()
    read = trades("okx:BTC-USDT", start="oldest", redis=redis_server.url)
    found = []
    for event in read:
        found.append(event)
        if len(found) == len(expected):
            break
    assert found == expected
    assert active_count() == threads


async def test_without_async_where_a_loop_runs_already(redis_server: RedisServer) -> None:
    """As in a notebook."""
    write_trades(redis_server.client, 1, 1)
    assert next(iter(trades("okx:BTC-USDT", start="oldest", redis=redis_server.url))) == trade(1)


def test_an_error_comes_through_without_async() -> None:
    with pytest.raises(RedisUnreachableError):
        next(iter(trades("okx:BTC-USDT", redis="redis://127.0.0.1:1/0", first_wait_s=0.0)))


def run_beside_one_trade(server: RedisServer, program: str) -> tuple[str, str, int]:
    """Run a program where there is one trade: what it writes to both outputs, and its exit code."""
    write_trades(server.client, 1, 1)
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"TICKFLEET_REDIS_URL": server.url},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return done.stdout, done.stderr, done.returncode


def test_ctrl_c_ends_a_loop_that_waits(redis_server: RedisServer) -> None:
    """The reading thread ends with it: nothing is left that would keep the program."""
    program = (
        "import os, signal, threading\n"
        "from tickfleet import trades\n"
        "read = iter(trades('okx:BTC-USDT', start='oldest'))\n"
        "next(read)\n"
        "threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        "try:\n"
        "    next(read)\n"
        "except KeyboardInterrupt:\n"
        "    print('ended')\n"
    )
    assert run_beside_one_trade(redis_server, program) == ("ended\n", "", 0)


def test_a_loop_without_async_goes_on_where_it_was_left(redis_server: RedisServer) -> None:
    write_trades(redis_server.client, 1, 3)
    read = trades("okx:BTC-USDT", start="oldest", redis=redis_server.url)
    assert [next(iter(read)), next(iter(read)), next(iter(read))] == [trade(1), trade(2), trade(3)]


def test_a_program_ends_that_still_holds_a_loop(redis_server: RedisServer) -> None:
    program = (
        "from tickfleet import trades\n"
        "read = iter(trades('okx:BTC-USDT', start='oldest'))\n"
        "print(next(read).trade_id)\n"
    )
    assert run_beside_one_trade(redis_server, program) == ("1\n", "", 0)


def test_every_name_that_is_offered_is_there() -> None:
    assert {name: hasattr(tickfleet, name) for name in tickfleet.__all__} == dict.fromkeys(tickfleet.__all__, True)
    assert dir(tickfleet) == tickfleet.__all__
    with pytest.raises(AttributeError, match="has no attribute 'Trades'"):
        _ = tickfleet.Trades  # type: ignore[attr-defined]


def test_the_contract_loads_no_reader() -> None:
    """A collector, which imports the contract, pays for no reader."""
    program = "import sys, tickfleet.contract.events; assert 'tickfleet.reading' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=PATIENCE_S)


async def test_two_loops_one_after_the_other(redis_server: RedisServer) -> None:
    write_trades(redis_server.client, 1, 2)
    read = trades("okx:BTC-USDT", start="oldest", redis=redis_server.url)
    async with asyncio.timeout(PATIENCE_S):
        assert [await anext(aiter(read)), await anext(aiter(read))] == [trade(1), trade(2)]


async def test_a_loop_without_async_takes_no_connection_of_one_with_it(redis_server: RedisServer) -> None:
    """It would block the event loop that it waits for."""
    write_trades(redis_server.client, 1, 2)
    read = trades("okx:BTC-USDT", start="oldest", redis=redis_server.url)
    async for event in read:
        assert event == trade(1)
        break
    with pytest.raises(RuntimeError, match=r"async for after async for.*or make new ones with trades"):
        next(iter(read))
    async with asyncio.timeout(PATIENCE_S):
        assert await anext(aiter(read)) == trade(2)


async def test_nor_does_one_with_it_while_the_other_is_held(redis_server: RedisServer) -> None:
    write_trades(redis_server.client, 1, 2)
    read = trades("okx:BTC-USDT", start="oldest", redis=redis_server.url)
    held = iter(read)
    assert next(held) == trade(1)
    with pytest.raises(RuntimeError, match="make new ones"):
        await anext(aiter(read))
    with pytest.raises(RuntimeError, match="make new ones"):
        next(iter(read))
    assert next(held) == trade(2)
    del held
    async with asyncio.timeout(PATIENCE_S):
        write_trades(redis_server.client, 3, 3)
        assert await anext(aiter(read)) == trade(3)


def test_a_loop_without_async_follows_a_program_s_that_has_ended(redis_server: RedisServer) -> None:
    write_trades(redis_server.client, 1, 2)
    read = trades("okx:BTC-USDT", start="oldest", redis=redis_server.url)

    async def first() -> Trade | Gap | Missed:
        return await anext(aiter(read))

    assert asyncio.run(first()) == trade(1)
    assert next(iter(read)) == trade(2)
