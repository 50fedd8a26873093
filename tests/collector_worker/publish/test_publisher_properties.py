"""Whatever becomes of the connection to Redis, in the end Redis holds what was published, once and in order."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from collector_worker.publish.buffer import Buffer
from collector_worker.publish.own_streams import Stream
from collector_worker.publish.publisher import Pacing, Publisher
from collector_worker.telemetry.telemetry import Telemetry
from common.config.collector import ExchangeCollectorConfig
from tests.support.clock import ManualClock
from tests.support.fakes import FakePipe, Fault
from tests.support.waiting import PATIENCE_S
from tickfleet.contract.events import Event, FeedState, FeedStatus, Gap, Ticker, Trade
from tickfleet.contract.identity import DataType
from tickfleet.redis.protocol import Reply

NOW = ManualClock().now_ns()
ROOMY = 1_000_000


@dataclass(frozen=True)
class Turn:
    """Let the sender run for some steps of the event loop."""

    steps: int


class Hash:
    """Write the hash that names the last entry."""


class Marker:
    """Publish a ``feed_status`` among the trades."""


ACTS = st.one_of(
    st.sampled_from([DataType.TRADE, DataType.TRADE, DataType.TICKER]),
    st.builds(Turn, st.integers(1, 6)),
    st.just(Hash()),
    st.just(Marker()),
)
FAULTS = st.lists(st.sampled_from(list(Fault)), max_size=12)
Act = DataType | Turn | Hash | Marker


class WatchedPipe(FakePipe):
    """Notices a hash that names an entry which is not there."""

    async def transaction(self, commands: Sequence[bytes]) -> list[Reply]:
        try:
            return await super().transaction(commands)
        finally:
            named = self.hashes.get("h", {}).get("stream_id", "")
            assert not named or named in self.ids("t")


class Run:
    """Carries out a schedule, and remembers what found room."""

    def __init__(self, faults: list[Fault], buffer_bytes: int) -> None:
        config = ExchangeCollectorConfig("okx", "BTC-USDT", (DataType.TRADE, DataType.TICKER))
        self.pipe = WatchedPipe(faults)
        self.telemetry = Telemetry(config, NOW)
        pacing = Pacing(batch_entries=3, retry_first_s=0.0)
        self.publisher = Publisher(self.pipe, self.telemetry, ManualClock(), Buffer(buffer_bytes), pacing)
        self.streams = {
            DataType.TRADE: Stream("t", DataType.TRADE, 1_000),
            DataType.TICKER: Stream("k", DataType.TICKER, 1_000),
        }
        self.taken: dict[DataType, list[Event]] = {DataType.TRADE: [], DataType.TICKER: []}
        self.refused = 0
        self.hashes: dict[str, dict[str, str]] = {}
        self._number = 0
        self._last_entry = ""

    async def carry_out(self, acts: list[Act]) -> None:
        sending = asyncio.create_task(self.publisher.run())
        async with asyncio.timeout(PATIENCE_S):
            for act in acts:
                await self._do(act)
            await self.publisher.drained()
        sending.cancel()
        await asyncio.wait([sending])

    async def _do(self, act: Act) -> None:
        if isinstance(act, Turn):
            for _ in range(act.steps):
                await asyncio.sleep(0)
        elif isinstance(act, Hash):
            if self._last_entry:
                self.hashes = {"h": {"stream_id": self._last_entry}}
                self.publisher.set_hash("h", {"stream_id": self._last_entry})
        elif isinstance(act, Marker):
            self._publish(DataType.TRADE, FeedStatus(ts_event=NOW, ts_recv=NOW, state=FeedState.STALE, reason="x"))
        elif act is DataType.TRADE:
            self._number += 1
            self._publish(act, Trade(NOW, NOW, str(self._number), "1", "2", "sell"))
        else:
            self._number += 1
            self._publish(act, Ticker(ts_event=NOW, ts_recv=NOW, last=str(self._number)))

    def _publish(self, data_type: DataType, event: Event) -> None:
        entry_id = self.publisher.publish(self.streams[data_type], event)
        if entry_id is None:
            self.refused += 1
            return
        self.taken[data_type].append(event)
        if data_type is DataType.TRADE:
            self._last_entry = entry_id


def carried_out(acts: list[Act], faults: list[Fault], buffer_bytes: int) -> Run:
    async def run() -> Run:
        run = Run(faults, buffer_bytes)
        await run.carry_out(acts)
        return run

    with capture_logs():
        return asyncio.run(run())


@given(st.lists(ACTS, max_size=40), FAULTS)
@settings(deadline=None)
def test_everything_once_and_in_order(acts: list[Act], faults: list[Fault]) -> None:
    run = carried_out(acts, faults, ROOMY)
    assert {"t": run.pipe.events("t"), "k": run.pipe.events("k")} == {
        "t": run.taken[DataType.TRADE],
        "k": run.taken[DataType.TICKER],
    }
    if Fault.LATE not in run.pipe.faults_seen:  # a transaction that comes late may bring an older state of a hash
        assert run.pipe.hashes == run.hashes
    beat = run.telemetry.beat
    assert (beat.entries_published, beat.entries_dropped) == (sum(map(len, run.taken.values())), 0)


@given(st.lists(ACTS, max_size=60), FAULTS)
@settings(deadline=None)
def test_what_found_no_room_is_the_only_loss_and_is_marked(acts: list[Act], faults: list[Fault]) -> None:
    run = carried_out(acts, faults, 900)
    trades, tickers = run.pipe.events("t"), run.pipe.events("k")
    assert [event for event in trades if not isinstance(event, Gap)] == run.taken[DataType.TRADE]
    assert [event for event in tickers if not isinstance(event, Gap)] == run.taken[DataType.TICKER]
    beat = run.telemetry.beat
    gaps = [event for event in (*trades, *tickers) if isinstance(event, Gap)]
    assert (beat.entries_dropped, beat.gaps) == (run.refused, len(gaps))
    assert bool(gaps) <= bool(run.refused)
    for before, gap, after in zip(trades, trades[1:], trades[2:], strict=False):
        if isinstance(gap, Gap) and isinstance(before, Trade) and isinstance(after, Trade):
            assert (gap.from_id, gap.to_id) == (before.trade_id, after.trade_id)
