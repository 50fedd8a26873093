"""An end that the exchange announces: a second connection takes over, without a hole and without a duplicate."""

import asyncio

import pytest
from msgspec.structs import replace

from common.errors import SubscriptionRefusedError
from common.events import BookDelta, BookSnapshot, FeedState, FeedStatus, Trade
from common.health import BookState, WorkerState
from common.identity import DataType
from tests.support import okx_wire
from tests.support.clock import ManualClock
from tests.support.feed_rig import PATIENCE, Rig
from tests.support.okx_wire import acknowledge, book, notice, trade
from tests.support.waiting import until
from tests.support.ws_server import Peer, Refuse, Script, ScriptedServer

TRADE, BOOK, TICKER = DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER
NOW = ManualClock().now_ns()
NOW_MS = NOW // 1_000_000


def status(state: FeedState, reason: str) -> FeedStatus:
    return FeedStatus(ts_event=NOW, ts_recv=NOW, state=state, reason=reason)


def trades(*numbers: int) -> list[Trade]:
    return [Trade(NOW, NOW, str(number), f"{number}.5", "0.1", "buy") for number in numbers]


START = status(FeedState.CONNECTED, "start")


class Relay:
    """Two connections whose scripts wait for each other."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.told = asyncio.Event()
        self.first_gone = asyncio.Event()


async def test_the_old_connection_may_lag_behind_the_new_one(clock: ManualClock) -> None:
    """What was on its way on the old one before the new one was subscribed is not lost."""
    relay = Relay()

    async def first(peer: Peer) -> None:
        await acknowledge(peer)
        await peer.send(trade(1, NOW_MS), trade(2, NOW_MS), notice())
        await relay.told.wait()
        await peer.send(trade(3, NOW_MS), trade(4, NOW_MS), trade(5, NOW_MS))
        await peer.gone()
        relay.first_gone.set()

    async def second(peer: Peer) -> None:
        await acknowledge(peer)
        await peer.send(trade(5, NOW_MS), trade(6, NOW_MS))
        await peer.settle()
        relay.told.set()
        await relay.first_gone.wait()
        await peer.send(trade(7, NOW_MS))

    async with ScriptedServer(first, second) as server:
        rig = Rig(clock, server.url, TRADE)
        await rig.run(rig.session("business").run(), until(lambda: rig.telemetry.beat.progress[TRADE].count == 7))
    assert rig.events(TRADE) == [START, *trades(1, 2, 3, 4, 5, 6, 7)]
    beat = rig.telemetry.beat
    assert (beat.duplicates_dropped, beat.reconnects, beat.last_error, server.opened) == (1, 1, "", 2)
    assert beat.connected_since == NOW


async def test_the_book_starts_from_the_snapshot_of_the_new_connection(clock: ManualClock) -> None:
    async def first(peer: Peer) -> None:
        await acknowledge(peer)
        await peer.send(book("snapshot", 10, -1, NOW_MS, [["1", "1"]], [["2", "1"]]), notice())
        await peer.send(book("update", 12, 10, NOW_MS, [["1", "2"]], []))

    async def second(peer: Peer) -> None:
        await acknowledge(peer)
        await peer.send(book("snapshot", 11, -1, NOW_MS, [["1", "3"]], [["2", "1"]]))
        await peer.send(book("update", 12, 11, NOW_MS, [["1", "2"]], []))
        await peer.send(book("update", 13, 12, NOW_MS, [["1", "4"]], []))

    async with ScriptedServer(first, second) as server:
        rig = Rig(clock, server.url, BOOK)
        await rig.run(rig.session().run(), until(lambda: rig.telemetry.beat.progress[BOOK].count == 5))
    connected, *books = rig.events(BOOK)
    assert connected == START
    assert [(type(event), getattr(event, "seq", None), getattr(event, "reason", "")) for event in books] == [
        (BookSnapshot, 10, "subscribe"),
        (BookDelta, 12, ""),
        (BookSnapshot, 11, "reconnect"),
        (BookDelta, 12, ""),
        (BookDelta, 13, ""),
    ]
    assert (rig.telemetry.beat.resyncs, rig.telemetry.beat.book_state) == (0, BookState.VALID)


async def test_the_old_connection_ends_before_the_new_one_is_ready(clock: ManualClock) -> None:
    """Then the streams say that the feed was away; what was missed is another's business (see ``flows``)."""
    relay = Relay()

    async def first(peer: Peer) -> None:
        await acknowledge(peer)
        await peer.send(trade(1, NOW_MS), notice())
        await relay.opened.wait()
        await peer.close(1001)

    async def second(peer: Peer) -> None:
        await peer.receive()
        relay.opened.set()

    async def third(peer: Peer) -> None:
        await acknowledge(peer)
        await peer.send(trade(2, NOW_MS))

    async with ScriptedServer(first, second, third) as server:
        rig = Rig(clock, server.url, TRADE)
        await rig.run(rig.session("business").run(), until(lambda: rig.telemetry.beat.progress[TRADE].count == 2))
    lost = status(FeedState.DISCONNECTED, "the exchange closed the connection (code 1001)")
    assert rig.events(TRADE) == [START, *trades(1), lost, status(FeedState.CONNECTED, "reconnect"), *trades(2)]


async def _never_confirm(peer: Peer) -> None:
    await peer.receive()


async def _confirm_then_close(peer: Peer) -> None:
    await acknowledge(peer)
    await peer.close()


@pytest.mark.parametrize("second", [Refuse(503), _never_confirm, _confirm_then_close])
async def test_a_second_connection_that_fails_disturbs_nothing(clock: ManualClock, second: Script) -> None:
    async def first(peer: Peer) -> None:
        await acknowledge(peer)
        await peer.send(trade(1, NOW_MS), notice())
        await until(lambda: server.opened == 2 and server.open == 1, "the second connection is given up")
        await peer.send(trade(2, NOW_MS))
        await peer.settle()
        peer.cut()

    async def third(peer: Peer) -> None:
        await acknowledge(peer)
        await peer.send(trade(3, NOW_MS))

    async with ScriptedServer(first, second, third) as server:
        rig = Rig(clock, server.url, TRADE)
        session = rig.session("business", patience=replace(PATIENCE, take_over_s=0.5))
        await rig.run(session.run(), until(lambda: rig.telemetry.beat.progress[TRADE].count == 3))
    lost = status(FeedState.DISCONNECTED, "the connection broke")
    assert rig.events(TRADE) == [START, *trades(1, 2), lost, status(FeedState.CONNECTED, "reconnect"), *trades(3)]
    assert server.opened == 3


async def test_a_second_connection_that_fails_is_followed_by_another(clock: ManualClock) -> None:
    """Binance leaves an hour between our renewal and its end of the connection."""
    relay = Relay()

    async def first(peer: Peer) -> None:
        await acknowledge(peer)
        await peer.send(trade(1, NOW_MS), notice())
        await relay.opened.wait()
        await peer.send(trade(2, NOW_MS))

    async def fourth(peer: Peer) -> None:
        await acknowledge(peer)
        relay.opened.set()

    async with ScriptedServer(first, Refuse(503), _confirm_then_close, fourth) as server:
        rig = Rig(clock, server.url, TRADE)
        session = rig.session("business", patience=replace(PATIENCE, again_s=0.001))
        await rig.run(session.run(), until(lambda: rig.telemetry.beat.progress[TRADE].count == 2 and server.open == 1))
    assert rig.events(TRADE) == [START, *trades(1, 2)]
    assert (rig.telemetry.beat.reconnects, server.opened) == (1, 4)


async def test_an_end_announced_before_the_beginning(clock: ManualClock) -> None:
    """The notice may come before the confirmations; the feed is connected when the second one has them."""

    async def first(peer: Peer) -> None:
        await peer.receive()
        await peer.send(notice())

    async def second(peer: Peer) -> None:
        await acknowledge(peer)
        await peer.send(trade(1, NOW_MS))

    async with ScriptedServer(first, second) as server:
        rig = Rig(clock, server.url, TRADE)
        await rig.run(rig.session("business").run(), until(lambda: rig.telemetry.beat.progress[TRADE].count == 1))
    assert rig.events(TRADE) == [START, *trades(1)]
    assert rig.telemetry.snapshot(NOW, 0.0).state is WorkerState.RUNNING


async def test_take_overs_can_follow_one_another(clock: ManualClock) -> None:
    async def script(peer: Peer) -> None:
        await acknowledge(peer)
        number = server.opened
        await peer.send(trade(number, NOW_MS))
        if number < 4:
            await peer.send(notice())
            await peer.gone()

    async with ScriptedServer(script) as server:
        rig = Rig(clock, server.url, TRADE)
        await rig.run(rig.session("business").run(), until(lambda: rig.telemetry.beat.progress[TRADE].count == 4))
    assert rig.events(TRADE) == [START, *trades(1, 2, 3, 4)]
    assert rig.telemetry.beat.reconnects == 3


async def test_a_refusal_of_the_second_connection_for_good_ends_the_worker(clock: ManualClock) -> None:
    async def first(peer: Peer) -> None:
        await acknowledge(peer)
        await peer.send(notice())

    async def second(peer: Peer) -> None:
        await peer.send(okx_wire.refusal(await peer.receive(), "60018"))

    async with ScriptedServer(first, second) as server:
        rig = Rig(clock, server.url, TRADE)
        with pytest.raises(SubscriptionRefusedError):
            await rig.run(rig.session("business").run())
