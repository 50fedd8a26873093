import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manager.cli.times import date_time, length, parse_start, parse_time
from manager.model.formatting import Zone, clock_time, date_and_time
from manager.model.processes import ProcessState
from manager.observe.writes import NoWrites, encode
from tests.manager.cli.stage import BTC, ETH, CliStage
from tests.manager.fakes import NOW_NS, S
from tickfleet.contract import keys
from tickfleet.errors import UsageError

MS = S // 1000
_CLOCK = re.compile(r"(?<![+\d:])\d\d:\d\d(?::\d\d)?(?:\.\d+)?(\+\d\d:\d\d| UTC|Z|)")
LOCAL_COMMANDS = {"list": (), "status": (), "why": (str(BTC), "-n", "9"), "events": ()}


def test_what_is_no_time_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match=r"'10 minutes' is not a time; did you mean '10m'\?"):
        parse_time("10 minutes", NOW_NS)
    with pytest.raises(UsageError, match="'newest' is not a time"):
        parse_start("--since", "newest", NOW_NS)


def test_a_start_may_be_a_time() -> None:
    assert parse_start("--since", "1m", NOW_NS) == datetime.fromtimestamp(NOW_NS // S - 60, UTC)
    assert parse_start("--since", "oldest", NOW_NS) == "oldest"


@given(st.integers(0, 2**63 - 1))
def test_a_time_that_is_shown_can_be_typed(at_ns: int) -> None:
    assert parse_time(date_time(at_ns), NOW_NS) == at_ns // MS * MS


@pytest.mark.parametrize(
    ("ns", "text"),
    [(1, "<1 ms"), (MS, "1 ms"), (S - 1, "999 ms"), (S, "1 s"), (119 * S, "119 s"), (600 * S, "10 min")],
)
def test_a_length(ns: int, text: str) -> None:
    assert length(ns) == text


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine in central Europe; what a command line asks for is forgotten afterwards."""
    monkeypatch.setattr(Zone, "local", False)
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("berlin")
def test_a_time_is_shown_with_its_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    at_ns = 1_774_778_400_123 * MS
    told = [date_time(at_ns), clock_time(at_ns), date_and_time(at_ns)]
    assert told == ["2026-03-29 10:00:00.123Z", "10:00:00 UTC", "2026-03-29 10:00 UTC"]
    monkeypatch.setattr(Zone, "local", True)
    told = [date_time(at_ns), clock_time(at_ns), date_and_time(at_ns), date_time(10**30)]
    assert told == [
        "2026-03-29 12:00:00.123+02:00",
        "12:00:00+02:00",
        "2026-03-29 12:00+02:00",
        "9999-12-31 00:59:59.000+01:00",
    ]


@pytest.mark.usefixtures("berlin")
def test_a_trouble_that_the_manager_tells_too_is_told_once(stage: CliStage) -> None:
    """The manager's own text of it is in UTC."""
    stage.all_up()
    no_writes = NoWrites("OOM", NOW_NS)
    told = {"pid": 1, "state": "degraded", "last_error": str(no_writes), "no_writes": encode(no_writes)}
    stage.redis.hset(keys.FLEET_MANAGER, mapping=told)
    shown = stage.run("status", "--local").stdout
    assert "(Redis takes no writes: OOM, since 09:00:00+01:00)" in shown
    assert " UTC" not in shown


@pytest.mark.usefixtures("berlin")
def test_what_the_manager_wrote_names_its_zone_beside_local_times(stage: CliStage) -> None:
    stage.all_up()
    written = {"at": NOW_NS, "who": "manager", "collector": str(BTC)}
    texts = (
        *(("writes_refused", str(NoWrites("OOM", NOW_NS))), ("redis_back", f"after 9 s, since {clock_time(NOW_NS)}")),
        *(("parked", f"restarted too often; next try at {clock_time(NOW_NS)}"),),
        *(("exchange_banned", f"banned until {date_and_time(NOW_NS)}"),),
    )
    for what, why in texts:
        stage.redis.xadd(keys.FLEET_EVENTS, {**written, "what": what, "why": why, "since": NOW_NS})
    stage.beat(BTC, last_error="banned until 2027-01-15 08:00:00 UTC: HTTP 418")
    told = {name: stage.run(name, *arguments, "--local").stdout for name, arguments in LOCAL_COMMANDS.items()}
    times = {name: _CLOCK.findall(text) for name, text in told.items()}
    assert {name: {zone for zone in zones if zone not in ("+01:00", " UTC")} for name, zones in times.items()} == {
        name: set() for name in told
    }
    assert {*times["events"]} == {*times["why"]} == {"+01:00", " UTC"}


@pytest.mark.usefixtures("berlin")
def test_no_command_mixes_zones(stage: CliStage) -> None:
    """NOW_NS is 08:00 UTC of a day in January, so 09:00 in Berlin."""
    stage.all_up()
    until_ns = NOW_NS + 40 * S
    parked = {"at": NOW_NS, "who": "manager", "what": "parked", "collector": str(BTC), "until": until_ns, "parks": 1}
    stage.redis.xadd(keys.FLEET_EVENTS, parked)
    stage.redis.hset(keys.FLEET_MANAGER, mapping={"pid": 1, "parked": json.dumps({str(BTC): until_ns})})
    stopped = {"state": "stopped", "who": "alice", "at": NOW_NS, "why": "moved"}
    stage.redis.hset(keys.FLEET_DESIRED, str(ETH), json.dumps(stopped))
    for collector in (BTC, ETH):
        stage.supervisor.end(collector.program, ProcessState.FATAL)
    stage.redis.delete(keys.heartbeat(BTC), keys.heartbeat(ETH))
    told = {name: stage.run(name, *arguments, "--local").stdout for name, arguments in LOCAL_COMMANDS.items()}
    assert {name: " UTC" in text or "Z " in text for name, text in told.items()} == dict.fromkeys(told, False)
    assert "stopped by alice at 2027-01-15 09:00+01:00: moved" in told["list"]
    assert "next try at 09:00:40+01:00" in told["status"]
    assert told["why"].splitlines()[0] == f"{BTC} is crash looping: restarted too often; next try at 09:00:40+01:00"
    assert told["events"] == (
        f"2027-01-15 09:00:00.000+01:00  {BTC}  parked  [parks 1, until 09:00:40+01:00]  (manager)\n"
    )
