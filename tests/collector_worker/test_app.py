"""A worker from start to exit inside the test's process: what surrounds it fails in every way it can."""

import asyncio

import pytest

import collector_worker.health.heartbeat as heartbeat_module
from collector_worker.exchanges.okx import Okx
from collector_worker.publish.stream_tips import StreamReturnedError, StreamTakenError
from collector_worker.recovery.takeover import IDS_AHEAD
from tests.support import okx_wire
from tests.support.http_server import answer
from tests.support.okx_wire import ticker
from tests.support.redis_server import RedisServer
from tests.support.waiting import until
from tests.support.worker_rig import (
    PREFIX,
    TIME,
    a_ticker,
    context,
    heartbeat,
    instruments,
    last_words,
    ledger,
    published,
    running,
)
from tests.support.ws_server import Peer
from tickfleet.contract.health import WorkerState
from tickfleet.contract.identity import DataType
from tickfleet.errors import NotServedHereError, SubscriptionRefusedError, UnknownSymbolError

S = 1_000_000_000


async def test_collects_and_says_so(redis_server: RedisServer) -> None:
    async with context(redis_server.config) as make, running(make()) as work:
        await until(lambda: published(redis_server) == ["feed_status", "ticker"])
        await until(lambda: redis_server.client.hget(PREFIX + "instrument", "tick_size") == "0.1")
        await until(lambda: (beat := heartbeat(redis_server)) and beat.clock_offset_ms > 1_000_000_000)
        work.cancel()
        await asyncio.wait([work])
    assert work.cancelled()
    assert last_words(redis_server) == (WorkerState.STOPPED, "", 0)
    beat = heartbeat(redis_server)
    assert beat is not None
    assert beat.progress[DataType.TICKER].silence_limit == 30 * S


async def test_an_exchange_whose_rest_does_not_answer_is_asked_again(redis_server: RedisServer) -> None:
    busy = answer(b"<html>", "503 Service Unavailable")
    too_many = answer(okx_wire.rest([], "50011"), "429 Too Many Requests", "Retry-After: 0")
    answers = (busy, too_many, b"", instruments(), busy)
    async with context(redis_server.config, a_ticker, *answers) as make, running(make()):
        await until(lambda: "ticker" in published(redis_server))
        await until(lambda: (beat := heartbeat(redis_server)) and beat.state is WorkerState.RUNNING)
    state, error, _ = last_words(redis_server)
    why = "its answer is no HTTP (RemoteProtocolError)"
    assert (state, error) == (WorkerState.STOPPED, f"REST of 127.0.0.1 cannot be reached: {why}")


async def test_a_place_that_is_not_served_ends_the_run_for_good(redis_server: RedisServer) -> None:
    refused = answer(b"<html>", "451 Unavailable For Legal Reasons")
    async with context(redis_server.config, a_ticker, refused, refused) as make:
        with pytest.raises(NotServedHereError) as ended:
            async with running(make()) as work:
                await work
    assert last_words(redis_server) == (WorkerState.ERROR, str(ended.value), 78)
    assert "(HTTP 451)" in str(ended.value)


async def test_one_answer_that_the_place_is_not_served_ends_no_run(redis_server: RedisServer) -> None:
    """Neither at the start nor, of any call, later: one machine of many may be wrong about it."""
    refused = answer(b"<html>", "451 Unavailable For Legal Reasons")
    answers = (refused, instruments(), refused)
    async with context(redis_server.config, a_ticker, *answers) as make, running(make()) as work:
        await until(lambda: (beat := heartbeat(redis_server)) and "(HTTP 451)" in beat.last_error)
        await until(lambda: (beat := heartbeat(redis_server)) and beat.state is WorkerState.RUNNING)
        assert not work.done()


async def test_a_ban_in_answer_to_the_time_request_is_shared_with_all_collectors(
    redis_server: RedisServer,
) -> None:
    banned = answer(b"{}", "418 I'm a teapot", "Retry-After: 3000")
    async with context(redis_server.config, a_ticker, instruments(), banned) as make, running(make()):
        await until(lambda: redis_server.client.keys("md:v1:permits:*:banned"))


async def test_a_symbol_that_is_not_there(redis_server: RedisServer) -> None:
    async with context(redis_server.config, a_ticker, instruments("expired")) as make:
        with pytest.raises(UnknownSymbolError):
            await make().run()
    says = "OKX lists no instrument for symbol BTC-USDT"
    assert last_words(redis_server) == (WorkerState.ERROR, says, 78)
    assert redis_server.client.ttl(PREFIX + "heartbeat") > 80_000


ANNOUNCED = instruments("preopen", baseCcy="", quoteCcy="", tickSz="")


@pytest.mark.parametrize(
    "reply",
    [answer(okx_wire.rest([])), instruments("suspend"), ANNOUNCED],
    ids=["no list", "suspended", "announced"],
)
async def test_a_symbol_that_is_not_traded_for_now_is_waited_for(redis_server: RedisServer, reply: bytes) -> None:
    async with context(redis_server.config, a_ticker, reply, instruments(), TIME) as make, running(make()):
        await until(lambda: (beat := heartbeat(redis_server)) and beat.state is WorkerState.RUNNING)


async def test_a_symbol_that_is_not_there_in_one_answer_is_asked_for_again(redis_server: RedisServer) -> None:
    """The answer may come out of some cache."""
    gone = instruments("expired")
    async with context(redis_server.config, a_ticker, gone, instruments(), TIME) as make, running(make()):
        await until(lambda: (beat := heartbeat(redis_server)) and beat.state is WorkerState.RUNNING)


async def test_a_refused_subscription(redis_server: RedisServer) -> None:
    async def refuse(peer: Peer) -> None:
        await peer.send(okx_wire.refusal(await peer.receive(), "60018"))

    async with context(redis_server.config, refuse) as make:
        with pytest.raises(SubscriptionRefusedError):
            await make().run()
    assert last_words(redis_server) == (WorkerState.ERROR, "OKX knows no such channel or instrument (60018)", 78)


async def test_a_bug_shows_no_text_of_its_own(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Okx, __: bytes) -> int:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(Okx, "read_time_ms", fail)
    async with context(redis_server.config) as make:
        with pytest.raises(RuntimeError):
            await make().run()
    assert last_words(redis_server) == (WorkerState.ERROR, "internal error, see the log", 1)
    assert "hunter2" not in str(redis_server.client.hgetall(PREFIX + "heartbeat"))


async def test_another_writer_ends_it(redis_server: RedisServer) -> None:
    told = asyncio.Event()

    async def script(peer: Peer) -> None:
        await a_ticker(peer)
        await told.wait()
        await peer.send(ticker("2", 1_767_225_600_001))

    async with context(redis_server.config, script) as make, running(make()) as work:
        await until(lambda: "ticker" in published(redis_server))
        redis_server.client.xadd(PREFIX + "ticker", {"by": "another"}, id="99999999999999-0")
        told.set()
        await asyncio.wait([work])
    assert isinstance(work.exception(), StreamTakenError)


@pytest.mark.parametrize("cut", [False, True])
async def test_a_stream_that_a_user_deletes_stops_nothing(redis_server: RedisServer, *, cut: bool) -> None:
    told = asyncio.Event()

    async def script(peer: Peer) -> None:
        await a_ticker(peer)
        await told.wait()
        await peer.send(ticker("2", 1_767_225_600_001))

    async with context(redis_server.config, script) as make, running(make()) as work:
        # Before the ledger has begun, a Redis without this one stream cannot be told from one that came back empty.
        await until(lambda: "ticker" in published(redis_server) and ledger(redis_server))
        redis_server.client.delete(PREFIX + "ticker")
        if cut:
            redis_server.client.client_kill_filter(_type="normal", skipme=True)
        told.set()
        await until(lambda: published(redis_server) == ["ticker"])
        assert not work.done()
    assert published(redis_server) == ["ticker", "feed_status"]
    state, error, code = last_words(redis_server)
    assert (state, code) == (WorkerState.STOPPED, 0)
    assert bool(error) is cut


async def test_a_deleted_stream_and_hash_are_written_anew_and_marked_so(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat_module, "BEAT_EVERY_S", 0.05)
    told = asyncio.Event()

    async def script(peer: Peer) -> None:
        await a_ticker(peer)
        await told.wait()
        await peer.send(ticker("2", 1_767_225_600_001))

    def seen() -> bool:  # so many heartbeats that a look was among them
        beat = heartbeat(redis_server)
        return beat is not None and beat.beats > 15

    async with context(redis_server.config, script) as make, running(make()):
        await until(lambda: "ticker" in published(redis_server) and bool(ledger(redis_server)) and seen())
        redis_server.client.delete(PREFIX + "ticker", PREFIX + "instrument")
        told.set()
        await until(lambda: published(redis_server) == ["ticker", "feed_status"])
        await until(lambda: redis_server.client.hget(PREFIX + "instrument", "native") == "BTC-USDT")
        beat = heartbeat(redis_server)
    (_, _), (_, said) = redis_server.client.xrange(PREFIX + "ticker")[:2]
    assert (said["state"], said["reason"]) == ("connected", "begun_anew")
    assert beat is not None
    assert beat.state is WorkerState.RUNNING


async def test_a_stream_deleted_between_two_runs_says_that_it_is_begun_anew(redis_server: RedisServer) -> None:
    async with context(redis_server.config, a_ticker) as make, running(make()):
        await until(lambda: "ticker" in published(redis_server) and bool(ledger(redis_server)))
    redis_server.client.delete(PREFIX + "ticker")
    async with context(redis_server.config, a_ticker) as make, running(make()):
        await until(lambda: "ticker" in published(redis_server))
    (_, first), (_, second) = redis_server.client.xrange(PREFIX + "ticker")[:2]
    said = [(entry["state"], entry["reason"]) for entry in (first, second)]
    assert said == [("disconnected", "begun_anew"), ("connected", "start")]


async def test_junk_in_its_streams_does_not_stop_it(redis_server: RedisServer) -> None:
    redis_server.client.xadd(PREFIX + "ticker", {b"\xff": b"\xfe"})
    async with context(redis_server.config) as make, running(make()):
        await until(lambda: redis_server.client.xlen(PREFIX + "ticker") == 3)


async def test_an_entry_from_the_future_is_told_and_stops_nothing(redis_server: RedisServer) -> None:
    redis_server.client.xadd(PREFIX + "ticker", {"by": "another"}, id=f"{10**15}-0")
    async with context(redis_server.config) as make, running(make()):
        await until(lambda: redis_server.client.xlen(PREFIX + "ticker") == 3)
        await until(lambda: (beat := heartbeat(redis_server)) and beat.state is WorkerState.RUNNING)
    assert last_words(redis_server) == (WorkerState.STOPPED, IDS_AHEAD, 0)


async def test_the_highest_id_in_a_stream_is_told_until_the_key_is_put_away(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeat_module, "BEAT_EVERY_S", 0.05)
    highest = f"{2**64 - 1}-{2**64 - 1}"
    redis_server.client.xadd(PREFIX + "ticker", {"by": "another"}, id=highest)
    told = f"Redis refuses entries: somebody has written the highest id that there can be into {PREFIX}ticker"
    async with context(redis_server.config) as make, running(make()) as work:
        await until(lambda: (beat := heartbeat(redis_server)) and beat.last_error == told)
        redis_server.client.rename(PREFIX + "ticker", PREFIX + "ticker:old")
        await asyncio.wait([work])
    assert isinstance(work.exception(), StreamReturnedError)


async def test_a_stream_s_key_of_another_type_degrades_until_it_takes_entries(redis_server: RedisServer) -> None:
    redis_server.client.set(PREFIX + "ticker", "somebody's")
    async with context(redis_server.config, a_ticker, *[instruments(), TIME] * 2) as make:
        async with running(make()):
            await until(lambda: (beat := heartbeat(redis_server)) and beat.state is WorkerState.DEGRADED)
        state, error, _ = last_words(redis_server)
        assert (state, error) == (
            WorkerState.STOPPED,
            f"Redis refuses entries: something else is in the place of {PREFIX}ticker",
        )
        async with running(make()) as work:
            await until(lambda: (beat := heartbeat(redis_server)) and beat.state is WorkerState.DEGRADED)
            redis_server.client.xadd("theirs", {"by": "another"})
            redis_server.client.rename("theirs", PREFIX + "ticker")
            await asyncio.wait([work])
    assert isinstance(work.exception(), StreamReturnedError)
    assert redis_server.client.xlen(PREFIX + "ticker") == 1
