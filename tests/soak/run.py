"""Plays one plan against one collector; what the streams hold in the end is checked."""

import os
import shutil
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import msgspec
from redis.exceptions import RedisError

from tests.simulator.faults import Schedule
from tests.simulator.faults_hostile import RestFalseBook
from tests.soak.check import (
    NS_PER_MS,
    Book,
    BookReader,
    Standstill,
    book_faults,
    candle_faults,
    followed,
    id_faults,
    is_refusal,
    joiner_faults,
    joining,
    ledger_faults,
    ledger_states,
    missing_trades,
    ours,
    reader_faults,
    strange_faults,
    trade_faults,
)
from tests.soak.check_readers import handed_faults, live_book_faults
from tests.soak.plan import NATIVE, Plan, stream_keys
from tests.soak.readers import GROUP, SHOWN_LEVELS, Readers
from tests.soak.report import Report
from tests.support.fault_player import FaultPlayer
from tests.support.ports import wait_until
from tests.support.process_faults import BLOCKABLE, ProcessFault
from tests.support.processes import Process, SimulatorProcess, start_worker
from tests.support.redis_faults import RedisFault
from tests.support.redis_site import RedisSite
from tickfleet.contract import keys
from tickfleet.contract.coverage import State, intervals, read_entry
from tickfleet.contract.identity import DataType
from tickfleet.reading.selection import StreamName

HEALTHY_S = 40.0
SETTLE_S = 90.0
"""``max_backfill_wait``, and what a busy machine takes."""
READ_S = 30.0

OTHERS_WRITE = "another process writes the streams of this collector"
"""With these words a run ends whose streams are not as it left them."""

FRESH_NS = 3_000_000_000
"""A heartbeat that is older tells nothing of now."""
STALLED_S = 10.0
"""A collector gives up a REST that takes longer."""
_LATE_S = 60.0
"""How much longer than planned the faults may take on a busy machine."""

_DEPTH = {"okx": 400, "binance": 100}
"""Levels of a side that are compared; of what lies deeper on Binance, a book knows only what has changed."""


class Collector:
    """The worker under test; one that dies is started again, as supervisord would."""

    def __init__(self, plan: Plan, folder: Path, fleet: Path) -> None:
        self._plan = plan
        self._folder = folder
        self._fleet = fleet
        self.runs = 0
        self.process = self._start()

    def _start(self) -> Process:
        self.runs += 1
        who, log = self._plan.collector, self._folder / f"worker-{self.runs}.log"
        return start_worker(who.exchange, who.symbol, self._fleet, log, TICKFLEET_ROOT=str(self._folder), **BLOCKABLE)

    @property
    def pid(self) -> int:
        """The process id of the present run."""
        return self.process.pid

    def watch(self) -> None:
        """Start it again where it has ended."""
        if self.process.exit_code is not None:
            self.process.stop()
            self.process = self._start()


class Site:
    """Everything that takes part in one schedule.

    Args:
        plan: The schedule.
        folder: For all that is written.
        ends: What ends it all is put here.
    """

    def __init__(self, plan: Plan, folder: Path, ends: ExitStack) -> None:
        self.plan = plan
        self.standstill = Standstill()
        self.slowest_s = 0.0
        """The longest that the simulator took to answer us."""
        self.redis = RedisSite(folder, replica=any(fault.kind == "failover" for fault in plan.redis))
        ends.callback(self.redis.stop)
        self.redis.start()
        self.exchange = SimulatorProcess("--exchange", plan.exchange, "--seed", str(plan.seed), "--trades-per-s", "20")
        ends.callback(self.exchange.stop)
        fleet = folder / "fleet.toml"
        fleet.write_text(self._fleet())
        self.collector = Collector(plan, folder, fleet)
        ends.callback(lambda: self.collector.process.stop())
        url = f"redis://127.0.0.1:{self.redis.proxy.port}/0"
        self.readers = Readers(plan.collector, url, folder / "readers.log").start()
        ends.callback(self.readers.stop)

    def _fleet(self) -> str:
        base = f"127.0.0.1:{self.exchange.port}"
        path = ("/ws/v5/public", "/ws/v5/business") if self.plan.exchange == "okx" else ("", "")
        return (
            f'[redis]\nurl = "redis://127.0.0.1:{self.redis.proxy.port}/0"\n'
            f"[exchanges.{self.plan.exchange}]\n"
            f'ws_public = "ws://{base}{path[0]}"\nws_business = "ws://{base}{path[1]}"\nrest = "http://{base}"\n'
            f'[[collectors]]\nexchange = "{self.plan.exchange}"\nsymbol = "{self.plan.collector.symbol}"\n'
            'candle_intervals = ["1m"]\n'
        )

    def healthy(self) -> bool:
        """Whether the collector's present run has nothing to complain of; one that has ended is started again."""
        self.collector.watch()
        beat = self.redis.client.hgetall(keys.heartbeat(self.plan.collector))
        running = beat.get("state") == "running" and beat.get("book_state") == "valid"
        return running and int(beat["trade_count"]) > 0 and int(beat["pid"]) == self.collector.pid

    def check_standstill(self) -> None:
        """Look whether the trades stand still while the collector says that all is well."""
        newest, running = "", False
        with suppress(RedisError):  # it may be away just now
            beat = self.redis.client.hgetall(keys.heartbeat(self.plan.collector))
            entries = self.redis.client.xrevrange(keys.stream(self.plan.collector, DataType.TRADE), count=1)
            newest = entries[0][0] if entries else ""
            running = beat.get("state") == "running" and time.time_ns() - int(beat["beat_at"]) < FRESH_NS
        self.standstill.observe(time.monotonic(), newest, running=running)

    def ask(self, page: str) -> Any:
        """A page of the simulator about itself; how long it took is noted, as no fault delays it."""
        began_s = time.monotonic()
        answer = self.exchange.get(f"/sim/{page}")
        self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)
        return answer

    def record(self, page: str, query: str = "") -> Any:
        """What the exchange knows to be true."""
        return self.ask(f"{page}?instId={NATIVE[self.plan.exchange]}{query}")

    def entries(self, key: str) -> list[Any]:
        """What one has read who has followed a stream all the time, whatever users deleted and others wrote."""
        return followed(self.parts(key))

    def parts(self, key: str) -> list[list[Any]]:
        """What users have deleted of a stream, each time, and what is there."""
        return [ours(part) for part in (*self.redis.deleted.get(key, ()), self.redis.client.xrange(key))]

    def begun_anew(self, key: str) -> set[str]:
        """Ids of the first entries of a stream after each time that it was deleted."""
        _, *later = (ours(part) for part in (*self.redis.deleted.get(key, ()), self.redis.client.xrange(key)))
        return {part[0][0] for part in later if part}

    def newest(self) -> dict[str, str]:
        """The id of the last entry of each stream, by its key."""
        ends = {key: self.redis.client.xrevrange(key, count=1) for key in stream_keys(self.plan.collector).values()}
        return {key: entries[0][0] for key, entries in ends.items() if entries}

    def pending(self) -> int:
        """How many entries the group was handed that it has not confirmed: their answer was lost on the way."""
        found = 0
        for key in stream_keys(self.plan.collector).values():
            with suppress(RedisError):  # there is no such stream, or no group
                found += self.redis.client.xpending(key, GROUP)["pending"]
        return found

    def market_faults(self) -> list[dict[str, Any]]:
        """The faults of the exchange as it tells of them."""
        runs: Any = self.ask("faults")
        return [fault for run in runs for fault in run["faults"]]


def run_plan(plan: Plan) -> Report:
    """Play one plan. What it leaves behind is removed, unless there are complaints."""
    report = Report(plan=plan)
    folder = Path(tempfile.mkdtemp(prefix="tf-soak-"))
    with ExitStack() as ends:
        site = Site(plan, folder, ends)
        try:
            wait_until(site.healthy, HEALTHY_S, "the collector is healthy at first")
            _suffer(site)
            _settle(site)
            if code := _stop_collector(site):
                report.complaints.append(f"the collector ended with exit code {code}")
            wait_until(
                lambda: site.readers.have_read(site.newest()) and not site.pending(),
                READ_S,
                "the readers have read all",
            )
        except AssertionError as error:
            report.complaints.append(str(error))
        finally:
            site.collector.process.stop()
            site.readers.stop()
        report.runs = site.collector.runs
        report.hits = [fault["fault"]["kind"] for fault in site.market_faults() if fault["hits"]]
        _check(report, site)
    if report.complaints:
        if site.slowest_s > STALLED_S:  # then REST did not answer the collector either, whatever was drawn
            report.complaints.append(
                f"the simulator stood still for {site.slowest_s:.0f} s: too busy a machine to judge"
            )
        report.complaints.append(f"see {folder}")
        (folder / "report.json").write_bytes(msgspec.json.encode(report))
    else:
        shutil.rmtree(folder)
    return report


def _suffer(site: Site) -> None:
    """Let the faults of exchange, Redis and process happen together."""
    plan, redis, collector = site.plan, site.redis, site.collector
    site.ask(f"do/schedule?seed={plan.seed}&duration_s={plan.duration_s}&instruments={NATIVE[plan.exchange]}")
    drawn = [fault["fault"] for fault in site.market_faults()]
    if msgspec.convert({"seed": plan.seed, "faults": drawn}, Schedule) != plan.market:
        raise AssertionError("the exchange plays another schedule")
    stopped: dict[ProcessFault, int] = {}

    def hurt(fault: ProcessFault) -> None:
        pid = stopped[fault] = collector.pid
        fault.start(pid)
        if fault.kind == "sigkill":  # it is over when the process is gone, else a last one would seem to be well
            with suppress(ChildProcessError):
                os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

    players: list[FaultPlayer[Any]] = [
        FaultPlayer[RedisFault](plan.redis, lambda f: f.start(redis), lambda f: f.end(redis)).start(),
        FaultPlayer[ProcessFault](plan.process, hurt, lambda f: f.end(stopped[f])).start(),
    ]

    def over() -> bool:
        collector.watch()
        site.check_standstill()
        done = all(fault["state"] == "done" for fault in site.market_faults())
        return done and not any(player.playing for player in players)

    try:
        wait_until(over, plan.duration_s + _LATE_S, "the faults are over")
    finally:
        for player in players:
            player.stop()
    for player in players:
        player.join(0)


def _settle(site: Site) -> None:
    """Wait until the collector has caught up with the exchange as it is now."""
    newest = int(site.record("trades")[-1]["id"])
    key = keys.stream(site.plan.collector, DataType.TRADE)

    def caught_up() -> bool:
        site.check_standstill()
        if not site.healthy():
            return False
        last = site.redis.client.xrevrange(key, count=20)
        numbers = [int(fields["trade_id"]) for _, fields in ours(last) if fields["type"] == "trade"]
        return bool(numbers) and numbers[0] >= newest

    wait_until(caught_up, SETTLE_S, "the collector has caught up")


def _stop_collector(site: Site) -> int:
    """Its exit code. One that is just ending by itself, for what others wrote, continues as another run first."""
    code = site.collector.process.stop()
    if code and OTHERS_WRITE in site.collector.process.text():
        site.collector.watch()
        _settle(site)
        code = site.collector.process.stop()
    return code


def _check(report: Report, site: Site) -> None:
    plan = site.plan
    streams = {name: site.entries(key) for name, key in stream_keys(plan.collector).items()}
    for entries in streams.values():
        report.complaints += id_faults(entries) + strange_faults(entries)
    report.complaints += site.standstill.complaints
    trades = [fields for _, fields in streams["trade"] if fields["type"] == "trade"]
    report.trades, report.books = len(trades), len(streams["orderbook"])
    report.backfilled = sum(fields["origin"] == "backfill" for fields in trades)
    gaps = any(fault.kind == "rest_lost" for fault in plan.market.faults)
    record = site.record("trades")
    report.complaints += trade_faults(streams["trade"], record, shifts_ms=plan.shifts_ms, gaps=gaps)
    if {*plan.shifts_ms} == {0}:  # else a trade that comes again has another time
        name = StreamName(plan.collector, DataType.TRADE)
        report.complaints += reader_faults(name, site.parts(name.key))
    report.complaints += _check_book(site, streams["orderbook"])
    report.complaints += _check_readers(site, record)
    report.complaints += candle_faults(streams["candles"], site.record("candles", "&bar=1m"), gaps=gaps)
    now_ns = time.time_ns()
    ledger = [read_entry(fields, now_ns) for _, fields in ours(site.redis.client.xrange(keys.coverage(plan.collector)))]
    missing_ns = [int(row["ts"]) * NS_PER_MS for row in missing_trades(streams["trade"], record)]
    report.complaints += ledger_faults(intervals(ledger, DataType.TRADE), time.time_ns(), missing_ns)
    for about in ((DataType.ORDERBOOK, ""), (DataType.TICKER, ""), (DataType.CANDLES, "1m")):
        report.complaints += ledger_faults(intervals(ledger, *about), time.time_ns())
    states = ledger_states(intervals(ledger, DataType.TRADE))
    refused = any(is_refusal(fields) for _, fields in streams["trade"])
    allowed = {State.COMPLETE, State.FILLED} | ({State.LOST} if gaps or refused else set())
    if any(fault.kind == "delete" and fault.key == stream_keys(plan.collector)["trade"] for fault in plan.redis):
        allowed |= {State.UNKNOWN}  # a run that is killed just then leaves nothing to tell whether a gap went with it
    if any(fault.kind == "foreign" and fault.key == keys.coverage(plan.collector) for fault in plan.redis):
        allowed |= {State.UNKNOWN}  # who cannot read all of a ledger confirms none of it
    if not states <= allowed:
        report.complaints.append(f"the ledger of the trades holds {sorted(state.value for state in states)}")


def _check_book(site: Site, entries: list[Any]) -> list[str]:
    written: Book = site.redis.client.hgetall(keys.book(site.plan.collector))
    reader = BookReader(site.begun_anew(stream_keys(site.plan.collector)["orderbook"])).read(entries)
    complaints = []
    if reader.waits and "stream_id" in written:  # then a reader begins again with the hash
        complaints, reader = reader.complaints, joining(written, entries)
    records = site.record("book", f"&seqId={reader.seq}")
    complaints += book_faults(reader, records[0] if records else None, _DEPTH[site.plan.exchange])
    return complaints + joiner_faults(written, entries, reader)


def _check_readers(site: Site, record: list[Any]) -> list[str]:
    """What the readers were handed meanwhile, against what was in the streams and what the exchange had."""
    plan, readers, kinds = site.plan, site.readers, {fault.kind for fault in site.plan.redis}
    parts = site.parts(stream_keys(plan.collector)["trade"])
    there = {int(fields["trade_id"]) for part in parts for _, fields in part if fields["type"] == "trade"}
    is_dated = {*plan.shifts_ms} == {0}  # else a trade that comes again has another time
    complaints = readers.complaints + handed_faults("the subscriber", readers.subscriber, there, record, once=is_dated)
    complaints += handed_faults("the group", readers.group, there, record, once=is_dated and kinds <= {"foreign"})
    if not kinds & {"delete", "failover", "restart"}:
        streams = stream_keys(plan.collector).values()
        others = sum(len(f.foreign()) for f in plan.redis if f.kind == "foreign" and f.key in streams)
        if readers.skipped != others:
            complaints.append(f"the subscriber passed over {readers.skipped} entries, others wrote {others}")

    def book_at(seq: int) -> Any:
        books = site.record("book", f"&seqId={seq}&sz={SHOWN_LEVELS}")
        return books[0] if books else None

    # Of a book that was seeded by few levels only the best prices are certain until a second answer has more.
    few = any(isinstance(fault, RestFalseBook) and fault.style == "few" for fault in plan.market.faults)
    return complaints + live_book_faults(readers.books, book_at, 1 if few else SHOWN_LEVELS)
