from typing import Any

import pytest
from msgspec.structs import replace

from common.config.collector import ExchangeCollectorConfig
from manager.decide.assess import assess, blind
from manager.model.processes import Process, ProcessState
from manager.model.verdicts import Judgement, Pulse, Verdict, summarise
from manager.settings import ManagerSettings
from tests.manager.fakes import NOW_NS, S, config, heartbeat, process, pulse
from tickfleet.contract.health import BookState, Progress, RestLook, WorkerState
from tickfleet.contract.identity import DataType

REFUSED = heartbeat(state=WorkerState.ERROR, exit_code=78, last_error="okx does not list BTC-USDT")
REFUSED_BEFORE = replace(REFUSED, config_id="another")
NEVER_STARTED = process(state=ProcessState.STOPPED, pid=0, started_s=0, uptime_s=0)


def gone(state: ProcessState, **changes: object) -> Process:
    return replace(process(), state=state, pid=0, uptime_s=0, **changes)


def silent(*types: DataType, for_s: int = 45) -> Pulse:
    beat = heartbeat()
    late = Progress(count=9, last_event_at=NOW_NS - for_s * S, silence_limit=30 * S)
    return pulse(replace(beat, progress={**beat.progress, **dict.fromkeys(types, late)}))


def still_unheard(for_s: int, *types: DataType) -> Pulse:
    """Connected for so long, and silent for 45 s."""
    found = silent(*types)
    assert found.heartbeat is not None
    facts = {"connected_since": NOW_NS - for_s * S, "last_error": "nothing of business"}
    return replace(found, heartbeat=replace(found.heartbeat, state=WorkerState.SUBSCRIBING, **facts))


def looked(rest_result: RestLook, *types: DataType, age_s: int = 60) -> Pulse:
    """Silent for 45 s, and REST was asked."""
    found = silent(*types)
    assert found.heartbeat is not None
    return replace(found, heartbeat=replace(found.heartbeat, rest_look=rest_result, rest_looked_at=NOW_NS - age_s * S))


def beating(state: WorkerState, age_s: float, **changes: object) -> Pulse:
    since = NOW_NS - round(age_s * S)
    facts = {"started_at": since, "connected_since": since, "last_frame_at": 0, "progress": {}, **changes}
    return pulse(replace(heartbeat(state=state), **facts))


def judge(pulse: Pulse, found: Process | None, of: ExchangeCollectorConfig | None = None) -> Judgement:
    of = of or config()
    processes = {of.id.program: found} if found else {}
    (judgement,) = assess([of], {of.id: pulse}, processes, {}, ManagerSettings())
    return judgement


@pytest.mark.parametrize(
    ("pulse", "found", "verdict", "why"),
    [
        (pulse(), process(), Verdict.HEALTHY, "data flows"),
        (pulse(), process(state=ProcessState.STARTING), Verdict.HEALTHY, "data flows"),
        # is there a process?
        (Pulse(), None, Verdict.DEAD, "supervisord does not know its program"),
        (Pulse(), NEVER_STARTED, Verdict.DEAD, "not started yet"),
        (Pulse(), gone(ProcessState.STOPPED), Verdict.DEAD, "its process was stopped"),
        (Pulse(), gone(ProcessState.FATAL), Verdict.DEAD, "its process ended within seconds of its start"),
        (Pulse(), gone(ProcessState.BACKOFF), Verdict.DEAD, "its process ended within seconds of its start"),
        (Pulse(), gone(ProcessState.EXITED, exit_status=1), Verdict.DEAD, "its process ended with exit code 1"),
        (Pulse(), gone(ProcessState.EXITED, exit_status=-1), Verdict.DEAD, "its process ended by a signal"),
        (pulse(), process(state=ProcessState.STOPPING), Verdict.DEAD, "its process is being stopped"),
        (pulse(), gone(ProcessState.UNKNOWN), Verdict.UNKNOWN, "supervisord does not know the state of its process"),
        # did it refuse its configuration?
        (pulse(REFUSED, 7000), gone(ProcessState.FATAL), Verdict.MISCONFIGURED, "okx does not list BTC-USDT"),
        (pulse(REFUSED, 7000), gone(ProcessState.BACKOFF), Verdict.MISCONFIGURED, "okx does not list BTC-USDT"),
        (pulse(REFUSED, 7000), gone(ProcessState.EXITED), Verdict.MISCONFIGURED, "okx does not list BTC-USDT"),
        (pulse(REFUSED_BEFORE), gone(ProcessState.STOPPED), Verdict.DEAD, "its process was stopped"),
        (
            Pulse(),
            gone(ProcessState.EXITED, exit_status=78),
            Verdict.MISCONFIGURED,
            "it refused its configuration; its log says why",
        ),
        # does its loop turn?
        (Pulse(), process(uptime_s=29), Verdict.STARTING, "started 29 s ago, no heartbeat yet"),
        (Pulse(), process(uptime_s=30), Verdict.HUNG, "no heartbeat 30 s after its start"),
        (pulse(heartbeat(pid=1)), process(uptime_s=2), Verdict.STARTING, "started 2 s ago, no heartbeat yet"),
        (pulse(REFUSED), process(pid=5, uptime_s=2), Verdict.STARTING, "started 2 s ago, no heartbeat yet"),
        (pulse(age_s=10.0), process(), Verdict.HEALTHY, "data flows"),
        (pulse(age_s=10.6), process(), Verdict.HUNG, "no heartbeat for 11 s"),
        (pulse(age_s=10.6), process(uptime_s=12), Verdict.HUNG, "no heartbeat for 11 s"),
        (pulse(age_s=4.0, expired=True), process(), Verdict.HEALTHY, "data flows"),  # Redis lost it, not the worker
        (
            Pulse(readable=False, expired=False),
            process(),
            Verdict.UNKNOWN,
            "its heartbeat key holds something that is no heartbeat",
        ),
        # does data flow?
        (beating(WorkerState.STARTING, 3), process(), Verdict.STARTING, "starting for 3 s"),
        (beating(WorkerState.CONNECTING, 29.9), process(), Verdict.STARTING, "connecting for 30 s"),
        (
            beating(WorkerState.CONNECTING, 31, last_error="okx closed the socket"),
            process(),
            Verdict.SILENT,
            "connecting for 31 s: okx closed the socket",
        ),
        (
            beating(WorkerState.CONNECTING, 31, banned_until=NOW_NS + 60 * S, banned_why="REST of h (HTTP 429)"),
            process(),
            Verdict.SILENT,
            "connecting for 31 s: banned until 2027-01-15 08:01 UTC: REST of h (HTTP 429)",
        ),
        (
            beating(WorkerState.CONNECTING, 3000, progress={DataType.TRADE: Progress(last_event_at=NOW_NS - 4 * S)}),
            process(),
            Verdict.STARTING,
            "connecting for 4 s",
        ),
        (  # each connection is dropped before data comes
            beating(WorkerState.CONNECTING, 3000, last_frame_at=NOW_NS - 4 * S),
            process(),
            Verdict.SILENT,
            "connecting for 50 min",
        ),
        (beating(WorkerState.SUBSCRIBING, 31, connected_since=0), process(), Verdict.SILENT, "subscribing for 31 s"),
        # its sockets have confirmed, and one of them has brought nothing
        (beating(WorkerState.SUBSCRIBING, 29), process(), Verdict.STARTING, "subscribing for 29 s"),
        (
            beating(WorkerState.SUBSCRIBING, 31),
            process(),
            Verdict.SILENT,
            "no trade for 31 s, no orderbook for 31 s, no ticker for 31 s, no candles for 31 s",
        ),
        (still_unheard(45, DataType.TRADE), process(), Verdict.QUIET, "no trade for 45 s; other data flows"),
        (still_unheard(45, DataType.CANDLES), process(), Verdict.SILENT, "no candles for 45 s"),
        # what it brings is rare: a former run has learnt that
        (still_unheard(25), process(), Verdict.STARTING, "subscribing for 25 s: nothing of business"),
        (still_unheard(600), process(), Verdict.QUIET, "subscribing for 10 min: nothing of business"),
        (beating(WorkerState.CATCHING_UP, 89), process(), Verdict.STARTING, "fetching missed data for 89 s"),
        (beating(WorkerState.CATCHING_UP, 91), process(), Verdict.SILENT, "fetching missed data for 91 s"),
        (  # a hole in a connection that is days old
            beating(WorkerState.CATCHING_UP, 200_000, catching_up_since=NOW_NS - 20 * S),
            process(),
            Verdict.STARTING,
            "fetching missed data for 20 s",
        ),
        (
            beating(WorkerState.CATCHING_UP, 200_000, catching_up_since=NOW_NS - 91 * S),
            process(),
            Verdict.SILENT,
            "fetching missed data for 91 s",
        ),
        (
            pulse(heartbeat(state=WorkerState.DEGRADED, last_error="no ticker")),
            process(),
            Verdict.SILENT,
            "no ticker",
        ),
        (
            pulse(heartbeat(state=WorkerState.DEGRADED)),
            process(),
            Verdict.SILENT,
            "part of what it should collect does not arrive",
        ),
        (  # one socket runs before the others
            beating(WorkerState.DEGRADED, 29, connected_since=0),
            process(),
            Verdict.STARTING,
            "part of what it should collect does not arrive",
        ),
        (
            beating(WorkerState.DEGRADED, 30, connected_since=0),
            process(),
            Verdict.SILENT,
            "part of what it should collect does not arrive",
        ),
        (pulse(heartbeat(state=WorkerState.STOPPING)), process(), Verdict.DEAD, "its process is ending"),
        (
            pulse(heartbeat(state=WorkerState.ERROR, exit_code=1, last_error="no disk")),
            process(),
            Verdict.DEAD,
            "its process is ending: no disk",
        ),
        (pulse(heartbeat(book_state=BookState.STALE)), process(), Verdict.SILENT, "its order book is stale"),
        (pulse(heartbeat(book_state=BookState.SYNCING)), process(), Verdict.HEALTHY, "data flows"),
        (silent(DataType.TRADE), process(), Verdict.QUIET, "no trade for 45 s; other data flows"),
        (silent(DataType.TRADE, for_s=30), process(), Verdict.HEALTHY, "data flows"),
        (silent(DataType.ORDERBOOK), process(), Verdict.SILENT, "no orderbook for 45 s"),
        (silent(DataType.CANDLES), process(), Verdict.SILENT, "no candles for 45 s"),
        # what REST was found to have
        (
            looked(RestLook.NOTHING_NEWER, DataType.TRADE),
            process(),
            Verdict.QUIET,
            "no trade for 45 s; the exchange has nothing newer",
        ),
        (
            looked(RestLook.NOTHING_NEWER, DataType.ORDERBOOK, DataType.TRADE, age_s=900),
            process(),
            Verdict.QUIET,
            "no trade for 45 s, no orderbook for 45 s; the exchange has nothing newer",
        ),
        (
            looked(RestLook.NOTHING_NEWER, DataType.ORDERBOOK, age_s=901),
            process(),
            Verdict.SILENT,
            "no orderbook for 45 s",
        ),
        (looked(RestLook.FAILED, DataType.ORDERBOOK), process(), Verdict.SILENT, "no orderbook for 45 s"),
        (looked(RestLook.FAILED, DataType.TRADE), process(), Verdict.QUIET, "no trade for 45 s; other data flows"),
        (
            pulse(heartbeat(state=WorkerState.CONNECTING, mute="trade")),
            process(),
            Verdict.SILENT,
            "the exchange has newer data than its socket brings (trade)",
        ),
        (
            pulse(heartbeat(mute="trade", rest_look=RestLook.NEWER)),
            process(),
            Verdict.SILENT,
            "the exchange has newer data than its socket brings (trade)",
        ),
        (
            silent(DataType.TRADE, DataType.ORDERBOOK, DataType.TICKER, DataType.CANDLES, for_s=600),
            process(),
            Verdict.SILENT,
            "no trade for 10 min, no orderbook for 10 min, no ticker for 10 min, no candles for 10 min",
        ),
    ],
)
def test_with_supervisord(pulse: Pulse, found: Process | None, verdict: Verdict, why: str) -> None:
    judgement = judge(pulse, found)
    assert (judgement.verdict, judgement.why) == (verdict, why)
    assert judgement.on_absence == ("no heartbeat" in why and verdict is not Verdict.UNKNOWN)


@pytest.mark.parametrize(
    ("pulse", "verdict", "why"),
    [
        (pulse(), Verdict.HEALTHY, "data flows"),
        (pulse(heartbeat(pid=1)), Verdict.HEALTHY, "data flows"),  # whose process that is cannot be known here
        (Pulse(), Verdict.DEAD, "no heartbeat"),
        (pulse(age_s=11.0), Verdict.DEAD, "no heartbeat for 11 s"),
        (pulse(REFUSED, 7000), Verdict.MISCONFIGURED, "okx does not list BTC-USDT"),
        (pulse(REFUSED_BEFORE, 7000), Verdict.DEAD, "its process ended with exit code 78"),
        (
            pulse(heartbeat(state=WorkerState.STOPPED, exit_code=0)),
            Verdict.DEAD,
            "its process ended with exit code 0",
        ),
        (
            Pulse(readable=False, expired=False),
            Verdict.UNKNOWN,
            "its heartbeat key holds something that is no heartbeat",
        ),
        (silent(DataType.TICKER), Verdict.QUIET, "no ticker for 45 s; other data flows"),
    ],
)
def test_without_supervisord(pulse: Pulse, verdict: Verdict, why: str) -> None:
    of, on_absence = config(), why.startswith("no heartbeat")
    assert assess([of], {of.id: pulse}, None, {}, ManagerSettings()) == [
        Judgement(config=of, verdict=verdict, why=why, pulse=pulse, on_absence=on_absence)
    ]


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"state": ProcessState.EXITED, "exit_status": -1}, "its process ended by a signal"),
        (
            {"state": ProcessState.EXITED, "exit_status": -1, "ended": "killed by SIGKILL"},
            "its process ended by SIGKILL",
        ),
        (
            {"state": ProcessState.EXITED, "exit_status": 1, "ended": "exit code 1"},
            "its process ended with exit code 1",
        ),
        (
            {"state": ProcessState.FATAL, "ended": "killed by SIGSEGV"},
            "its process ended within seconds of its start (killed by SIGSEGV)",
        ),
        ({"state": ProcessState.STOPPED, "ended": "exit code 0"}, "its process was stopped"),
    ],
)
def test_how_a_process_ended_is_told_and_who_starts_it_again(facts: dict[str, Any], why: str) -> None:
    found = process(pid=0, uptime_s=0, **facts)
    assert judge(Pulse(), found).why == why
    alone = config(auto_restart=False)
    nobody = "nobody starts it again (auto_restart = false): manager-cli start okx:BTC-USDT"
    assert judge(Pulse(), found, alone).why == f"{why}; {nobody}"
    never = process(pid=0, uptime_s=0, started_s=0, state=ProcessState.STOPPED)
    assert judge(Pulse(), never, alone).why == "not started yet"


def test_a_data_type_without_any_entry_is_silent_from_the_connection_on() -> None:
    of = config(data_types=(DataType.TRADE, DataType.TICKER), health_check_interval=20.0)
    beat = heartbeat(of, connected_since=NOW_NS - 21 * S)
    beat = replace(beat, progress={DataType.TICKER: beat.progress[DataType.TICKER]})
    judgement = judge(pulse(beat), process(of), of)
    assert (judgement.verdict, judgement.why) == (Verdict.QUIET, "no trade for 21 s; other data flows")


@pytest.mark.parametrize(
    ("only", "frame_age_s", "verdict", "why"),
    [
        (DataType.TRADE, 30, Verdict.QUIET, "no trade for 200 s; the socket lives"),
        (DataType.TRADE, 31, Verdict.SILENT, "no trade for 200 s"),
        (DataType.CANDLES, 0, Verdict.SILENT, "no candles for 200 s"),
        (DataType.ORDERBOOK, 0, Verdict.SILENT, "no orderbook for 200 s"),
    ],
)
def test_a_collector_of_one_type_is_quiet_while_its_socket_lives(
    only: DataType, frame_age_s: int, verdict: Verdict, why: str
) -> None:
    of = config(data_types=(only,))
    late = {only: Progress(count=1, last_event_at=NOW_NS - 200 * S, silence_limit=60 * S)}
    beat = heartbeat(of, progress=late, last_frame_at=NOW_NS - frame_age_s * S)
    judgement = judge(pulse(beat), process(of), of)
    assert (judgement.verdict, judgement.why) == (verdict, why.replace("200 s", "3 min"))


@pytest.mark.parametrize("found", [process(), gone(ProcessState.FATAL), None])
def test_disabled_outranks_everything(found: Process | None) -> None:
    judgement = judge(pulse(REFUSED), found, config(enabled=False))
    assert (judgement.verdict, judgement.why) == (Verdict.DISABLED, "disabled in the fleet file")


def test_a_parked_collector_says_when_it_is_tried_again() -> None:
    of = config()
    parked = {of.id: 1_800_000_070 * S}
    (judgement,) = assess([of], {}, {of.id.program: gone(ProcessState.FATAL)}, parked, ManagerSettings())
    assert (judgement.verdict, judgement.why) == (
        Verdict.CRASH_LOOPING,
        "restarted too often; next try at 08:01:10 UTC",
    )


def test_a_parked_collector_that_somebody_started_is_judged_as_any_other() -> None:
    of = config()
    (judgement,) = assess([of], {of.id: pulse()}, {of.id.program: process()}, {of.id: NOW_NS + S}, ManagerSettings())
    assert judgement.verdict is Verdict.HEALTHY


def test_an_error_from_a_heartbeat_is_made_printable_and_short() -> None:
    beat = heartbeat(state=WorkerState.DEGRADED, last_error="a\x1b[31m\nb" + "x" * 500)
    assert judge(pulse(beat), process()).why == "a [31m b" + "x" * 192


def test_the_summary_counts_quiet_as_healthy_and_disabled_as_not_desired() -> None:
    fleet = [config("A-B"), config("C-D"), config("E-F", enabled=False), config("G-H")]
    quiet = silent(DataType.TRADE)
    pulses = {fleet[0].id: pulse(), fleet[1].id: quiet, fleet[2].id: pulse()}
    assert summarise(assess(fleet, pulses, None, {}, ManagerSettings())) == {
        "desired": 3,
        "healthy": 2,
        "quiet": 1,
        "starting": 0,
        "silent": 0,
        "hung": 0,
        "dead": 1,
        "crash_looping": 0,
        "exchange_outage": 0,
        "misconfigured": 0,
        "disabled": 1,
        "unknown": 0,
    }


def start_limits(young: int) -> list[tuple[ExchangeCollectorConfig, Pulse, Process]]:
    """A collector that has not beaten within 40 s, and others that have just been started."""
    slow = config()
    others = [config(f"C{number}-USDT") for number in range(young)]
    return [(slow, Pulse(), process(slow, uptime_s=40)), *((of, Pulse(), process(of, uptime_s=2)) for of in others)]


@pytest.mark.parametrize(
    ("young", "verdict", "why"),
    [
        (9, Verdict.HUNG, "no heartbeat 40 s after its start"),
        (12, Verdict.HUNG, "no heartbeat 40 s after its start"),  # 13 in 39 s
        (13, Verdict.STARTING, "started 40 s ago, no heartbeat yet"),
        (199, Verdict.STARTING, "started 40 s ago, no heartbeat yet"),
    ],
)
def test_among_many_a_start_takes_longer(young: int, verdict: Verdict, why: str) -> None:
    members = start_limits(young)
    pulses = {of.id: pulse for of, pulse, _ in members}
    processes = {of.id.program: found for of, _, found in members}
    judgement, *_ = assess([of for of, _, _ in members], pulses, processes, {}, ManagerSettings())
    assert (judgement.verdict, judgement.why) == (verdict, why)


def test_of_a_blind_manager_all_is_unknown_that_should_run() -> None:
    fleet = [config(), config("ETH-USDT", enabled=False)]
    assert blind(fleet) == [
        Judgement(config=fleet[0], verdict=Verdict.UNKNOWN, why="Redis does not answer"),
        Judgement(config=fleet[1], verdict=Verdict.DISABLED, why="disabled in the fleet file"),
    ]
