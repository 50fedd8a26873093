"""Twins of what the manager talks to: a clock that the test moves, a supervisord in memory, heartbeats to order."""

from typing import Any

from msgspec.structs import replace

from common.config.collector import ExchangeCollectorConfig
from manager.model.processes import Process, ProcessState
from manager.model.verdicts import Pulse
from manager.supervisord.client import Fault, Reread, SupervisorEndingError, SupervisorRefusedError
from tickfleet.contract.health import BookState, Heartbeat, Progress, WorkerState
from tickfleet.contract.identity import DataType
from tickfleet.errors import SupervisorUnreachableError

REDIS_AWAY = "Redis at 127.0.0.1:6379 cannot be reached: it broke off the connection (ConnectionError)"
"""What is said of a fake Redis that was switched off."""

S = 1_000_000_000
NOW_NS = 1_800_000_000 * S
ALL_TYPES = (DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER, DataType.CANDLES)


class ManualClock:
    """A clock that a test moves; wall and monotonic time move together unless a test sets one."""

    def __init__(self) -> None:
        self.wall_ns, self.passed_s = NOW_NS, 1000.0

    def now_ns(self) -> int:
        """Wall clock, ns."""
        return self.wall_ns

    def monotonic_s(self) -> float:
        """Seconds since some start."""
        return self.passed_s

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self.wall_ns += round(seconds * S)
        self.passed_s += seconds


def config(symbol: str = "BTC-USDT", **changes: Any) -> ExchangeCollectorConfig:
    """A collector's configuration."""
    settings: dict[str, Any] = {"data_types": ALL_TYPES, **changes}
    return ExchangeCollectorConfig("okx", symbol, **settings)


def heartbeat(of: ExchangeCollectorConfig | None = None, now_ns: int = NOW_NS, **changes: Any) -> Heartbeat:
    """A heartbeat of a collector that has been running for ten minutes and got all its data a second ago."""
    of = of or config()
    facts: dict[str, Any] = {
        "collector": str(of.id),
        "pid": 4242,
        "host": "testhost",
        "run_id": "run-1",
        "config_id": of.fingerprint(),
        "version": "0.1.0",
        "started_at": now_ns - 600 * S,
        "connected_since": now_ns - 590 * S,
        "beat_at": now_ns,
        "beats": 600,
        "state": WorkerState.RUNNING,
        "last_frame_at": now_ns - S,
        "book_state": BookState.VALID if DataType.ORDERBOOK in of.data_types else None,
        "progress": {t: Progress(count=100, last_event_at=now_ns - S, silence_limit=30 * S) for t in of.data_types},
    }
    return Heartbeat(**{**facts, **changes})


def pulse(of: Heartbeat | None = None, age_s: float = 0.5, **changes: Any) -> Pulse:
    """A pulse with a heartbeat in it, fresh unless told otherwise."""
    return Pulse(**{"heartbeat": of or heartbeat(), "age_s": age_s, "expired": False, **changes})


def process(of: ExchangeCollectorConfig | None = None, **changes: Any) -> Process:
    """The process of a collector, running for ten minutes."""
    facts: dict[str, Any] = {
        "program": (of or config()).id.program,
        "state": ProcessState.RUNNING,
        "pid": 4242,
        "started_s": NOW_NS // S - 600,
        "uptime_s": 600,
    }
    return Process(**{**facts, **changes})


class FakeSupervisor:
    """supervisord in memory, with the blocking face and, by ``AsyncFakeSupervisor``, the other one.

    Attributes:
        table: Its processes by program.
        calls: What was asked of it, in order, without the looks.
        away: Whether it answers nobody.
        ending: Whether it is shutting down.
        hangs_s: How long it lets others wait, to give no answer then; 0 while it is well.
        refusals: Faults to answer with, by call.
        next_reread: What its next reading of its files will find.
    """

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.table: dict[str, Process] = {}
        self.calls: list[tuple[str, str]] = []
        self.away = False
        self.ending = False
        self.hangs_s = 0.0
        self.refusals: dict[str, Fault] = {}
        self.next_reread = Reread()
        self._next_pid = 100

    def know(self, *programs: str) -> None:
        """Take up programs that were never started."""
        for program in programs:
            self.table[program] = Process(program=program, state=ProcessState.STOPPED)

    def about(self) -> tuple[str, int]:
        """Version and process id; the latter is one that nobody has."""
        self._reach()
        return "4.3.0", 2**22 + 1

    def start_limits(self) -> dict[str, int]:
        """``startsecs``, as the manager's sections have it."""
        self._reach()
        return dict.fromkeys(self.table, 5)

    def processes(self) -> dict[str, Process]:
        """All processes."""
        self._reach()
        now_s = self.clock.now_ns() // S
        return {
            name: replace(found, uptime_s=now_s - found.started_s if found.pid else 0)
            for name, found in self.table.items()
        }

    def process(self, program: str) -> Process:
        """One process."""
        return self.processes()[program]

    def start(self, program: str) -> None:
        """Give the program a process."""
        self._call("start", program)
        self._next_pid += 1
        self.table[program] = Process(
            program=program, state=ProcessState.RUNNING, pid=self._next_pid, started_s=self.clock.now_ns() // S
        )

    def begin_stop(self, program: str) -> None:
        """Stop it, at once."""
        self._call("stop", program)
        self.end(program, ProcessState.STOPPED)

    def kill(self, program: str, pid: int) -> None:
        """Kill it; as the real one does, start another."""
        self._call("kill", program)
        assert self.table[program].pid == pid
        self.calls.append(("restarts", program))
        self._next_pid += 1
        self.table[program] = replace(self.table[program], pid=self._next_pid, started_s=self.clock.now_ns() // S)

    def reread(self) -> Reread:
        """Read the files again."""
        self._call("reread", "")
        found, self.next_reread = self.next_reread, Reread()
        return found

    def add(self, program: str) -> None:
        """Take up a program."""
        self._call("add", program)
        self.know(program)

    def remove(self, program: str) -> None:
        """Give up a program."""
        self._call("remove", program)
        self.table.pop(program, None)

    def end(self, program: str, state: ProcessState, exit_status: int = 0) -> None:
        """Let a process end."""
        self.table[program] = replace(self.table[program], state=state, pid=0, exit_status=exit_status)

    def _call(self, name: str, program: str) -> None:
        self._reach()
        self.calls.append((name, program))
        if name in self.refusals:
            raise SupervisorRefusedError(self.refusals[name])

    def _reach(self) -> None:
        if self.hangs_s:
            self.clock.move(self.hangs_s)
            raise SupervisorUnreachableError("supervisord at /fake gave no answer within 2 s")
        if self.ending:
            raise SupervisorEndingError("supervisord is shutting down")
        if self.away:
            raise SupervisorUnreachableError("supervisord does not answer at /fake")


class AsyncFakeSupervisor:
    """The awaitable face of a fake supervisord."""

    def __init__(self, sync: FakeSupervisor) -> None:
        self.sync = sync

    async def processes(self) -> dict[str, Process]:
        """All processes."""
        return self.sync.processes()

    async def start(self, program: str) -> None:
        """Start a process."""
        self.sync.start(program)

    async def stop(self, program: str) -> None:
        """Stop a process."""
        self.sync.begin_stop(program)

    async def kill(self, program: str, pid: int) -> None:
        """Kill a process."""
        self.sync.kill(program, pid)

    async def reread(self) -> Reread:
        """Read the files again."""
        return self.sync.reread()

    async def add(self, program: str) -> None:
        """Take up a program."""
        self.sync.add(program)

    async def remove(self, program: str) -> None:
        """Give up a program."""
        self.sync.remove(program)
