"""An end that the exchange announces: a second connection takes over, without a hole and without a duplicate."""

import asyncio
from itertools import pairwise
from random import Random

import pytest
from msgspec.structs import replace

from collector_worker.connection.session import BackoffLimits, Session
from common.config.exchanges import Rate
from tests.support import okx_wire
from tests.support.clock import ManualClock
from tests.support.feed_rig import PATIENCE, Rig
from tests.support.okx_wire import acknowledge, book, notice, trade
from tests.support.waiting import until
from tests.support.ways import FreePermits
from tests.support.ws_server import Peer, Refuse, Script, ScriptedServer
from tickfleet.contract.events import BookDelta, BookSnapshot, FeedState, FeedStatus, Trade
from tickfleet.contract.health import BookState, WorkerState
from tickfleet.contract.identity import DataType
from tickfleet.errors import SubscriptionRefusedError

pytestmark = pytest.mark.usefixtures("each_transport")

TRADE, BOOK, TICKER = DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER
NOW = ManualClock().now_ns()
NOW_MS = NOW // 1_000_000


def status(state: FeedState, reason: str) -> FeedStatus:
    return FeedStatus(ts_event=NOW, ts_recv=NOW, state=state, reason=reason)


def trades(*numbers: int) -> list[Trade]:
    return [Trade(NOW, NOW, str(number), f"{number}.5", "0.1", "buy") for number in numbers]


START = status(FeedState.CONNECTED, "start")
RECONNECTED = status(FeedState.CONNECTED, "reconnect")


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
    lost = status(FeedState.DISCONNECTED, "the exchange closed the connection (code 1001)")

    async def first(peer: Peer) -> None:
        await acknowledge(peer)
        await peer.send(trade(1, NOW_MS), notice())
        await relay.opened.wait()
        await peer.close(1001)

    async def second(peer: Peer) -> None:
        request = await peer.receive()
        relay.opened.set()
        await until(lambda: lost in rig.events(TRADE), "the loss is reported")
        await peer.send(okx_wire.ack(request), trade(2, NOW_MS))

    async with ScriptedServer(first, second) as server:
        rig = Rig(clock, server.url, TRADE)
        await rig.run(rig.session("business").run(), until(lambda: rig.telemetry.beat.progress[TRADE].count == 2))
    assert rig.events(TRADE) == [START, *trades(1), lost, RECONNECTED, *trades(2)]
    assert (rig.telemetry.beat.reconnects, server.opened) == (1, 2)
    assert rig.telemetry.snapshot(NOW, 0.0).state is WorkerState.RUNNING


async def test_a_book_held_back_by_the_new_connection_follows_the_loss_marker(clock: ManualClock) -> None:
    relay = Relay()

    async def first(peer: Peer) -> None:
        await acknowledge(peer, 2)
        await peer.send(book("snapshot", 10, -1, NOW_MS, [["1", "1"]], [["2", "1"]]), notice())
        await relay.opened.wait()
        await peer.close(1001)

    async def second(peer: Peer) -> None:
        requests = [await peer.receive(), await peer.receive()]
        await peer.send(okx_wire.ack(requests[0]), book("snapshot", 11, -1, NOW_MS, [["1", "3"]], [["2", "1"]]))
        await peer.settle()
        relay.opened.set()
        await until(lambda: len(rig.events(BOOK)) >= 4, "what was held back is passed on")
        await peer.send(okx_wire.ack(requests[1]), book("update", 12, 11, NOW_MS, [["1", "4"]], []))

    async with ScriptedServer(first, second) as server:
        rig = Rig(clock, server.url, BOOK, TICKER)
        await rig.run(rig.session().run(), until(lambda: rig.telemetry.beat.progress[BOOK].count == 3))
    told = [(type(event), getattr(event, "seq", None), getattr(event, "reason", "")) for event in rig.events(BOOK)]
    assert told == [
        (FeedStatus, None, "start"),
        (BookSnapshot, 10, "subscribe"),
        (FeedStatus, None, "the exchange closed the connection (code 1001)"),
        (BookSnapshot, 11, "reconnect"),
        (FeedStatus, None, "reconnect"),
        (BookDelta, 12, ""),
    ]
    assert (server.opened, rig.telemetry.beat.book_state) == (2, BookState.VALID)


class Queue(FreePermits):
    """Lets the first one in, all others when ``moves`` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.requests = 0
        self.moves = asyncio.Event()

    async def acquire(self, kind: str, rate: Rate, units: float = 1.0) -> float:
        """Wait for the queue to move."""
        self.requests += 1
        if self.requests > 1:
            await self.moves.wait()
        return 0.0


def queued(rig: Rig, queue: Queue, patience: BackoffLimits) -> Session:
    return Session(rig.feed("business"), replace(rig.context, rate_limiter=queue), Random(1), patience)


async def test_the_wait_for_the_permit_is_not_the_second_connections_time(clock: ManualClock) -> None:
    """To ask anew would mean to queue behind everybody else again, and all the later for the next one."""
    queue = Queue()
    patience = replace(PATIENCE, take_over_s=0.7)

    async def first(peer: Peer) -> None:
        await acknowledge(peer)
        await peer.send(trade(1, NOW_MS), notice())
        await until(lambda: queue.requests == 2, "the second connection queues")
        late_s = asyncio.get_running_loop().time() + patience.take_over_s + 0.1
        await until(lambda: asyncio.get_running_loop().time() > late_s, "the time that it has from its permit on")
        queue.moves.set()

    async def second(peer: Peer) -> None:
        await acknowledge(peer)
        await peer.send(trade(2, NOW_MS))

    async with ScriptedServer(first, second) as server:
        rig = Rig(clock, server.url, TRADE)
        await rig.run(queued(rig, queue, patience).run(), until(lambda: rig.telemetry.beat.progress[TRADE].count == 2))
    assert rig.events(TRADE) == [START, *trades(1, 2)]
    assert (queue.requests, server.opened) == (2, 2)


async def test_the_old_connection_ends_while_the_new_one_waits_for_its_permit(clock: ManualClock) -> None:
    queue = Queue()
    lost = status(FeedState.DISCONNECTED, "the connection broke")

    async def first(peer: Peer) -> None:
        await acknowledge(peer)
        await peer.send(trade(1, NOW_MS), notice())
        await until(lambda: queue.requests == 2, "the second connection queues")
        peer.cut()

    async def second(peer: Peer) -> None:
        await acknowledge(peer)
        await peer.send(trade(2, NOW_MS))

    async def move() -> None:
        await until(lambda: lost in rig.events(TRADE), "the loss is reported")
        assert rig.telemetry.snapshot(NOW, 0.0).state is WorkerState.CONNECTING
        queue.moves.set()
        await until(lambda: rig.telemetry.beat.progress[TRADE].count == 2)

    async with ScriptedServer(first, second) as server:
        rig = Rig(clock, server.url, TRADE)
        await rig.run(queued(rig, queue, PATIENCE).run(), move())
    assert rig.events(TRADE) == [START, *trades(1), lost, RECONNECTED, *trades(2)]
    assert (queue.requests, server.opened, rig.telemetry.beat.reconnects) == (2, 2, 1)


@pytest.mark.parametrize("old_ends", [True, False])
async def test_cancelling_ends_a_connection_that_waits_for_its_permit(clock: ManualClock, old_ends: bool) -> None:
    queue = Queue()
    reached = asyncio.Event()

    async def first(peer: Peer) -> None:
        await acknowledge(peer)
        await peer.send(notice())
        await until(lambda: queue.requests == 2, "the second connection queues")
        if old_ends:
            peer.cut()
            await until(lambda: rig.telemetry.beat.reconnects == 1, "the loss is met")
        reached.set()

    async with ScriptedServer(first) as server:
        rig = Rig(clock, server.url, TRADE)
        before = asyncio.all_tasks()
        work = asyncio.ensure_future(queued(rig, queue, PATIENCE).run())
        await until(reached.is_set)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        await until(lambda: not server.open)
        assert asyncio.all_tasks() == before
    assert queue.requests == 2


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


async def test_a_second_connection_holds_no_more_levels_than_fit_into_memory(clock: ManualClock) -> None:
    """Their text is three megabytes, what they become ten times as much; it never becomes ready."""
    given_up = asyncio.Event()

    async def first(peer: Peer) -> None:
        await acknowledge(peer, 2)
        await peer.send(book("snapshot", 10, -1, NOW_MS, [["1", "1"]], [["2", "1"]]), notice())
        await given_up.wait()
        await peer.send(book("update", 12, 10, NOW_MS, [["1", "4"]], []))

    async def second(peer: Peer) -> None:
        requests = [await peer.receive(), await peer.receive()]
        await peer.send(okx_wire.ack(requests[0]))
        for number in range(25):
            levels = [[str(100_000 + level), "1"] for level in range(5_000)]
            await peer.send(book("update", number + 1, number, NOW_MS, levels, []))
        await peer.gone()
        given_up.set()

    async with ScriptedServer(first, second) as server:
        rig = Rig(clock, server.url, BOOK, TICKER)
        session = rig.session(patience=replace(PATIENCE, take_over_s=3_600.0, again_s=3_600.0))
        await rig.run(session.run(), until(lambda: rig.telemetry.beat.progress[BOOK].count == 2))
    beat = rig.telemetry.beat
    assert (beat.book_state, beat.reconnects, beat.last_error, server.opened) == (BookState.VALID, 0, "", 2)


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
        session = rig.session("business", patience=replace(PATIENCE, again_s=0.001))
        await rig.run(session.run(), until(lambda: rig.telemetry.beat.progress[TRADE].count == 4))
    assert rig.events(TRADE) == [START, *trades(1, 2, 3, 4)]
    assert rig.telemetry.beat.reconnects == 3


async def test_an_exchange_that_sends_each_connection_away_meets_growing_pauses(clock: ManualClock) -> None:
    """The first successor is there at once; where it is itself to be replaced, haste helps nobody."""
    opened_s: list[float] = []

    async def script(peer: Peer) -> None:
        opened_s.append(asyncio.get_running_loop().time())
        await acknowledge(peer)
        await peer.send(trade(len(opened_s), NOW_MS), notice(), notice())
        await peer.gone()

    patience = replace(PATIENCE, again_s=0.2, pause_cap_s=0.6, overlap_s=0.0)
    async with ScriptedServer(script) as server:
        rig = Rig(clock, server.url, TRADE)
        session = rig.session("business", patience=patience)
        await rig.run(session.run(), until(lambda: len(opened_s) == 6, "six connections"))
    pauses_s = [after - before for before, after in pairwise(opened_s)]
    assert all(pause_s >= least_s for pause_s, least_s in zip(pauses_s, (0.0, 0.2, 0.4, 0.6, 0.6), strict=True))
    assert rig.telemetry.beat.reconnects >= 4


async def test_a_young_connection_that_ends_in_such_a_pause_is_followed_at_once(clock: ManualClock) -> None:
    async def script(peer: Peer) -> None:
        await acknowledge(peer)
        await peer.send(trade(server.opened, NOW_MS))
        if server.opened == 1:
            await peer.send(notice())
            await peer.gone()
        elif server.opened == 2:
            await until(lambda: rig.telemetry.beat.reconnects == 1, "it has taken over")
            await peer.send(notice())
            await peer.settle()
            await peer.close()

    async with ScriptedServer(script) as server:
        rig = Rig(clock, server.url, TRADE)
        session = rig.session("business", patience=replace(PATIENCE, again_s=3_600.0))
        await rig.run(session.run(), until(lambda: rig.telemetry.beat.progress[TRADE].count == 3))
    assert rig.telemetry.beat.reconnects == 2


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
