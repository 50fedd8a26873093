import os
import socket
from importlib.metadata import version

import pytest

from collector_worker.telemetry.telemetry import Telemetry
from common.config.collector import ExchangeCollectorConfig
from common.process.machine import machine_id
from tickfleet.contract.health import Heartbeat, Progress, RestLook, WorkerState
from tickfleet.contract.identity import DataType

CONFIG = ExchangeCollectorConfig("okx", "BTC-USDT", (DataType.TRADE, DataType.TICKER))
START_NS = 1_767_225_600_000_000_000
C, S, R = WorkerState.CONNECTING, WorkerState.SUBSCRIBING, WorkerState.RUNNING


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry(CONFIG, START_NS)


def test_a_run_begins_with_who_it_is(telemetry: Telemetry) -> None:
    assert telemetry.beat == Heartbeat(
        collector="okx:BTC-USDT",
        pid=os.getpid(),
        host=socket.gethostname(),
        machine=machine_id(),
        run_id=telemetry.beat.run_id,
        config_id=CONFIG.fingerprint(),
        version=version("tickfleet"),
        started_at=START_NS,
        progress={DataType.TRADE: Progress(), DataType.TICKER: Progress()},
    )


def test_every_run_has_another_name() -> None:
    assert len({Telemetry(CONFIG, START_NS).beat.run_id for _ in range(20)}) == 20


@pytest.mark.parametrize(
    ("feeds", "state"),
    [
        ([], WorkerState.STARTING),
        ([C], C),
        ([S], S),
        ([R], R),
        ([C, C], C),
        ([C, S], C),
        ([S, S], S),
        ([R, C], WorkerState.DEGRADED),
        ([S, R], WorkerState.DEGRADED),
        ([R, R], R),
    ],
    ids=lambda value: "+".join(state.value for state in value) if isinstance(value, list) else None,
)
def test_the_state_follows_from_those_of_the_feeds(
    feeds: list[WorkerState], state: WorkerState, telemetry: Telemetry
) -> None:
    for number, feed_state in enumerate(feeds):
        telemetry.feed_is(f"feed{number}", feed_state, START_NS)
        telemetry.heard(f"feed{number}")

    assert telemetry.snapshot(START_NS, 0.0).state is state


def test_a_feed_that_only_confirms_does_not_run_yet(telemetry: Telemetry) -> None:
    """It may have confirmed what it will never send."""

    def state(now_ns: int = START_NS) -> WorkerState:
        return telemetry.snapshot(now_ns, 0.0).state

    for feed in ("public", "business"):
        telemetry.feed_is(feed, R, START_NS)
    assert state() is S
    telemetry.heard("public")
    assert state() is S
    limit_ns = round(CONFIG.health_check_interval * 1e9)
    assert [state(START_NS + limit_ns), state(START_NS + 100 * limit_ns)] == [S, S]
    telemetry.beat.rest_look = RestLook.NOTHING_NEWER
    assert state() is R
    telemetry.beat.rest_look = RestLook.NONE
    telemetry.heard("business")
    assert state() is R
    for feed_state in (C, R):
        telemetry.feed_is("public", feed_state, START_NS)
    assert state() is R, "it has brought something in this run"


def test_a_socket_that_confirms_and_sends_nothing_is_told(telemetry: Telemetry) -> None:
    late_ns = START_NS + round(CONFIG.health_check_interval * 1e9) + 1
    unheard = "the exchange has confirmed the subscriptions of the feed {} and sent no data"

    def told(now_ns: int = late_ns) -> tuple[WorkerState, str, bool]:
        beat = telemetry.snapshot(now_ns, 0.0)
        return beat.state, beat.last_error, bool(telemetry._troubles)

    for feed in ("business", "public"):
        telemetry.feed_is(feed, R, START_NS)
    telemetry.heard("public")
    assert told(late_ns - 1) == (S, "", False)
    assert told() == (S, unheard.format("business"), True)
    telemetry.beat.rest_look = RestLook.NOTHING_NEWER
    assert told() == (R, unheard.format("business"), False), "the market rests"
    telemetry.beat.rest_look = RestLook.NONE
    assert told() == (S, unheard.format("business"), True)
    telemetry.heard("business")
    assert told() == (R, unheard.format("business"), False), "what was amiss last"


def test_a_trouble_degrades_a_running_collector_until_it_is_settled(telemetry: Telemetry) -> None:
    telemetry.feed_is("public", R, START_NS)
    telemetry.heard("public")
    telemetry.trouble("redis", "Redis at h:1 cannot be reached")
    telemetry.trouble("book", "REST did not answer")
    states = [telemetry.snapshot(START_NS, 0.0).state]
    for about in ("redis", "book", "book"):
        telemetry.settled(about)
        states.append(telemetry.snapshot(START_NS, 0.0).state)

    assert states == [WorkerState.DEGRADED, WorkerState.DEGRADED, R, R]
    assert telemetry.beat.last_error == "REST did not answer"  # what was last amiss, not what is amiss


def test_what_is_the_exchanges_own_affair_is_told_and_degrades_nothing(telemetry: Telemetry) -> None:
    telemetry.feed_is("public", R, START_NS)
    telemetry.heard("public")
    telemetry.trouble("instrument", "OKX has suspended it", ours=False)
    assert (telemetry.snapshot(START_NS, 0.0).state, telemetry.beat.last_error) == (R, "OKX has suspended it")
    telemetry.trouble("instrument", "now it is ours")
    assert telemetry.snapshot(START_NS, 0.0).state is WorkerState.DEGRADED
    telemetry.settled("instrument")
    assert telemetry.snapshot(START_NS, 0.0).state is R


def test_the_error_that_is_told_is_one_that_still_is(telemetry: Telemetry) -> None:
    """As long as there is any: a reader takes it for the reason of the state."""
    telemetry.feed_is("public", R, START_NS)
    telemetry.heard("public")
    told = []
    for step in ("+redis", "+book", "+publish", "+redis", "-publish", "-redis", "-publish", "-book"):
        if step[0] == "+":
            telemetry.trouble(step[1:], f"{step[1:]} fails")
        else:
            telemetry.settled(step[1:])
        told.append((telemetry.snapshot(START_NS, 0.0).state is R, telemetry.beat.last_error.removesuffix(" fails")))

    assert told == [
        (False, "redis"), (False, "book"), (False, "publish"), (False, "redis"), (False, "redis"), (False, "book"),
        (False, "book"), (True, "book"),
    ]  # fmt: skip


def test_a_socket_that_is_lost_is_the_reason_until_it_runs_again(telemetry: Telemetry) -> None:
    for feed in ("public", "business"):
        telemetry.feed_is(feed, R, START_NS)
        telemetry.heard(feed)
    seen = []

    def record_state() -> None:
        seen.append((telemetry.snapshot(START_NS, 0.0).state, telemetry.beat.last_error))

    telemetry.feed_lost("public", "the connection broke", START_NS)
    record_state()
    telemetry.trouble("redis", "Redis is away")
    telemetry.settled("redis")
    record_state()
    telemetry.feed_is("public", S, START_NS)
    record_state()
    telemetry.feed_is("public", R, START_NS)
    telemetry.heard("public")
    telemetry.trouble("redis", "Redis is away")
    telemetry.settled("redis")
    record_state()

    assert seen == [(WorkerState.DEGRADED, "the connection broke")] * 3 + [(R, "Redis is away")]
    assert telemetry.beat.connected_since == START_NS


@pytest.mark.parametrize("state", [WorkerState.STOPPING, WorkerState.STOPPED, WorkerState.ERROR])
def test_the_end_is_not_overwritten(state: WorkerState, telemetry: Telemetry) -> None:
    telemetry.feed_is("public", R, START_NS)
    telemetry.beat.state = state

    assert telemetry.snapshot(START_NS, 0.0).state is state


def test_connected_since_all_feeds_run(telemetry: Telemetry) -> None:
    since = []
    for feed, state, now_ns in (
        ("a", C, 1),
        ("b", C, 2),
        ("a", R, 3),
        ("b", R, 4),
        ("a", R, 5),
        ("b", C, 6),
        ("b", R, 7),
    ):
        telemetry.feed_is(feed, state, now_ns)
        since.append(telemetry.beat.connected_since)

    assert since == [0, 0, 0, 4, 4, 0, 7]


def test_entries_are_counted_by_data_type(telemetry: Telemetry) -> None:
    telemetry.event(DataType.TRADE, 5)
    telemetry.event(DataType.TRADE, 9)
    telemetry.event(DataType.TICKER, 7)

    assert telemetry.beat.progress == {
        DataType.TRADE: Progress(count=2, last_event_at=9),
        DataType.TICKER: Progress(count=1, last_event_at=7),
    }


def test_what_the_feed_brings_and_what_becomes_an_entry_are_two_things(telemetry: Telemetry) -> None:
    telemetry.seen(DataType.TICKER, 3)  # one that was there already
    telemetry.traded(2, 4)
    telemetry.beat.progress[DataType.TRADE].count += 2  # one of them REST has brought

    assert telemetry.beat.progress == {
        DataType.TRADE: Progress(count=2, last_event_at=4),
        DataType.TICKER: Progress(count=0, last_event_at=3),
    }


def test_a_snapshot_carries_the_figures_of_the_process(telemetry: Telemetry) -> None:
    for us in (10, 10, 100):
        telemetry.latency.record(us)
    beat = telemetry.snapshot(START_NS + 5, 1.0)

    assert (beat.beats, beat.beat_at) == (1, START_NS + 5)
    assert (beat.latency_p50_us, beat.latency_p99_us) == (10, 103)
    assert 5_000_000 < beat.rss_bytes < 10**11
    assert beat.cpu_seconds > 0
    assert telemetry.snapshot(START_NS + 6, 2.0).beats == 2


def test_the_lag_of_every_eighth_trade_counts_by_the_exchanges_clock(telemetry: Telemetry) -> None:
    ms = 1_000_000
    telemetry.snapshot(START_NS, 100.0)
    telemetry.beat.clock_offset_ms = 30  # the exchange's clock is ahead of ours, so we measure too little
    for number in range(17):
        lag_ms = {0: 10, 8: -20, 16: 170}.get(number, 9_999)
        telemetry.traded(START_NS, START_NS + lag_ms * ms)
    beat = telemetry.snapshot(START_NS, 110.0)

    assert (beat.lag_p50_ms, beat.lag_p99_ms) == (40, 212)
    assert [telemetry.snapshot(START_NS, now_s).lag_p99_ms for now_s in (131.0, 162.0)] == [212, 0]


def test_lags_by_another_clock_are_forgotten(telemetry: Telemetry) -> None:
    ms = 1_000_000
    telemetry.snapshot(START_NS, 100.0)
    telemetry.clock_is(300)
    telemetry.traded(START_NS, START_NS + 10 * ms)
    assert telemetry.snapshot(START_NS, 101.0).lag_p99_ms >= 310
    telemetry.clock_is(300)
    assert telemetry.snapshot(START_NS, 102.0).lag_p99_ms >= 310
    told: list[str] = []
    telemetry.gather = lambda: told.append("by the old clock")
    telemetry.clock_is(0)
    beat = telemetry.snapshot(START_NS, 103.0)
    assert (beat.clock_offset_ms, beat.lag_p50_ms, beat.lag_p99_ms, told[0]) == (0, 0, 0, "by the old clock")


def test_trades_that_are_told_of_later_do_not_turn_the_clock_back(telemetry: Telemetry) -> None:
    telemetry.beat.last_frame_at = START_NS + 2  # that of a ticker
    telemetry.passed_by(3, (), START_NS + 1)
    assert (telemetry.beat.last_frame_at, telemetry.beat.express_trades) == (START_NS + 2, 3)
    assert telemetry.beat.progress[DataType.TRADE].last_event_at == START_NS + 1
    telemetry.passed_by(1, (), START_NS + 5)
    assert (telemetry.beat.last_frame_at, telemetry.beat.express_trades) == (START_NS + 5, 4)


def test_old_latencies_leave_the_snapshot(telemetry: Telemetry) -> None:
    telemetry.snapshot(START_NS, 100.0)
    telemetry.latency.record(10)

    assert [telemetry.snapshot(START_NS, now_s).latency_p99_us for now_s in (110.0, 131.0, 162.0)] == [10, 10, 0]


def test_the_beginning_of_catching_up_is_that_of_the_oldest_hole(telemetry: Telemetry) -> None:
    told = []

    def record_state(now_ns: int) -> None:
        told.append(telemetry.snapshot(now_ns, 0.0).catching_up_since)

    record_state(1)
    telemetry.catching_up("trade", waiting=True)
    record_state(2)
    telemetry.catching_up("candles", waiting=True)
    telemetry.catching_up("trade", waiting=True)
    record_state(3)
    telemetry.catching_up("trade", waiting=False)
    record_state(4)
    telemetry.catching_up("candles", waiting=False)
    record_state(5)
    telemetry.catching_up("trade", waiting=True)
    record_state(6)
    telemetry.catching_up("trade", waiting=False)  # and another hole before the next beat
    telemetry.catching_up("trade", waiting=True)
    record_state(7)

    assert told == [0, 2, 2, 2, 0, 6, 7]
