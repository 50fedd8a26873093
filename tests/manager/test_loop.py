import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import fakeredis
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from common.config.environment import Environment
from common.config.fleet_file import Fleet
from common.config.manager_limits import Tuning
from manager.act.programs import Launch
from manager.act.reconciler import Reconciler
from manager.desired.overrides import Override, OverrideState, encode
from manager.desired.source import Wanted
from manager.loop import Loop
from manager.model.journal_entries import JournalEntry, What, from_fields, write_now
from manager.model.processes import ProcessState
from manager.model.verdicts import Verdict
from manager.report.reporter import Reporter
from manager.report.snapshot import Snapshot, why_unwell
from manager.settings import ManagerSettings
from manager.supervisord.client import Fault, Reread
from tests.manager.fakes import REDIS_AWAY, AsyncFakeSupervisor, FakeSupervisor, ManualClock, S, config, heartbeat
from tests.manager.report.metrics.scene import figures
from tickfleet.contract import keys
from tickfleet.contract.health import WorkerState
from tickfleet.contract.identity import CollectorId
from tickfleet.errors import InvalidConfigurationError, RedisUnreachableError
from tickfleet.redis.config import RedisConfig

BTC, ETH = config(), config("ETH-USDT")


class Stage:
    """A manager's loop with everything around it in memory; ``round`` is one second of its life."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.supervisor = FakeSupervisor(self.clock)
        self.server = fakeredis.FakeServer()
        self.redis: Any = fakeredis.FakeRedis(server=self.server, decode_responses=True)
        self.fleet = Fleet(redis=RedisConfig(), collectors=(BTC, ETH))
        self.load: Callable[[], Fleet] = lambda: self.fleet
        self.environment = Environment(root=folder, fleet_path=folder / "fleet.toml")
        self.beating = True
        self.symptoms: dict[CollectorId, dict[str, Any]] = {}  # what heartbeats say that are not those of health
        self.snapshot = Snapshot(self.clock.passed_s)
        self.loop = self.new_loop()

    def new_loop(self) -> Loop:
        """A manager that knows nothing yet; the one before has ended, and its lease has expired."""
        self.redis.delete(keys.FLEET_LEASE)
        supervisor, settings = AsyncFakeSupervisor(self.supervisor), ManagerSettings()
        environment = self.environment
        launch = Launch(
            command=("/w",),
            applied=environment.applied,
            root=environment.root,
            logs=environment.logs,
            redis_id="1",
        )
        return Loop(
            Wanted(self.fleet, str(environment.fleet_path), lambda: self.load()),
            connect=lambda _: fakeredis.FakeAsyncRedis(server=self.server, decode_responses=True),
            supervisor=supervisor,
            reconciler=Reconciler(environment, lambda _: launch, supervisor, self.clock, settings),
            clock=self.clock,
            settings=settings,
            reporter=Reporter(environment.var, self.clock, settings, snapshot=self.snapshot),
        )

    async def round(self, seconds: float = 1.0) -> None:
        """Time passes, the collectors beat, and the manager has one round with its actions carried out."""
        self.clock.move(seconds)
        if self.beating and self.server.connected:
            self.beat()
        async with asyncio.TaskGroup() as tasks:
            await self.loop.round(tasks)

    def beat(self) -> None:
        """All living collectors beat."""
        now_ns = self.clock.now_ns()
        for of in self.fleet.collectors:
            found = self.supervisor.table.get(of.id.program)
            if found is not None and found.alive:
                key = keys.heartbeat(of.id)
                facts = {"pid": found.pid, "beats": round(self.clock.passed_s), "run_id": str(found.pid)}
                fields = heartbeat(of, now_ns, **facts, **self.symptoms.get(of.id, {}))
                self.redis.hset(key, mapping=dict(fields.to_fields()))

    def silence(self) -> None:
        """All heartbeats stop and expire."""
        self.beating = False
        for of in self.fleet.collectors:
            self.redis.delete(keys.heartbeat(of.id))

    def manager(self) -> dict[str, str]:
        """The manager's heartbeat."""
        fields: dict[str, str] = self.redis.hgetall(keys.FLEET_MANAGER)
        return fields

    def journal(self, *kinds: What) -> list[tuple[str, str, str]]:
        """Kind, collector and reason of the entries of these kinds."""
        entries = (from_fields(fields) for _, fields in self.redis.xrange(keys.FLEET_EVENTS))
        return [(e.what.value, e.collector, e.why) for e in entries if e and (not kinds or e.what in kinds)]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    stage.supervisor.next_reread = Reread(added=(BTC.id.program, ETH.id.program))
    yield stage
    stage.redis.close()


@asynccontextmanager
async def running(stage: Stage) -> AsyncIterator[Stage]:
    """A stage whose collectors are up and healthy."""
    for _ in range(4):
        await stage.round()
    assert stage.manager()["healthy"] == "2"
    stage.supervisor.calls.clear()
    yield stage


async def test_a_fleet_is_applied_started_and_healthy(stage: Stage) -> None:
    async with running(stage):
        assert sorted(p.name for p in stage.environment.programs.iterdir()) == [
            "collector-okx-BTC-USDT.conf",
            "collector-okx-ETH-USDT.conf",
        ]
        fields = stage.manager()
        assert (fields["state"], fields["last_error"], fields["desired"], fields["parked"]) == (
            "running",
            "",
            "2",
            "{}",
        )
        assert 0 < stage.redis.ttl(keys.FLEET_MANAGER) <= 10
        assert stage.journal(What.ACTION) == [
            ("action", "okx:BTC-USDT", "not started yet"),
            ("action", "okx:ETH-USDT", "not started yet"),
        ]
        await stage.round()
        assert stage.supervisor.calls == []


async def test_a_normal_start_reads_as_one(stage: Stage) -> None:
    with capture_logs() as logs:
        async with running(stage):
            pass
    assert [line["event"] for line in logs if line["log_level"] != "info"] == []
    changes = [(what, collector, why) for what, collector, why in stage.journal(What.VERDICT_CHANGED)]
    assert sorted(changes) == [
        ("verdict_changed", "okx:BTC-USDT", "data flows"),
        ("verdict_changed", "okx:BTC-USDT", "not started yet"),
        ("verdict_changed", "okx:ETH-USDT", "data flows"),
        ("verdict_changed", "okx:ETH-USDT", "not started yet"),
    ]
    entries = [from_fields(fields) for _, fields in stage.redis.xrange(keys.FLEET_EVENTS)]
    turns = [e.details for e in entries if e and e.what is What.VERDICT_CHANGED and e.collector == "okx:BTC-USDT"]
    assert turns == [{"from": "", "to": "starting"}, {"from": "starting", "to": "healthy"}]


async def test_a_redis_that_was_killed_for_four_seconds_stands_in_the_journal(stage: Stage) -> None:
    async with running(stage):
        stage.server.connected = False
        since = stage.clock.now_ns() + S
        for _ in range(4):
            await stage.round()
        stage.server.connected = True
        await stage.round()
        entries = [from_fields(fields) for _, fields in stage.redis.xrange(keys.FLEET_EVENTS)]
        (back,) = (entry for entry in entries if entry and entry.what is What.REDIS_BACK)
        assert back.details == {"since": str(since), "until": str(since + 4 * S), "away_s": "4"}
        assert back.why.startswith("after 4 s, since 08:00:05 UTC (Redis at ")


async def test_a_new_manager_touches_nothing_that_is_well(stage: Stage) -> None:
    async with running(stage):
        journal = stage.journal()
        stage.loop = stage.new_loop()
        await stage.round()
        await stage.round()
        assert stage.supervisor.calls == [("reread", "")]
        assert stage.journal() == journal


async def test_a_dead_collector_is_started(stage: Stage) -> None:
    async with running(stage):
        stage.supervisor.end(BTC.id.program, ProcessState.FATAL)
        await stage.round()
        assert stage.supervisor.calls == [("start", BTC.id.program)]


async def test_a_hung_collector_is_killed_once(stage: Stage) -> None:
    async with running(stage):
        stage.fleet = replace(stage.fleet, collectors=(ETH,))  # the beat of BTC stops
        for _ in range(12):
            await stage.round()
        assert stage.supervisor.calls == [("kill", BTC.id.program), ("restarts", BTC.id.program)]


async def test_while_redis_is_away_nothing_is_touched_nor_soon_after(stage: Stage) -> None:
    async with running(stage):
        with capture_logs() as logs:
            stage.server.connected = False
            stage.supervisor.end(ETH.id.program, ProcessState.FATAL)
            for _ in range(20):
                await stage.round()
        assert [log["event"] for log in logs] == ["redis_lost"]
        assert stage.supervisor.calls == []
        stage.server.connected = True
        stage.silence()
        for _ in range(14):
            await stage.round()
        assert stage.supervisor.calls == [("start", ETH.id.program)]
        await stage.round()
        await stage.round()
        assert ("kill", BTC.id.program) in stage.supervisor.calls


AWAITED = "its next heartbeat is awaited: Redis, or the manager, was not there until a moment ago"


async def redis_is_away(stage: Stage) -> None:
    stage.server.connected = False
    for _ in range(9):
        await stage.round()
    stage.server.connected = True


async def redis_hangs_and_no_look_fails(stage: Stage) -> None:
    stage.supervisor.hangs_s = 6.5  # the look of both lasts so long
    await stage.round()
    stage.supervisor.hangs_s = 0.0


async def our_writes_fail(stage: Stage) -> None:
    stage.loop._poller.write_failed(RedisUnreachableError("READONLY"))


async def all_of_us_are_suspended(stage: Stage) -> None:
    await stage.round(seconds=9.0)


async def the_machine_sleeps(stage: Stage) -> None:
    stage.clock.wall_ns += 3600 * S
    await stage.round()


async def the_manager_begins_anew(stage: Stage) -> None:
    stage.loop = stage.new_loop()


@pytest.mark.parametrize(
    "away",
    [
        redis_is_away,
        redis_hangs_and_no_look_fails,
        our_writes_fail,
        all_of_us_are_suspended,
        the_machine_sleeps,
        the_manager_begins_anew,
    ],
)
async def test_who_has_no_heartbeat_just_after_an_absence_is_called_nothing(
    stage: Stage, away: Callable[[Stage], Awaitable[None]]
) -> None:
    """Its key has expired meanwhile, and it needs all the time that there is to reconnect."""
    async with running(stage):
        for _ in range(round(ManagerSettings().start_limit_s)):
            await stage.round()
        stage.silence()
        before = stage.journal(What.VERDICT_CHANGED)
        await away(stage)
        shown = set[tuple[Verdict, str]]()
        for _ in range(round(ManagerSettings().settle_s) - 1):
            await stage.round()
            shown |= {(each.verdict, each.why) for each in stage.snapshot.shown.judgements}
        assert shown - {(Verdict.HEALTHY, "data flows")} == {(Verdict.UNKNOWN, AWAITED)}
        assert stage.manager()["settling"] == "1"
        stage.beating = True
        await stage.round()
        await stage.round()
        assert {each.verdict for each in stage.snapshot.shown.judgements} == {Verdict.HEALTHY}
        assert stage.manager()["settling"] == "0"
        assert (called(stage), stage.journal(What.VERDICT_CHANGED)) == ([], before)


async def test_who_is_degraded_by_an_absence_of_redis_stays_as_he_was_after_it(stage: Stage) -> None:
    """The first heartbeats after it are of collectors that have just written again."""
    async with running(stage):
        for _ in range(5):
            await stage.round()
        before = stage.journal(What.VERDICT_CHANGED)
        for _ in range(2):
            await redis_is_away(stage)
        stage.symptoms[BTC.id] = {"state": WorkerState.DEGRADED, "last_error": "Redis cannot be reached"}
        await stage.round()
        stage.symptoms.clear()
        await stage.round()
        assert {each.verdict for each in stage.snapshot.shown.judgements} == {Verdict.HEALTHY}
        assert stage.journal(What.VERDICT_CHANGED) == before


@pytest.mark.parametrize("ours", [True, False], ids=["our writes are refused", "near its limit only those of others"])
async def test_while_redis_takes_no_writes_nobody_is_killed_nor_soon_after(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, ours: bool
) -> None:
    refusing, counted = True, 0

    async def count(_: Any) -> dict[str, int]:
        nonlocal counted
        counted += refusing
        return {"OOM": counted}

    async with running(stage):
        monkeypatch.setattr("manager.observe.poller.count_refusals", count)
        monkeypatch.setattr("manager.observe.poller.code_of_write", lambda _: "OOM" if ours and refusing else "")
        stage.silence()
        journal = stage.journal(What.VERDICT_CHANGED)
        for _ in range(60):
            await stage.round()
        assert stage.supervisor.calls == []
        why = f"Redis takes no writes: OOM, since 08:00:{'05' if ours else '06'} UTC"
        assert {(each.verdict, each.why) for each in stage.snapshot.shown.judgements} == {(Verdict.UNKNOWN, why)}
        assert why_unwell(stage.snapshot.shown, stage.clock.passed_s) == why
        assert (stage.manager()["state"], stage.manager()["last_error"]) == ("degraded", why)
        assert stage.journal(What.WRITES_REFUSED) == [("writes_refused", "", why)]
        assert stage.journal(What.VERDICT_CHANGED) == journal  # one cause is one entry
        refusing = False
        for _ in range(14):
            await stage.round()
        assert stage.supervisor.calls == []
        assert [kind for kind, *_ in stage.journal(What.WRITES_TAKEN)] == ["writes_taken"]
        await stage.round()
        await stage.round()
        assert ("kill", BTC.id.program) in stage.supervisor.calls


async def test_refused_writes_make_all_verdicts_unknown_before_heartbeats_expire(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(stage):
        journal = stage.journal(What.VERDICT_CHANGED)
        assert {each.verdict for each in stage.snapshot.shown.judgements} == {Verdict.HEALTHY}
        monkeypatch.setattr("manager.observe.poller.code_of_write", lambda _: "OOM")
        await stage.round()
        shown = [(each.verdict, each.why) for each in stage.snapshot.shown.judgements]
        assert shown == [(Verdict.UNKNOWN, "Redis takes no writes: OOM, since 08:00:05 UTC")] * 2
        assert (stage.supervisor.calls, stage.journal(What.VERDICT_CHANGED)) == ([], journal)


async def test_while_our_own_writes_are_refused_what_is_dead_is_not_started(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(stage):
        monkeypatch.setattr("manager.observe.poller.code_of_write", lambda _: "MISCONF")
        stage.supervisor.end(ETH.id.program, ProcessState.FATAL)
        for _ in range(3):
            await stage.round()
        assert stage.supervisor.calls == []
        monkeypatch.setattr("manager.observe.poller.code_of_write", lambda _: "")
        await stage.round()
        assert stage.supervisor.calls == [("start", ETH.id.program)]


async def test_while_our_own_writes_are_refused_what_is_disabled_is_stopped(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(stage):
        monkeypatch.setattr("manager.observe.poller.code_of_write", lambda _: "OOM")
        stage.fleet = replace(stage.fleet, collectors=(replace(BTC, enabled=False), ETH))
        stage.loop.reload_wanted.set()
        for _ in range(4):
            await stage.round()
        assert ("stop", BTC.id.program) in stage.supervisor.calls


async def test_redis_away_at_the_start_leaves_the_manager_blind_until_it_answers(stage: Stage) -> None:
    stage.server.connected = False
    for _ in range(3):
        await stage.round()
    assert [call for call in stage.supervisor.calls if call[0] == "start"] == []
    stage.server.connected = True
    async with running(stage):
        pass


async def test_supervisord_away_at_the_start(stage: Stage) -> None:
    stage.supervisor.away = True
    with capture_logs() as logs:
        for _ in range(3):
            await stage.round()
    assert [log["event"] for log in logs if log["log_level"] == "error"] == ["supervisor_lost"]
    fields = stage.manager()
    assert (fields["state"], fields["last_error"]) == ("degraded", "supervisord does not answer at /fake")
    stage.supervisor.away = False
    async with running(stage):
        pass


async def test_a_manager_that_was_late_looks_again_before_it_acts(stage: Stage) -> None:
    async with running(stage):
        stage.supervisor.end(BTC.id.program, ProcessState.FATAL)
        await stage.round(seconds=60)
        assert stage.supervisor.calls == []
        await stage.round()
        assert stage.supervisor.calls == [("start", BTC.id.program)]


async def test_a_supervisord_that_hangs_makes_the_manager_neither_late_nor_dumb(stage: Stage) -> None:
    async with running(stage):
        stage.supervisor.hangs_s = 5.1
        with capture_logs() as logs:
            for _ in range(12):
                await stage.round()
        assert [log["event"] for log in logs] == ["supervisor_lost"]
        fields = stage.manager()
        why = "supervisord at /fake gave no answer within 2 s"
        assert (fields["last_error"], fields["healthy"], fields["beats"]) == (why, "2", "16")
        assert fields["beat_at"] == str(stage.clock.now_ns())


async def test_a_late_manager_beats_all_the_same(stage: Stage) -> None:
    async with running(stage):
        for _ in range(3):
            await stage.round(seconds=60)
        fields = stage.manager()
        assert (fields["beat_at"], fields["healthy"], fields["beats"]) == (str(stage.clock.now_ns()), "2", "7")


async def test_an_unusable_journal_is_reported_once_and_the_fleet_still_healed(stage: Stage) -> None:
    stage.redis.set(keys.FLEET_EVENTS, "no stream")
    with capture_logs() as logs:
        async with running(stage):
            stage.fleet = replace(stage.fleet, collectors=(ETH,))  # the beat of BTC stops
            for _ in range(12):
                await stage.round()
            assert stage.supervisor.calls == [("kill", BTC.id.program), ("restarts", BTC.id.program)]
    told = [(log["event"], log["why"]) for log in logs if log["log_level"] == "error"]
    assert told == [
        ("journal_unreadable", "the journal md:v1:fleet:events cannot be read"),
        ("journal_unwritable", "Redis takes no entries for the journal md:v1:fleet:events"),
    ]
    assert stage.manager()["last_error"] == "the journal md:v1:fleet:events cannot be read"
    stage.redis.delete(keys.FLEET_EVENTS)
    await stage.round()
    await stage.round()
    assert stage.manager()["last_error"] == ""
    assert [name for _, name, _ in stage.journal(What.ACTION)] == ["okx:BTC-USDT", "okx:ETH-USDT", "okx:BTC-USDT"]


async def test_an_unwritable_time_key_is_reported_once_and_restarts_continue(stage: Stage) -> None:
    """Hung collectors are still restarted."""
    async with running(stage):
        with capture_logs() as logs:
            stage.redis.delete(keys.FLEET_WRITTEN)
            stage.redis.hset(keys.FLEET_WRITTEN, "another", "type")
            stage.fleet = replace(stage.fleet, collectors=(ETH,))  # the beat of BTC stops
            for _ in range(12):
                await stage.round()
        assert stage.supervisor.calls == [("kill", BTC.id.program), ("restarts", BTC.id.program)]
    why = f"Redis does not let us use {keys.FLEET_WRITTEN}"
    told = [(log["event"], log["why"]) for log in logs if log["log_level"] == "error"]
    assert (told, stage.manager()["last_error"]) == ([("tide_unusable", why)], why)
    stage.redis.delete(keys.FLEET_WRITTEN)
    await stage.round()
    await stage.round()
    assert stage.manager()["last_error"] == ""


async def test_a_reconnect_of_one_feed_is_no_news(stage: Stage) -> None:
    async with running(stage):
        before = stage.journal(What.VERDICT_CHANGED)
        found = stage.supervisor.table[BTC.id.program]
        for state in (WorkerState.DEGRADED, WorkerState.CATCHING_UP):
            stage.clock.move(1)
            stage.beat()
            stage.redis.hset(keys.heartbeat(BTC.id), "state", state.value)
            stage.beating = False
            await stage.round(0)
            stage.beating = True
            assert stage.manager()["healthy"] == "2"
        await stage.round()
        assert (stage.journal(What.VERDICT_CHANGED), stage.supervisor.table[BTC.id.program]) == (before, found)


async def test_a_supervisord_that_shuts_down_is_no_error(stage: Stage) -> None:
    async with running(stage):
        stage.supervisor.ending = True
        with capture_logs() as logs:
            stage.loop.reload_wanted.set()
            for _ in range(3):
                await stage.round()
        assert logs == [{"event": "supervisor_ending", "log_level": "info"}]
        assert stage.manager()["last_error"] == "supervisord is shutting down"


async def test_a_jump_of_the_wall_clock_kills_nobody(stage: Stage) -> None:
    async with running(stage):
        stage.beating = False
        stage.clock.wall_ns += 3600 * S
        for _ in range(4):
            await stage.round()
        stage.beating = True
        await stage.round()
        assert stage.supervisor.calls == []


async def test_reload_applies_only_what_changed(stage: Stage) -> None:
    async with running(stage):
        sol = config("SOL-USDT")
        stage.fleet = replace(stage.fleet, collectors=(replace(BTC, health_check_interval=9.0), sol))
        stage.supervisor.next_reread = Reread(
            added=(sol.id.program, "somebody-elses"),
            changed=(BTC.id.program, "manager"),
            removed=(ETH.id.program, "redis"),
        )
        stage.loop.reload_wanted.set()
        await stage.round()
        await stage.round()
        assert sorted(stage.supervisor.calls) == sorted(
            [
                ("reread", ""),
                ("add", sol.id.program),
                *((step, BTC.id.program) for step in ("stop", "remove", "add")),
                *((step, ETH.id.program) for step in ("stop", "remove")),
                ("start", sol.id.program),
                ("start", BTC.id.program),
            ]
        )
        assert sorted(p.stem for p in stage.environment.programs.iterdir()) == [BTC.id.program, sol.id.program]
        entry = next(
            fields for _, fields in stage.redis.xrevrange(keys.FLEET_EVENTS) if fields["what"] == "fleet_applied"
        )
        assert (entry["added"], entry["changed"], entry["removed"]) == ("okx:SOL-USDT", "okx:BTC-USDT", "okx:ETH-USDT")
        assert entry["who"] == "manager"


async def test_an_invalid_fleet_file_changes_nothing_and_is_told(stage: Stage) -> None:
    async with running(stage):

        def broken() -> Fleet:
            raise InvalidConfigurationError("fleet.toml: unknown key 'symbl'")

        stage.load = broken
        stage.loop.reload_wanted.set()
        with capture_logs() as logs:
            await stage.round()
        assert [(log["event"], log["why"]) for log in logs] == [("fleet_rejected", "fleet.toml: unknown key 'symbl'")]
        assert stage.journal(What.FLEET_REJECTED) == [("fleet_rejected", "", "fleet.toml: unknown key 'symbl'")]
        fields = stage.manager()
        assert (fields["state"], fields["last_error"]) == ("degraded", "fleet.toml: unknown key 'symbl'")
        assert (fields["healthy"], stage.supervisor.calls) == ("2", [])


async def test_a_disabled_collector_is_stopped_and_started_when_enabled_again(stage: Stage) -> None:
    async with running(stage):
        stage.fleet = replace(stage.fleet, collectors=(replace(BTC, enabled=False), ETH))
        stage.loop.reload_wanted.set()
        await stage.round()
        assert sorted(stage.supervisor.calls) == [("reread", ""), ("stop", BTC.id.program)]
        stage.fleet = replace(stage.fleet, collectors=(BTC, ETH))
        stage.loop.reload_wanted.set()
        await stage.round()
        assert sorted(stage.supervisor.calls[2:]) == [("reread", ""), ("start", BTC.id.program)]


def order(stage: Stage, command: str, override: OverrideState | None) -> None:
    """What a command does in Redis."""
    now_ns = stage.clock.now_ns()
    if override is None:
        stage.redis.hdel(keys.FLEET_DESIRED, str(BTC.id))
    else:
        stage.redis.hset(keys.FLEET_DESIRED, str(BTC.id), encode(Override(state=override, who="alice", at=now_ns)))
    entry = JournalEntry(
        at_ns=now_ns, who="alice", what=What.ORDERED, collector=str(BTC.id), details={"command": command}
    )
    write_now(stage.redis, entry)


def apply(stage: Stage, *, enabled: bool) -> None:
    """What an edited file does."""
    first, *others = stage.fleet.collectors
    stage.fleet = replace(stage.fleet, collectors=(replace(first, enabled=enabled), *others))
    stage.loop.reload_wanted.set()


@pytest.mark.parametrize("ends", [None, ProcessState.EXITED, ProcessState.FATAL])
@pytest.mark.parametrize(
    ("off", "on"),
    [
        (lambda s: order(s, "stop", OverrideState.STOPPED), lambda s: order(s, "start", None)),
        (lambda s: order(s, "disable", OverrideState.DISABLED), lambda s: order(s, "enable", None)),
        (lambda s: apply(s, enabled=False), lambda s: apply(s, enabled=True)),
    ],
)
async def test_without_auto_restart_an_order_to_run_is_obeyed_once(
    stage: Stage, off: Callable[[Stage], None], on: Callable[[Stage], None], ends: ProcessState | None
) -> None:
    stage.fleet = replace(stage.fleet, collectors=(replace(BTC, auto_restart=False), ETH))
    stage.loop = stage.new_loop()
    program = BTC.id.program
    async with running(stage):
        if ends is not None:
            stage.supervisor.end(program, ends)
            await stage.round()
        off(stage)
        await stage.round()
        assert not stage.supervisor.table[program].alive
        stage.loop = stage.new_loop()  # one that has to read it in the journal
        await stage.round()
        on(stage)
        for _ in range(3):
            await stage.round()
        assert stage.supervisor.table[program].alive
        stage.supervisor.end(program, ProcessState.EXITED)
        for _ in range(3):
            await stage.round()
        assert not stage.supervisor.table[program].alive
        assert stage.supervisor.calls.count(("start", program)) == 1


async def test_a_crash_loop_is_parked_and_a_new_manager_remembers(stage: Stage) -> None:
    async with running(stage):
        for _ in range(7):
            stage.supervisor.end(BTC.id.program, ProcessState.FATAL)
            await stage.round()
        assert stage.supervisor.calls == [("start", BTC.id.program)] * 5
        assert stage.manager()["crash_looping"] == "1"
        stage.loop = stage.new_loop()
        for _ in range(3):
            await stage.round()
        assert ("start", BTC.id.program) not in stage.supervisor.calls[5:]
        (parked,) = stage.journal(What.PARKED)
        assert parked[2].startswith("restarted 5 times within 60 s (its process ended within seconds of its start)")


async def test_a_program_that_cannot_be_started_is_parked_too(stage: Stage) -> None:
    async with running(stage):
        stage.supervisor.refusals["start"] = Fault.NO_FILE
        stage.supervisor.end(BTC.id.program, ProcessState.STOPPED)
        for _ in range(8):
            await stage.round()
        assert stage.supervisor.calls == [("start", BTC.id.program)] * 5
        assert stage.manager()["crash_looping"] == "1"


async def test_a_program_that_somebody_removed_is_put_back(stage: Stage) -> None:
    async with running(stage):
        for _ in range(10):
            await stage.round()  # the pause between two attempts
        stage.supervisor.remove(BTC.id.program)
        stage.supervisor.calls.clear()
        stage.supervisor.next_reread = Reread(added=(BTC.id.program,))
        await stage.round()
        await stage.round()
        assert stage.supervisor.calls == [("reread", ""), ("add", BTC.id.program), ("start", BTC.id.program)]


async def test_files_that_supervisord_cannot_read_are_told_once_and_tried_again(stage: Stage) -> None:
    stage.supervisor.refusals["reread"] = Fault.CANT_REREAD
    for _ in range(25):
        await stage.round()
    why = "supervisord cannot use its configuration files (supervisorctl reread says why)"
    assert stage.journal(What.APPLY_FAILED) == [("apply_failed", "", why)]
    assert stage.manager()["last_error"] == why
    assert stage.supervisor.calls == [("reread", "")] * 3


async def test_a_corrupt_heartbeat_stops_neither_the_loop_nor_the_collector(stage: Stage) -> None:
    async with running(stage):
        stage.redis.delete(keys.heartbeat(BTC.id))
        stage.redis.set(keys.heartbeat(BTC.id), "what?")
        stage.beating = False
        await stage.round()
        assert (stage.manager()["unknown"], stage.supervisor.calls) == ("1", [])


async def test_the_end_erases_the_heartbeat_and_is_told(stage: Stage) -> None:
    async with running(stage):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await stage.loop.run()
    assert stage.manager() == {}
    assert stage.redis.exists(keys.FLEET_LEASE) == 0
    assert stage.journal()[-1] == ("manager_stopped", "", "")


async def test_of_two_managers_one_acts_and_the_other_takes_over(stage: Stage) -> None:
    async with running(stage):
        lease, beats = stage.redis.get(keys.FLEET_LEASE), stage.manager()["beats"]
        stage.loop = stage.new_loop()
        stage.redis.set(keys.FLEET_LEASE, lease)  # the first one lives on
        stage.supervisor.end(BTC.id.program, ProcessState.FATAL)
        stage.loop.reload_wanted.set()
        before = stage.journal()
        for _ in range(10):
            await stage.round()
        assert (stage.supervisor.calls, stage.manager()["beats"]) == ([], beats)
        assert stage.journal()[len(before) :] == [("manager_standby", "", f"another manager acts: {lease}")]
        stage.redis.delete(keys.FLEET_LEASE)
        await stage.round()
        await stage.round()
        assert ("start", BTC.id.program) in stage.supervisor.calls
        assert stage.journal(What.MANAGER_TOOK_OVER) == [("manager_took_over", "", "the other manager has gone")]


async def test_a_manager_that_led_and_leads_again_reads_what_the_other_one_did(stage: Stage) -> None:
    async with running(stage):
        stage.redis.set(keys.FLEET_LEASE, "another")
        await stage.round()
        until_ns = stage.clock.now_ns() + 60 * S
        parked = JournalEntry(
            at_ns=stage.clock.now_ns(),
            who="another",
            what=What.PARKED,
            collector=str(BTC.id),
            details={"until": str(until_ns), "parks": "1"},
        )
        write_now(stage.redis, parked)
        stage.supervisor.end(BTC.id.program, ProcessState.FATAL)
        await stage.round()
        assert stage.supervisor.calls == []
        stage.redis.delete(keys.FLEET_LEASE)
        for _ in range(3):
            await stage.round()
        assert (stage.supervisor.calls, stage.manager()["crash_looping"]) == ([], "1")


async def test_each_round_is_on_the_board(stage: Stage) -> None:
    async with running(stage):
        shown = stage.snapshot.shown
        assert (shown.rounds, shown.leading, shown.at_s) == (4, True, stage.clock.passed_s)
        assert [judgement.verdict for judgement in shown.judgements] == [Verdict.HEALTHY] * 2
        assert (shown.beat["healthy"], shown.beat["metrics_port"]) == (2, 0)
        stage.server.connected = False
        await stage.round()
        shown = stage.snapshot.shown
        assert (shown.rounds, shown.redis_trouble) == (5, REDIS_AWAY)


STALLED = {"mute": "trade", "mute_reconnects": 2}


def called(stage: Stage) -> list[tuple[str, str]]:
    """What supervisord was asked to do to processes."""
    return [call for call in stage.supervisor.calls if call[0] != "reread"]


async def test_a_stalled_collector_is_restarted_and_stood_down_when_that_fails(stage: Stage) -> None:
    async with running(stage):
        stage.symptoms[BTC.id] = STALLED
        for _ in range(62):
            await stage.round()
        assert called(stage) == []
        for _ in range(4 * 66):
            await stage.round()
        assert called(stage) == [("stop", BTC.id.program), ("start", BTC.id.program)] * 3
        assert [collector for _, collector, _ in stage.journal(What.STOOD_DOWN)] == ["okx:BTC-USDT"]
        assert stage.manager()["stood_down"] == '["okx:BTC-USDT"]'


async def test_in_an_outage_a_new_manager_goes_on_with_the_probes(stage: Stage) -> None:
    async with running(stage):
        for _ in range(round(ManagerSettings().settle_s)):
            await stage.round()
        stage.symptoms = {BTC.id: STALLED, ETH.id: STALLED}
        for _ in range(5):
            await stage.round()
        assert (stage.manager()["exchange_outage"], called(stage)) == ("2", [])
        mark = stage.manager()["outages"]
        assert "okx" in mark
        stage.loop = stage.new_loop()
        await stage.round()
        assert stage.manager()["outages"] == mark
        for _ in range(26):
            await stage.round()
        assert called(stage) == []
        for _ in range(3):
            await stage.round()
        assert called(stage) == [("stop", BTC.id.program), ("start", BTC.id.program)]
        stage.symptoms = {}
        await stage.round()
        assert (stage.manager()["healthy"], stage.manager()["outages"]) == ("2", "{}")
        assert [kind for kind, _, _ in stage.journal(What.OUTAGE_BEGAN, What.OUTAGE_PROBED, What.OUTAGE_ENDED)] == [
            "outage_began",
            "outage_probed",
            "outage_ended",
        ]


async def test_while_redis_is_away_all_is_unknown_to_those_who_ask(stage: Stage) -> None:
    async with running(stage):
        stage.server.connected = False
        with capture_logs():
            await stage.round()
        assert [judgement.verdict for judgement in stage.snapshot.shown.judgements] == [Verdict.UNKNOWN] * 2


async def test_the_limits_of_a_changed_fleet_file_hold_at_once(stage: Stage) -> None:
    async with running(stage):
        stage.symptoms[BTC.id] = STALLED
        stage.fleet = replace(stage.fleet, tuning=Tuning(silent_confirm_s=5.0, recoveries_max=1))
        stage.loop.reload_wanted.set()
        for _ in range(30):
            await stage.round()
        assert called(stage) == [("stop", BTC.id.program), ("start", BTC.id.program)]
        assert [collector for _, collector, _ in stage.journal(What.STOOD_DOWN)] == ["okx:BTC-USDT"]


SOL = config("SOL-USDT")


@asynccontextmanager
async def standing_by(stage: Stage) -> AsyncIterator[str]:
    """The stage's manager looks on while another one acts, who has applied a newer file; gives the other's lease."""
    async with running(stage):
        lease: str = stage.redis.get(keys.FLEET_LEASE)
        stage.loop = stage.new_loop()
        stage.redis.set(keys.FLEET_LEASE, lease)
        await stage.round()
        stage.fleet = replace(stage.fleet, collectors=(BTC, ETH, SOL))
        stage.supervisor.know(SOL.id.program)
        stage.supervisor.start(SOL.id.program)
        stage.supervisor.calls.clear()
        yield lease


async def take_over(stage: Stage) -> None:
    """The other manager ends; supervisord finds what this one's sections would change."""
    programs = stage.environment.programs
    (programs / f"{SOL.id.program}.conf").write_text("as the other one wrote it")
    stage.redis.delete(keys.FLEET_LEASE)

    def reread() -> Reread:
        stage.supervisor.calls.append(("reread", ""))
        sections = {path.stem for path in programs.iterdir()}
        return Reread(removed=tuple(sorted(stage.supervisor.table.keys() - sections)))

    stage.supervisor.reread = reread  # type: ignore[method-assign]
    for _ in range(12):
        await stage.round()


async def test_whoever_takes_over_applies_the_file_as_it_is_then(stage: Stage) -> None:
    async with standing_by(stage):
        await take_over(stage)
        assert stage.supervisor.calls == [("reread", "")]
        assert SOL.id.program in stage.supervisor.table
        assert (stage.manager()["desired"], stage.manager()["healthy"], stage.manager()["last_error"]) == ("3", "3", "")


async def test_whoever_leads_again_applies_the_file_as_it_is_then(stage: Stage) -> None:
    async with running(stage):
        stage.redis.set(keys.FLEET_LEASE, "another")
        await stage.round()
        stage.fleet = replace(stage.fleet, collectors=(BTC, ETH, SOL))
        stage.supervisor.know(SOL.id.program)
        stage.supervisor.start(SOL.id.program)
        stage.supervisor.calls.clear()
        await take_over(stage)
        assert (stage.supervisor.calls, stage.manager()["healthy"]) == ([("reread", "")], "3")


async def test_whoever_takes_over_and_cannot_use_the_file_leaves_what_is_applied(stage: Stage) -> None:
    async with standing_by(stage):

        def broken() -> Fleet:
            raise InvalidConfigurationError("fleet.toml: unknown key 'symbl'")

        stage.load = broken
        await take_over(stage)
        assert (stage.supervisor.calls, SOL.id.program in stage.supervisor.table) == ([], True)
        assert (stage.environment.programs / f"{SOL.id.program}.conf").exists()
        assert stage.journal(What.FLEET_REJECTED) == [("fleet_rejected", "", "fleet.toml: unknown key 'symbl'")]
        assert stage.manager()["last_error"] == "fleet.toml: unknown key 'symbl'"
        stage.supervisor.end(BTC.id.program, ProcessState.FATAL)
        await stage.round()
        assert stage.supervisor.calls == [("start", BTC.id.program)], "it heals all the same"
        stage.load = lambda: stage.fleet
        stage.loop.reload_wanted.set()
        await stage.round()
        await stage.round()
        assert stage.supervisor.calls[1:] == [("reread", "")]
        assert (stage.manager()["healthy"], stage.manager()["last_error"]) == ("3", "")


async def test_a_new_leader_with_another_redis_ignores_data_of_the_old_one(
    stage: Stage,
) -> None:
    async with standing_by(stage):
        stage.fleet = replace(stage.fleet, redis=RedisConfig(url="redis://127.0.0.1:7000/0"))
        stage.supervisor.end(BTC.id.program, ProcessState.FATAL)
        stage.redis.delete(keys.FLEET_LEASE)
        await stage.round()
        assert stage.supervisor.calls == []
        await stage.round()
        assert ("start", BTC.id.program) in stage.supervisor.calls


async def test_a_manager_new_after_a_redis_outage_starts_the_dead_kills_none(
    stage: Stage,
) -> None:
    async with running(stage):
        for _ in range(60):
            await stage.round()
        stage.silence()  # what Redis knew has expired while it was away
        stage.supervisor.end(ETH.id.program, ProcessState.FATAL)
        stage.loop = stage.new_loop()
        for _ in range(round(ManagerSettings().settle_s) - 1):
            await stage.round()
        assert called(stage) == [("start", ETH.id.program)]
        await stage.round()
        assert ("kill", BTC.id.program) in stage.supervisor.calls


async def test_a_manager_without_redis_leaves_the_programs_to_another_leader(stage: Stage) -> None:
    async with running(stage):
        stage.server.connected = False
        for _ in range(keys.FLEET_LEASE_TTL_MS // 1000):
            await stage.round()
        stage.supervisor.know(SOL.id.program)  # another manager's doing
        for _ in range(2 * round(ManagerSettings().reapply_every_s)):
            await stage.round()
        assert stage.supervisor.calls == []
        stage.server.connected = True
        stage.supervisor.next_reread = Reread(removed=(SOL.id.program,))
        await stage.round()
        assert ("remove", SOL.id.program) in stage.supervisor.calls


async def test_whoever_has_lost_the_lease_shows_no_verdicts_any_more(stage: Stage) -> None:
    async with running(stage):
        stage.snapshot.figures = figures()
        stage.redis.set(keys.FLEET_LEASE, "another")
        await stage.round()
        shown = stage.snapshot.shown
        assert (list(shown.judgements), dict(shown.beat), shown.leading) == ([], {}, False)
        assert stage.snapshot.figures is None
        stage.redis.delete(keys.FLEET_LEASE)
        await stage.round()
        assert [judgement.verdict for judgement in stage.snapshot.shown.judgements] == [Verdict.HEALTHY] * 2


async def test_a_failed_apply_is_reported_as_applied_once_it_works_again(
    stage: Stage,
) -> None:
    async with running(stage):
        stage.loop = stage.new_loop()
        stage.supervisor.refusals["reread"] = Fault.CANT_REREAD
        await stage.round()
        del stage.supervisor.refusals["reread"]
        for _ in range(30):
            await stage.round()
        told = stage.journal(What.APPLY_FAILED, What.FLEET_APPLIED)
        assert [kind for kind, _, _ in told] == ["fleet_applied", "apply_failed", "fleet_applied"]
