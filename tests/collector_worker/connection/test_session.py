import asyncio
from random import Random
from typing import cast

import pytest
from structlog.testing import capture_logs

from collector_worker.connection.session import BackoffLimits
from tests.support import okx_wire
from tests.support.clock import ManualClock
from tests.support.feed_rig import Rig
from tests.support.http_server import HttpServer, answer
from tests.support.okx_wire import acknowledge, book, candle, trade
from tests.support.waiting import until
from tests.support.ways import FreePermits
from tests.support.ws_server import Peer, Refuse, Script, ScriptedServer, drop, hold
from tickfleet.contract.events import Candle, FeedState, FeedStatus, Trade
from tickfleet.contract.health import BookState, WorkerState
from tickfleet.contract.identity import DataType
from tickfleet.errors import NotServedHereError, SubscriptionRefusedError

pytestmark = pytest.mark.usefixtures("each_transport")

TRADE, BOOK, TICKER, CANDLES = DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER, DataType.CANDLES
NOW = ManualClock().now_ns()
NOW_MS = NOW // 1_000_000


class Ceilings(Random):
    """Takes no time, and remembers how long the pauses might have been."""

    def __init__(self) -> None:
        super().__init__(1)
        self.seen: list[float] = []

    def uniform(self, a: float, b: float) -> float:
        self.seen.append(b)
        return 0.0


def status(state: FeedState, reason: str) -> FeedStatus:
    return FeedStatus(ts_event=NOW, ts_recv=NOW, state=state, reason=reason)


def a_trade(number: int) -> Trade:
    return Trade(NOW, NOW, str(number), f"{number}.5", "0.1", "buy")


async def test_reconnect_pauses_grow_and_reset_after_a_steady_connection(
    clock: ManualClock,
) -> None:
    reached = asyncio.Event()

    async def steady(peer: Peer) -> None:
        await acknowledge(peer)
        await peer.settle()
        clock.advance(30.1)
        peer.cut()

    async def confirmed_then_dropped(peer: Peer) -> None:
        await acknowledge(peer)
        await peer.settle()
        clock.advance(29.9)
        peer.cut()

    async def last(_: Peer) -> None:
        reached.set()

    scripts: list[Script] = [drop, drop, Refuse(503), *[drop] * 6, confirmed_then_dropped, steady, drop, drop, last]
    pauses = Ceilings()
    async with ScriptedServer(*scripts) as server:
        rig = Rig(clock, server.url, TICKER)
        with capture_logs() as logs:
            await rig.run(rig.session(random=pauses, patience=BackoffLimits()).run(), until(reached.is_set))
    assert pauses.seen == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60, 0.5, 1, 2]
    assert rig.telemetry.beat.reconnects == 13
    told = [event.state for event in rig.events(TICKER) if isinstance(event, FeedStatus)]
    assert told == [FeedState.CONNECTED, FeedState.DISCONNECTED] * 2  # of the two that were connected
    assert rig.telemetry.beat.last_error == "the connection broke"
    whys = [line["why"] for line in logs if line["event"] == "feed_lost"]
    assert set(whys[:2] + whys[3:]) == {"the connection broke"}
    assert whys[2] == "127.0.0.1 turned the connection away (HTTP 503)"


@pytest.mark.parametrize(
    ("code", "why", "bans_s"),
    [
        (403, "127.0.0.1 forbids us to ask, as a firewall does; we stay away for 300 s (HTTP 403)", [300.0]),
        (429, "127.0.0.1 turned us away for 10 s (HTTP 429)", [10.0]),
        (418, "127.0.0.1 turned us away for 120 s (HTTP 418)", [120.0]),
        (404, "127.0.0.1 turned the connection away (HTTP 404)", []),
    ],
)
async def test_a_handshake_that_is_turned_away_keeps_all_away_as_rest_does(
    clock: ManualClock, code: int, why: str, bans_s: list[float]
) -> None:
    async with ScriptedServer(Refuse(code), Refuse(code), settled) as server:
        rig = Rig(clock, server.url, TICKER)
        rate_limiter = cast("FreePermits", rig.context.rate_limiter)
        with capture_logs() as logs:
            connected = until(lambda: rig.telemetry.beat.connected_since)
            await rig.run(rig.session().run(), connected)
    assert rate_limiter.bans_s == bans_s * 2
    lost = [line for line in logs if line["event"] == "feed_lost"]
    assert [(line["why"], "exc_info" in line) for line in lost[:2]] == [(why, True), (why, False)]
    assert rig.telemetry.beat.last_error == why


async def settled(peer: Peer) -> None:
    """A script: a connection that stays."""
    await acknowledge(peer)
    await peer.gone()


async def test_a_second_refusal_for_the_location_in_a_handshake_ends_the_run(clock: ManualClock) -> None:
    patience = BackoffLimits(first_pause_s=0.001, pause_cap_s=0.001, denied_s=0.01)
    async with ScriptedServer(Refuse(451), Refuse(503), Refuse(451), settled) as server:
        rig = Rig(clock, server.url, TICKER)
        await rig.run(rig.session(patience=patience).run(), until(lambda: rig.telemetry.beat.connected_since))
    assert rig.telemetry.beat.reconnects == 3
    async with ScriptedServer(Refuse(451), Refuse(451)) as server:
        rig = Rig(clock, server.url, TICKER)
        with pytest.raises(NotServedHereError, match=r"does not serve the place .* \(HTTP 451\)"):
            await rig.run(rig.session(patience=patience).run())
    assert rig.telemetry.beat.reconnects == 1


async def test_ends_and_beginnings_stand_in_the_streams_of_their_own_feed(clock: ManualClock) -> None:
    async def first(peer: Peer) -> None:
        await acknowledge(peer, 2)
        await peer.send(trade(1, NOW_MS), candle(NOW_MS, "1"))
        await peer.close(4004, "No data received in 30s.")

    async def second(peer: Peer) -> None:
        await acknowledge(peer, 2)
        await peer.send(trade(1, NOW_MS), trade(2, NOW_MS))

    async with ScriptedServer(first, second) as server:
        rig = Rig(clock, server.url)
        done = until(lambda: rig.telemetry.beat.progress[TRADE].count == 2)
        await rig.run(rig.session("business").run(), done)
    lost = status(FeedState.DISCONNECTED, "the exchange closed the connection (code 4004)")
    connected, again = status(FeedState.CONNECTED, "start"), status(FeedState.CONNECTED, "reconnect")
    assert rig.events(TRADE) == [connected, a_trade(1), lost, again, a_trade(2)]
    assert [event for event in rig.events(CANDLES, "1m") if not isinstance(event, Candle)] == [connected, lost, again]
    assert (rig.events(BOOK), rig.events(TICKER)) == ([], [])
    assert rig.telemetry.beat.duplicates_dropped == 1


async def test_state_follows_the_connection(clock: ManualClock) -> None:
    states: list[tuple[WorkerState, bool]] = []

    def record_state() -> None:
        beat = rig.telemetry.snapshot(clock.now_ns(), clock.monotonic_s())
        states.append((beat.state, bool(beat.connected_since)))

    async def first(peer: Peer) -> None:
        await acknowledge(peer)
        await peer.send(okx_wire.ticker("1", clock.now_ns() // 1_000_000))
        await peer.settle()
        record_state()
        peer.cut()

    async def second(peer: Peer) -> None:
        await peer.receive()
        record_state()

    async with ScriptedServer(first, second) as server:
        rig = Rig(clock, server.url, TICKER)
        await rig.run(rig.session().run(), until(lambda: len(states) == 2))
    assert states == [(WorkerState.RUNNING, True), (WorkerState.SUBSCRIBING, False)]


async def test_a_refusal_for_good_is_raised_as_it_is(clock: ManualClock) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(okx_wire.refusal(await peer.receive(), "64003"))

    async with ScriptedServer(script) as server:
        rig = Rig(clock, server.url, TICKER)
        with pytest.raises(SubscriptionRefusedError, match="fee tier"):
            await rig.run(rig.session().run())
    assert server.opened == 1


async def test_an_end_before_all_was_confirmed_is_marked_where_data_had_come(clock: ManualClock) -> None:
    """A book that was read from a connection is not valid any more when that is gone."""
    held = asyncio.Event()

    async def first(peer: Peer) -> None:
        request, _ = await peer.receive(), await peer.receive()
        await peer.send(okx_wire.ack(request), book("snapshot", 1, -1, NOW_MS, [["1", "1"]], [["2", "1"]]))
        await peer.settle()
        assert rig.telemetry.beat.book_state is BookState.VALID
        peer.cut()

    async def second(_: Peer) -> None:
        held.set()

    async with ScriptedServer(first, second) as server:
        rig = Rig(clock, server.url, BOOK, TICKER)
        await rig.run(rig.session().run(), until(held.is_set))
    assert rig.events(BOOK)[1:] == [status(FeedState.DISCONNECTED, "the connection broke")]
    assert (rig.telemetry.beat.book_state, rig.book_hash["state"]) == (BookState.STALE, "stale")


async def test_cancelling_closes_the_connection_and_leaves_nothing_behind(clock: ManualClock) -> None:
    async with ScriptedServer(hold) as server:
        rig = Rig(clock, server.url, TICKER)
        before = asyncio.all_tasks()
        work = asyncio.ensure_future(rig.session().run())
        await until(lambda: server.opened)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        await until(lambda: not server.open)
        await until(lambda: asyncio.all_tasks() == before, "only the server's own tasks are left")
    assert rig.publisher.buffered == 0


ROW = {"instId": "BTC-USDT", "instType": "SPOT", "baseCcy": "BTC", "quoteCcy": "USDT", "tickSz": "0.1", "lotSz": "0.1"}
GONE = "OKX knows no such channel or instrument (60018)"


def listed(state: str) -> bytes:
    return answer(okx_wire.rest([{**ROW, "minSz": "0.1", "state": state}]))


async def _refuse(peer: Peer) -> None:
    await peer.send(okx_wire.refusal(await peer.receive(), "60018"))


async def _collect_one(peer: Peer) -> None:
    await acknowledge(peer)
    await peer.send(okx_wire.ticker("1", NOW_MS))
    await peer.settle()
    peer.cut()


@pytest.mark.parametrize(
    "instruments",
    [listed("live"), listed("suspend"), answer(b"", "503 Service Unavailable")],
    ids=["listed", "suspended", "not to be asked"],
)
async def test_the_refusal_of_a_live_instrument_passes_where_it_is_listed(
    clock: ManualClock, instruments: bytes
) -> None:
    async with HttpServer(instruments) as rest, ScriptedServer(_collect_one, _refuse, _refuse, _collect_one) as server:
        rig = Rig(clock, server.url, TICKER, rest=rest.root)
        ends = until(lambda: rig.telemetry.beat.progress[TICKER].count == 2, "the ticker after the refusals")
        await rig.run(rig.session().run(), ends)
    assert rest.targets == ["/api/v5/public/instruments?instType=SPOT&instId=BTC-USDT"] * 2


async def test_the_refusal_of_one_that_is_listed_no_more_ends_the_worker(clock: ManualClock) -> None:
    gone = answer(okx_wire.rest([], "51001"))
    async with HttpServer(gone) as rest, ScriptedServer(_collect_one, _refuse) as server:
        rig = Rig(clock, server.url, TICKER, rest=rest.root)
        with pytest.raises(SubscriptionRefusedError) as refused:
            await rig.run(rig.session().run())
    assert str(refused.value) == f"{GONE}, nor does it list the instrument any more"
    assert (refused.value.exit_code, len(rest.requests)) == (78, 1)
