import asyncio
import json

import pytest
from structlog.testing import capture_logs

from collector_worker.exchanges.adapter import Channel
from collector_worker.exchanges.okx import OkxAdapter
from tests.support import okx_wire
from tests.support.clock import ManualClock, WatchedClock
from tests.support.feed_rig import Rig
from tests.support.okx_wire import acknowledge
from tests.support.waiting import until
from tests.support.ws_server import Peer, Refuse, Script, ScriptedServer, drop
from tickfleet.contract.events import FeedState, FeedStatus, Ticker, Trade
from tickfleet.contract.health import WorkerState
from tickfleet.contract.identity import DataType
from tickfleet.errors import (
    ConnectionLostError,
    FeedSilentError,
    SubscriptionRefusedError,
    SubscriptionTimeoutError,
)

pytestmark = pytest.mark.usefixtures("each_transport")

TRADE, TICKER, CANDLES = DataType.TRADE, DataType.TICKER, DataType.CANDLES


def ms(clock: ManualClock) -> int:
    return clock.now_ns() // 1_000_000


async def test_asks_for_each_channel_and_is_ready_when_all_are_confirmed(clock: ManualClock) -> None:
    received: list[object] = []

    async def script(peer: Peer) -> None:
        requests = [await peer.receive() for _ in range(2)]
        received.extend((peer.path, request) for request in requests)
        await peer.send(okx_wire.ack(requests[1]), okx_wire.ticker("1", ms(clock)))  # the other one comes late
        await peer.settle()
        clock.advance(9)
        await peer.send(okx_wire.trade(1, ms(clock), "trades"), okx_wire.ack(requests[0]))
        await peer.close()

    async with ScriptedServer(script) as server:
        rig = Rig(clock, server.url, TRADE, TICKER, params={"trade_channel": "trades"})
        connection = rig.connection()
        with pytest.raises(ConnectionLostError) as lost:
            await rig.run(connection.run())

    one = '{"id":"r%d","op":"subscribe","args":[{"channel":"%s","instId":"BTC-USDT"}]}'
    assert received == [("/ws/v5/public", one % (1, "trades")), ("/ws/v5/public", one % (2, "tickers"))]
    assert str(lost.value) == "the exchange closed the connection (code 1000)"
    assert connection.ready.is_set()
    assert connection.reached_streams
    now, first = clock.now_ns(), clock.now_ns() - 9_000_000_000
    connected = FeedStatus(ts_event=now, ts_recv=now, state=FeedState.CONNECTED, reason="start")
    assert rig.events(TRADE) == [Trade(now, now, "1", "1.5", "0.1", "buy"), connected]
    assert rig.events(TICKER) == [Ticker(ts_event=first, ts_recv=first, last="1"), connected]
    assert (rig.telemetry.beat.connected_since, rig.telemetry.beat.last_frame_at) == (now, now)


async def test_says_where_it_stands(clock: ManualClock) -> None:
    states: list[WorkerState] = []

    def record_state() -> None:
        states.append(rig.telemetry.snapshot(clock.now_ns(), clock.monotonic_s()).state)

    async def script(peer: Peer) -> None:
        request = await peer.receive()
        record_state()
        await peer.send(okx_wire.ack(request))
        await connection.ready.wait()
        record_state()
        await peer.send(okx_wire.ticker("1", ms(clock)))
        await peer.settle()
        record_state()
        await peer.close()

    async with ScriptedServer(script) as server:
        rig = Rig(clock, server.url, TICKER)
        record_state()
        connection = rig.connection()
        with pytest.raises(ConnectionLostError):
            await rig.run(connection.run())
    subscribing = WorkerState.SUBSCRIBING
    assert states == [WorkerState.STARTING, subscribing, subscribing, WorkerState.RUNNING]


@pytest.mark.parametrize("confirmed", [0, 1])
async def test_a_subscription_that_is_not_confirmed_in_time(clock: ManualClock, confirmed: int) -> None:
    async def script(peer: Peer) -> None:
        await acknowledge(peer, confirmed)
        await peer.settle()
        clock.advance(10.1)

    async with ScriptedServer(script) as server:
        rig = Rig(clock, server.url, TRADE, CANDLES)
        connection = rig.connection("business")
        with pytest.raises(SubscriptionTimeoutError) as late:
            await rig.run(connection.run())
    missing = ["candle1m, trades-all", "candle1m"][confirmed]
    assert str(late.value) == f"the exchange did not confirm the subscription of {missing}"
    assert not connection.reached_streams
    assert rig.pipe.streams == {}


async def test_a_refusal_for_good_ends_the_worker(clock: ManualClock) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(okx_wire.refusal(await peer.receive(), "60018"))

    async with ScriptedServer(script) as server:
        with pytest.raises(SubscriptionRefusedError) as refused:
            await (rig := Rig(clock, server.url, TICKER)).run(rig.connection().run())
    assert str(refused.value) == "OKX knows no such channel or instrument (60018)"
    assert refused.value.exit_code == 78


@pytest.mark.parametrize("code", ["60018", "60014"])
async def test_a_refusal_that_answers_no_request_is_counted_and_ends_nothing(clock: ManualClock, code: str) -> None:
    async def script(peer: Peer) -> None:
        request = await peer.receive()
        await peer.send(okx_wire.ack(request), okx_wire.refusal(request, code))
        await peer.send(okx_wire.refusal('{"id":""}', code), okx_wire.ticker("1", ms(clock)))

    async with ScriptedServer(script) as server:
        rig = Rig(clock, server.url, TICKER)
        await rig.run(rig.connection().run(), until(lambda: len(rig.events(TICKER)) == 2, "the ticker"))
    assert rig.telemetry.beat.decode_errors == 2


async def test_asked_to_come_back_later_it_does_so_with_growing_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Codes 60014 and the like: at least a second, on the same socket, without a reconnect."""
    clock = WatchedClock()
    asked_at_s: list[float] = []
    resubscribe = OkxAdapter.resubscribe

    def note(adapter: OkxAdapter, channel: Channel) -> list[str]:
        asked_at_s.append(clock.monotonic_s() - began_s)
        return resubscribe(adapter, channel)

    monkeypatch.setattr(OkxAdapter, "resubscribe", note)
    began_s = clock.monotonic_s()

    async def script(peer: Peer) -> None:
        while True:
            text = await peer.receive()
            if text == "ping":
                await peer.send("pong")
            elif "unsubscribe" not in text:
                await peer.send(okx_wire.refusal(text, "60014"))

    async def pass_time() -> None:
        await until(lambda: logs, "the first refusal is taken note of")
        await clock.pass_to_all(0)
        while len(asked_at_s) < 8:
            await until(lambda: len(logs) > len(asked_at_s), "the refusal is taken note of")
            await clock.pass_to_all(1)

    async with ScriptedServer(script) as server:
        rig = Rig(clock, server.url, TICKER)
        with capture_logs() as logs:
            await rig.run(rig.connection().run(), pass_time())
    assert asked_at_s == [1, 3, 7, 15, 31, 63, 123, 183]
    assert {line["event"] for line in logs} == {"subscription_deferred"}
    assert server.opened == 1


async def test_a_deferred_channel_alone_is_asked_for_again(clock: ManualClock) -> None:
    """The refusal does not say which channel it means; the confirmations of the others do."""
    again: list[str] = []

    async def script(peer: Peer) -> None:
        first, second = await peer.receive(), await peer.receive()
        await peer.send(okx_wire.refusal(first, "60014"), okx_wire.ack(second), okx_wire.ticker("1", ms(clock)))
        await peer.settle()
        clock.advance(1.1)
        again.extend(await acknowledge(peer, 2))
        await peer.settle()
        clock.advance(21)
        again.append(await peer.receive())
        await peer.close()

    async with ScriptedServer(script) as server:
        rig = Rig(clock, server.url, TRADE, TICKER, params={"trade_channel": "trades"})
        with pytest.raises(ConnectionLostError):
            await rig.run(rig.connection().run())
    request = '{"id":"r%d","op":"%s","args":[{"channel":"trades","instId":"BTC-USDT"}]}'
    assert again == [request % (3, "unsubscribe"), request % (4, "subscribe"), "ping"]


async def test_silence_is_answered_by_a_ping_and_a_pong_is_enough(clock: ManualClock) -> None:
    heard: list[str] = []

    async def script(peer: Peer) -> None:
        await acknowledge(peer)
        await peer.settle()
        for _ in range(3):
            clock.advance(20.1)
            heard.append(await peer.receive())
            clock.advance(9.9)
            await peer.send("pong")
            await peer.settle()
        clock.advance(20.1)
        heard.append(await peer.receive())
        clock.advance(10.1)

    async with ScriptedServer(script) as server:
        rig = Rig(clock, server.url, TICKER)
        with pytest.raises(FeedSilentError) as silent:
            await rig.run(rig.connection().run())
    assert heard == ["ping"] * 4
    assert str(silent.value) == "the exchange does not answer pings"
    assert rig.telemetry.beat.decode_errors == 0


async def test_a_silent_channel_is_first_resubscribed_then_reconnected() -> None:
    """A running bar is pushed at least once a minute; trades that go on do not make up for it."""
    clock = WatchedClock()
    subscriptions: list[tuple[float, str, str]] = []
    began_s = clock.monotonic_s()

    async def trades_for(peer: Peer, seconds: int) -> None:
        for _ in range(seconds // 10):
            await peer.send(okx_wire.trade(ms(clock), ms(clock)))
            await peer.settle()
            await clock.pass_to_all(10)

    async def answer_again(peer: Peer) -> None:
        for _ in range(2):
            request = await peer.receive()
            what = json.loads(request)
            subscriptions.append((clock.monotonic_s() - began_s, what["op"], what["args"][0]["channel"]))
            await peer.send(okx_wire.ack(request))

    async def script(peer: Peer) -> None:
        await acknowledge(peer, 2)
        await trades_for(peer, 100)
        await answer_again(peer)
        await trades_for(peer, 50)
        await peer.send(okx_wire.candle(ms(clock) // 60_000 * 60_000, "1"))  # where a bar opens
        await trades_for(peer, 110)  # the second time it is asked for a little later
        await answer_again(peer)
        await trades_for(peer, 100)

    async with ScriptedServer(script) as server:
        rig = Rig(clock, server.url, TRADE, CANDLES)
        with pytest.raises(FeedSilentError) as silent, capture_logs() as logs:
            await rig.run(rig.connection("business").run())
    assert subscriptions == [(at_s, op, "candle1m") for at_s in (100, 260) for op in ("unsubscribe", "subscribe")]
    assert str(silent.value) == "candle1m is silent although the exchange promises a sign of life"
    assert [line["channel"] for line in logs if line["event"] == "channel_silent"] == ["candle1m"] * 2


@pytest.mark.parametrize(("found_ago_s", "ends"), [(-1.0, True), (1.0, False)])
async def test_a_connection_ends_only_if_it_is_older_than_the_stall_report(
    clock: ManualClock, found_ago_s: float, ends: bool
) -> None:
    async def script(peer: Peer) -> None:
        await acknowledge(peer)
        await peer.settle()
        rig.telemetry.stalled_s[TRADE] = 1e9  # of another socket
        rig.telemetry.stalled_s[TICKER] = clock.monotonic_s() - found_ago_s

    async with ScriptedServer(script) as server:
        rig = Rig(clock, server.url, TICKER)
        connection = rig.connection()

        async def watched() -> None:
            await connection.ready.wait()
            await until(lambda: TICKER in rig.telemetry.stalled_s)
            for _ in range(5):
                await asyncio.sleep(rig.context.timing.tick_s)

        if ends:
            with pytest.raises(FeedSilentError) as stalled:
                await rig.run(connection.run())
            assert str(stalled.value) == "the exchange has newer data than it sends (tickers)"
        else:
            await rig.run(connection.run(), watched())


async def test_garbage_is_counted_and_sampled_once(clock: ManualClock) -> None:
    async def script(peer: Peer) -> None:
        await acknowledge(peer)
        await peer.send("{", b"\xff\xfe", "[]", okx_wire.trade(1, ms(clock)), "null", okx_wire.ticker("1", ms(clock)))
        await peer.close()

    async with ScriptedServer(script) as server:
        rig = Rig(clock, server.url, TICKER)
        with pytest.raises(ConnectionLostError), capture_logs() as logs:
            await rig.run(rig.connection().run())
    assert [line for line in logs if line["event"] == "frame_undecodable"] == [
        {
            "event": "frame_undecodable",
            "log_level": "warning",
            "why": "not a frame of OKX' protocol",
            "sample": "b'{'",
        }
    ]
    assert rig.telemetry.beat.decode_errors == 5
    now = clock.now_ns()
    assert rig.events(TICKER)[-1] == Ticker(ts_event=now, ts_recv=now, last="1")


@pytest.mark.parametrize("script", [drop, Refuse(503)])
async def test_an_end_before_anything_was_confirmed_reaches_no_stream(clock: ManualClock, script: Script) -> None:
    async with ScriptedServer(script) as server:
        rig = Rig(clock, server.url)
        connection = rig.connection()
        with pytest.raises(ConnectionLostError):
            await rig.run(connection.run())
    assert (connection.ready.is_set(), connection.reached_streams, rig.pipe.streams) == (False, False, {})
