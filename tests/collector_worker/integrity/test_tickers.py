from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector_worker.integrity.tickers import TickerGate
from tests.support.clock import ManualClock
from tests.support.pipeline_rig import PipelineRig
from tickfleet.contract.coverage import LedgerKind
from tickfleet.contract.events import Event, Ticker
from tickfleet.contract.health import WorkerState

S = 1_000_000_000
WAIT_S = 60
TROUBLE = "tickers arrive, but all are older than the last one"


class TickerRig:
    """Tickers on their way into their stream: each a second after the one before it."""

    def __init__(self, lag_s: float = 0.0, offset_s: float = 0.0) -> None:
        self.clock = ManualClock()
        self.rig = PipelineRig(self.clock)
        self.rig.telemetry.feed_is("public", WorkerState.RUNNING, self.clock.now_ns())
        self.rig.telemetry.heard("public")
        self.rig.telemetry.clock_is(int(offset_s * 1_000))
        self.lag_ns = int(lag_s * S)

    def push(self, ts_event: int | None = None) -> list[tuple[str, Event]]:
        """A ticker arrives, of now as the exchange's clock goes or of another time; what is published."""
        now_ns = self.clock.now_ns()
        at_ns = now_ns - self.lag_ns if ts_event is None else ts_event
        self.rig.pipeline.on_event(Ticker(ts_event=at_ns, ts_recv=now_ns, last="1"))
        self.clock.advance(1.0)
        return self.rig.taken()

    @property
    def state(self) -> WorkerState:
        """The state that the heartbeat would show."""
        return self.rig.telemetry.snapshot(self.clock.now_ns(), 0.0).state


def test_the_latest_ticker_wins() -> None:
    gate = TickerGate(60.0)
    times = (5, 5, 4, 6, 5, 7)
    admitted = [gate.admits(Ticker(ts_event=time, ts_recv=6), 6, 0.0) for time in times]
    assert admitted == [True, True, False, True, False, True]


def test_two_late_tickers_of_a_quiet_market_are_no_clock_that_went_back() -> None:
    gate = TickerGate(30.0)
    times_s = ((100, 0.0), (90, 1.0), (95, 40.0), (96, 41.0))
    admitted = [gate.admits(Ticker(ts_event=ts, ts_recv=ts), ts, now_s) for ts, now_s in times_s]
    assert admitted == [True, False, False, True], "three in a row are"


CLOCKS = {
    "as ours": (0.0, 0.0),
    "behind ours": (50.0, -50.0),
    "ahead of ours": (-50.0, 50.0),
    "ahead of ours, not measured": (-50.0, 0.0),
}
NOT_MEASURED = {"behind ours, not measured": (50.0, 0.0), "a day behind ours, not measured": (86_400.0, 0.0)}
FALSE_NS = {"59 s": 59 * S, "2 s": 2 * S, "in years": 10**18, "years ago": -(10**18)}
WRONG = {f"{time}, {clock}": (FALSE_NS[time], *CLOCKS[clock]) for time in FALSE_NS for clock in CLOCKS}
WRONG |= {f"years ago, {clock}": (-(10**18), *NOT_MEASURED[clock]) for clock in NOT_MEASURED}


@pytest.mark.parametrize(("false_ns", "lag_s", "offset_s"), WRONG.values(), ids=WRONG)
def test_one_ticker_of_a_wrong_time_costs_no_other(false_ns: int, lag_s: float, offset_s: float) -> None:
    made = TickerRig(lag_s, offset_s)
    made.push()
    made.push(made.clock.now_ns() - made.lag_ns + false_ns)
    published = [made.push() for _ in range(60)]
    assert [len(each) for each in published] == [1] * 60
    assert (made.state, made.rig.beat.last_error) == (WorkerState.RUNNING, "")


def test_tickers_of_a_clock_that_went_back_are_refused_for_the_wait_only() -> None:
    made = TickerRig()
    made.push()
    made.rig.ledger.clear()
    made.lag_ns = 3_600 * S
    published = []
    for second in range(WAIT_S + 10):
        published += made.push()
        refused = 10 <= second < WAIT_S
        assert (made.state is WorkerState.DEGRADED) == refused
        assert not refused or made.rig.beat.last_error == TROUBLE
    assert len(published) == 10
    assert [entry.reason for entry in made.rig.ledger if entry.kind is LedgerKind.GAP_LOST] == ["not_available"]


@given(
    st.sampled_from([*CLOCKS.values(), *NOT_MEASURED.values()]),
    st.lists(st.one_of(st.none(), st.integers(0, 2**62), st.integers(-70, 70).map(float)), max_size=25),
)
def test_after_tickers_of_any_times_the_good_ones_are_published_again(
    clocks: tuple[float, float], times: Sequence[int | float | None]
) -> None:
    made = TickerRig(*clocks)
    for time in times:
        made.push(made.clock.now_ns() + int(time * S) if isinstance(time, float) else time)
    for _ in range(WAIT_S + 2):
        made.push()
    assert [len(made.push()) for _ in range(20)] == [1] * 20
    assert made.state is WorkerState.RUNNING
