import asyncio
from collections.abc import Sequence

import hiredis
import pytest
from msgspec.structs import replace

from collector_worker.health.heartbeat import HeartbeatWriter, read_former
from collector_worker.publish.own_streams import Stream
from collector_worker.publish.publisher import Publisher
from collector_worker.telemetry.telemetry import Telemetry
from common.config.collector import ExchangeCollectorConfig
from tests.support.clock import ManualClock, WatchedClock
from tests.support.fakes import FakePipe
from tests.support.waiting import until
from tickfleet.contract import keys
from tickfleet.contract.events import Ticker
from tickfleet.contract.health import Heartbeat, WorkerState, read_heartbeat
from tickfleet.contract.identity import CollectorId, DataType
from tickfleet.redis.protocol import Reply

KEY = "md:v1:{okx:BTC-USDT}:heartbeat"


class Desk:
    """A heartbeat writer over a Redis in memory."""

    def __init__(self, clock: ManualClock) -> None:
        config = ExchangeCollectorConfig("okx", "BTC-USDT", (DataType.TICKER,))
        self.clock = clock
        self.pipe = FakePipe()
        self.telemetry = Telemetry(config, clock.now_ns())
        self.publisher = Publisher(self.pipe, self.telemetry, clock)
        self.writer = HeartbeatWriter(CollectorId("okx", "BTC-USDT"), self.publisher, self.telemetry, clock)

    async def send(self) -> None:
        sending = asyncio.create_task(self.publisher.run())
        await self.publisher.drained()
        sending.cancel()
        await asyncio.wait([sending])

    @property
    def held(self) -> Heartbeat:
        beat = read_heartbeat(self.pipe.hashes[KEY])
        assert beat is not None
        return beat


async def test_a_beat_says_what_is_known_now(clock: ManualClock) -> None:
    desk = Desk(clock)
    desk.publisher.publish(Stream("s", DataType.TICKER, 10), Ticker(ts_event=1, ts_recv=1))
    clock.advance(3)
    desk.writer.beat()
    then = replace(desk.telemetry.beat)
    await desk.send()
    assert desk.held == then
    assert (desk.held.beat_at, desk.held.beats, desk.held.entries_buffered) == (clock.now_ns(), 1, 1)
    assert desk.held.started_at == clock.now_ns() - 3_000_000_000
    assert desk.pipe.ttls == {KEY: keys.HEARTBEAT_TTL_S}


async def test_the_first_beat_of_a_run_removes_what_another_left(clock: ManualClock) -> None:
    desk = Desk(clock)
    desk.pipe.hashes[KEY] = {"exit_code": "78", "book_state": "valid"}
    for _ in range(2):
        desk.writer.beat()
        await desk.send()
    assert desk.pipe.hashes[KEY].keys() == desk.telemetry.beat.to_fields().keys()
    assert "exit_code" not in desk.pipe.hashes[KEY]
    assert [attempt[0][0] for attempt in desk.pipe.attempts] == ["DEL", "HSET"]


def test_while_a_run_takes_over_it_beats_where_it_is_due(clock: ManualClock) -> None:
    desk = Desk(clock)
    beats = []
    for passed_s in (0.0, 0.5, 0.4, 0.2, 5.0, 0.9):
        clock.advance(passed_s)
        desk.writer.beat_if_due()
        beats.append(desk.telemetry.beat.beats)
    assert beats == [1, 1, 1, 2, 3, 3]


async def test_it_beats_each_second_and_says_how_late_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = WatchedClock()
    desk = Desk(clock)
    beats: list[tuple[float, int]] = []
    pauses: list[float] = []
    began_s = clock.monotonic_s()

    async def sleep(pause_s: float) -> None:
        """Takes a quarter of a second too long each time, by the clock alone."""
        beats.append((clock.monotonic_s() - began_s, desk.telemetry.beat.loop_lag_ms))
        pauses.append(pause_s)
        if len(beats) == 4:
            raise asyncio.CancelledError
        clock.advance(pause_s + 0.25)

    monkeypatch.setattr("collector_worker.health.heartbeat.asyncio.sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await desk.writer.run()
    assert beats == [(0.0, 0), (1.25, 250), (2.25, 250), (3.25, 250)]
    assert pauses == [1.0, 0.75, 0.75, 0.75]
    assert desk.telemetry.beat.beats == 4


async def test_after_a_long_block_it_does_not_make_up_for_missed_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ManualClock()
    desk = Desk(clock)
    lags: list[int] = []
    pauses: list[float] = []

    async def sleep(pause_s: float) -> None:
        lags.append(desk.telemetry.beat.loop_lag_ms)
        pauses.append(pause_s)
        if len(lags) == 4:
            raise asyncio.CancelledError
        clock.advance(max(0.0, pause_s) + (60 if len(lags) == 1 else 0))

    monkeypatch.setattr("collector_worker.health.heartbeat.asyncio.sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await desk.writer.run()
    assert lags == [0, 60_000, 0, 0]
    assert pauses == [1.0, 0.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("state", "error", "exit_code", "ttl_s"),
    [
        (WorkerState.STOPPED, "", 0, keys.HEARTBEAT_TTL_S),
        (WorkerState.ERROR, "Redis cannot be reached", 3, keys.HEARTBEAT_TTL_S),
        (WorkerState.ERROR, "OKX lists no instrument", 78, keys.EXIT_NOTE_TTL_S),
    ],
)
async def test_last_words(clock: ManualClock, state: WorkerState, error: str, exit_code: int, ttl_s: int) -> None:
    desk = Desk(clock)
    desk.telemetry.beat.last_error = "earlier"
    desk.telemetry.feed_is("public", WorkerState.RUNNING, clock.now_ns())
    desk.telemetry.heard("public")
    desk.writer.last_words(state, error, exit_code)
    await desk.send()
    assert (desk.held.state, desk.held.last_error, desk.held.exit_code) == (state, error or "earlier", exit_code)
    assert desk.pipe.ttls == {KEY: ttl_s}


@pytest.mark.parametrize(
    ("reply", "fields"),
    [
        ([b"pid", b"7", b"mute", b""], {"pid": "7", "mute": ""}),
        ([], {}),
        ([b"last_error", b"\xff"], {"last_error": "\ufffd"}),
        (hiredis.ReplyError("WRONGTYPE Operation against a key holding the wrong kind of value"), {}),
    ],
)
async def test_what_an_earlier_run_has_left(reply: Reply, fields: dict[str, str]) -> None:
    sent: list[bytes] = []

    class Pipe:
        async def execute(self, commands: Sequence[bytes]) -> list[Reply]:
            sent.extend(commands)
            return [reply]

    assert await read_former(Pipe(), CollectorId("okx", "BTC-USDT")) == fields
    assert sent == [b"*2\r\n$7\r\nHGETALL\r\n$30\r\n" + KEY.encode() + b"\r\n"]


async def test_the_real_loop_beats(clock: ManualClock) -> None:
    desk = Desk(clock)
    beating = asyncio.ensure_future(desk.writer.run())
    await until(lambda: desk.telemetry.beat.beats == 1)
    beating.cancel()
    await asyncio.wait([beating])
    await desk.send()
    assert desk.held.state is WorkerState.STARTING
