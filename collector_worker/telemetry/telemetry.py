"""The facts of this run, recorded where they happen and read by the heartbeat."""

import os
import resource
import secrets
import socket
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from collector_worker.telemetry.latency import LatencyHistogram
from common.config.collector import ExchangeCollectorConfig
from common.process.machine import machine_id
from tickfleet.contract.health import Heartbeat, Progress, RestLook, WorkerState
from tickfleet.contract.identity import DataType
from tickfleet.version import VERSION

LAG_EVERY = 8
"""Of so many trades the lag of one is recorded: the path of a trade is the hottest there is."""

NS_PER_S = 1_000_000_000

_PAGE_BYTES = resource.getpagesize()


class Telemetry:
    """Counters and states of one run. Plain attributes: the hot path only adds to them."""

    def __init__(self, config: ExchangeCollectorConfig, now_ns: int) -> None:
        self.beat = Heartbeat(
            collector=str(config.id),
            pid=os.getpid(),
            host=socket.gethostname(),
            machine=machine_id(),
            run_id=secrets.token_hex(6),
            config_id=config.fingerprint(),
            version=VERSION,
            started_at=now_ns,
            progress={data_type: Progress() for data_type in config.data_types},
        )
        self.latency = LatencyHistogram()
        self._lag = LatencyHistogram()
        self._trades = 0
        self._trade_progress = self.beat.progress.get(DataType.TRADE, Progress())
        self.stalled_s: dict[DataType, float] = {}
        """When data types were found stalled (monotonic): a connection that is older is of no more use for them."""
        self.gather: Callable[[], None] = _nothing
        """Has those tell what they have counted who do not do so at once."""
        self._feeds: dict[str, WorkerState] = {}
        self._unheard: set[str] = set()
        """Feeds that have brought nothing in this run."""
        self._first_data_ns = round(config.health_check_interval * NS_PER_S)
        self._troubles: dict[str, str] = {}
        self._ours: set[str] = set()
        self._catching_up: set[str] = set()
        self._dropped: dict[str, int] = {}
        self._garbled: dict[str, int] = {}

    def feed_is(self, feed: str, state: WorkerState, now_ns: int) -> None:
        """Note the state of one socket; the collector's own state follows from all of them."""
        if feed not in self._feeds:
            self._unheard.add(feed)
        self._feeds[feed] = state
        if state is WorkerState.RUNNING:
            self.settled(f"feed {feed}")
        running = all(known is WorkerState.RUNNING for known in self._feeds.values())
        if not running:
            self.beat.connected_since = 0
        elif not self.beat.connected_since:
            self.beat.connected_since = now_ns

    def heard(self, feed: str) -> None:
        """One socket has brought data, so it does more than confirm."""
        self._unheard.discard(feed)
        self.settled(_first_data(feed))

    def feed_lost(self, feed: str, reason: str, now_ns: int) -> None:
        """One socket has ended; the reason counts as a trouble until it runs again."""
        self.feed_is(feed, WorkerState.CONNECTING, now_ns)
        self.trouble(f"feed {feed}", reason)

    def trouble(self, about: str, why: str, *, ours: bool = True) -> None:
        """Note that something does not work, until it is ``settled``.

        A trouble degrades the state, unless it is the exchange's own problem: then we already collect all that is
        possible, and no change to this process would help.

        ``last_error`` is the newest present trouble; if there is none, the one that ended last.
        """
        self._troubles.pop(about, None)
        self._troubles[about] = self.beat.last_error = why
        (self._ours.add if ours else self._ours.discard)(about)

    def banned(self, until_ns: int, why: str) -> None:
        """Note the end (ns) and the answer of the exchange's ban of this machine; 0: no ban."""
        self.beat.banned_until, self.beat.banned_why = until_ns, why
        if until_ns:
            until = f"{datetime.fromtimestamp(until_ns // 1_000_000_000, UTC):%Y-%m-%d %H:%M:%S} UTC"
            self.trouble("ban", f"banned until {until}: {why}", ours=False)
        else:
            self.settled("ban")

    def limits_are_unshared(self, why: str) -> None:
        """Note why the exchange's limits are not shared with other collectors; empty if they are."""
        self.beat.limits_unshared = why
        if why:
            self.trouble("limits", f"the exchange's limits are not shared: {why}", ours=False)
        else:
            self.settled("limits")

    def troubled(self, about: str) -> bool:
        """Whether something of this kind does not work."""
        return about in self._troubles

    def settled(self, about: str) -> None:
        """The trouble is over, if there was any."""
        self._ours.discard(about)
        if self._troubles.pop(about, None) is not None and self._troubles:
            self.beat.last_error = next(reversed(self._troubles.values()))

    def catching_up(self, what: str, *, waiting: bool) -> None:
        """Note whether live data waits behind data that was missed."""
        if waiting:
            self._catching_up.add(what)
        elif self._catching_up:
            self._catching_up.discard(what)
            if not self._catching_up:
                self.beat.catching_up_since = 0  # the next hole is another one, also where it comes before the beat

    def dropped(self, what: str, count: int) -> None:
        """Note how many repeated items of a data type were dropped so far."""
        self.beat.duplicates_dropped += count - self._dropped.get(what, 0)
        self._dropped[what] = count

    def garbled(self, what: str, count: int) -> None:
        """Note how many items of a data type were implausible."""
        self.beat.decode_errors += count - self._garbled.get(what, 0)
        self._garbled[what] = count

    @property
    def has_data(self) -> bool:
        """Whether the exchange has sent anything in this run; with the fast path, as of the last beat."""
        return any(progress.last_event_at for progress in self.beat.progress.values())

    def seen(self, data_type: DataType, recv_ns: int) -> None:
        """Note that the feed has brought something of a data type, published or not."""
        self.beat.progress[data_type].last_event_at = recv_ns

    def event(self, data_type: DataType, recv_ns: int) -> None:
        """Note that the feed has brought one entry of a data type."""
        progress = self.beat.progress[data_type]
        progress.count += 1
        progress.last_event_at = recv_ns

    def traded(self, event_ns: int, recv_ns: int) -> None:
        """Note a live trade, and how long it took from the exchange; a sample is enough for a percentile."""
        self._trade_progress.last_event_at = recv_ns
        if self._trades % LAG_EVERY == 0:
            self._lag.record((recv_ns - event_ns) // 1000 + self.beat.clock_offset_ms * 1000)
        self._trades += 1

    def clock_is(self, offset_ms: int) -> None:
        """Note the exchange's clock minus ours. Earlier lags used another offset, so they are forgotten."""
        if offset_ms == self.beat.clock_offset_ms:
            return
        self.gather()
        self.beat.clock_offset_ms = offset_ms
        self._lag = LatencyHistogram()

    def passed_by(self, taken: int, lags_us: Sequence[int], recv_ns: int) -> None:
        """The fast path took trades: how many, how long some took from the exchange, and when the last came."""
        self._trade_progress.last_event_at = recv_ns
        self.beat.last_frame_at = max(recv_ns, self.beat.last_frame_at)  # meanwhile others came in the usual way
        self.beat.express_trades += taken
        self._trades += taken
        for lag_us in lags_us:
            self._lag.record(lag_us + self.beat.clock_offset_ms * 1000)

    def snapshot(self, now_ns: int, now_s: float) -> Heartbeat:
        """The heartbeat as of now."""
        self.gather()
        beat = self.beat
        beat.beats += 1
        beat.beat_at = now_ns
        if self._catching_up and not beat.catching_up_since:
            beat.catching_up_since = now_ns
        beat.rss_bytes = _rss_bytes()
        usage = resource.getrusage(resource.RUSAGE_SELF)
        beat.cpu_seconds = round(usage.ru_utime + usage.ru_stime, 3)
        self.latency.turn(now_s)
        self._lag.turn(now_s)
        beat.latency_p50_us = self.latency.percentile(0.50)
        beat.latency_p99_us = self.latency.percentile(0.99)
        beat.lag_p50_ms = self._lag.percentile(0.50) // 1000
        beat.lag_p99_ms = self._lag.percentile(0.99) // 1000
        if beat.state not in (WorkerState.STOPPING, WorkerState.STOPPED, WorkerState.ERROR):
            beat.state = self._state(now_ns)
        return beat

    def _waits(self, now_ns: int) -> bool:
        """Whether a feed has confirmed but brought nothing; False if REST has nothing newer either (a quiet market).

        Once this has lasted long enough to count as silence, ``last_error`` says so, too.
        """
        rests = self.beat.rest_look is RestLook.NOTHING_NEWER
        young = now_ns - self.beat.connected_since <= self._first_data_ns
        for feed in self._unheard:
            if young or rests:
                self.settled(_first_data(feed))
            elif not self.troubled(_first_data(feed)):
                why = f"the exchange has confirmed the subscriptions of the feed {feed} and sent no data"
                self.trouble(_first_data(feed), why, ours=False)
        return bool(self._unheard) and not rests

    def _state(self, now_ns: int) -> WorkerState:
        """Before anything runs, the least advanced feed decides; later, a feed that falls behind degrades the state.

        A feed that has only confirmed does not run yet: an exchange also confirms channels that it will never send.
        """
        states = list(self._feeds.values())
        if not states:
            return WorkerState.STARTING
        if all(state is WorkerState.RUNNING for state in states):
            if self._ours:
                return WorkerState.DEGRADED
            if self._catching_up:
                return WorkerState.CATCHING_UP
            return WorkerState.SUBSCRIBING if self._waits(now_ns) else WorkerState.RUNNING
        if any(state is WorkerState.RUNNING for state in states):
            return WorkerState.DEGRADED
        return WorkerState.CONNECTING if WorkerState.CONNECTING in states else WorkerState.SUBSCRIBING


def _first_data(feed: str) -> str:
    """The subject of the trouble that a feed has confirmed but brings nothing."""
    return f"first data of {feed}"


def _nothing() -> None:
    """A settle function that does nothing: all is reported at once."""


def _rss_bytes() -> int:
    """Resident memory now (Linux), or its peak without /proc (macOS gives bytes)."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * _PAGE_BYTES
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
