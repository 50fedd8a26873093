"""An exchange that cannot be reached keeps its collectors in their start: those of another do not wait for that."""

import pytest

from common.config.collector import ExchangeCollectorConfig
from manager.decide.assess import assess
from manager.decide.policy import Conditions, decide
from manager.decide.start_limits import share, turns
from manager.decide.turns import Turns
from manager.model.processes import Process, ProcessState
from manager.model.verdicts import Judgement, Pulse, Verdict
from manager.settings import ManagerSettings
from tests.manager.fakes import NOW_NS, S, heartbeat, process, pulse
from tickfleet.contract.health import Progress, WorkerState
from tickfleet.contract.identity import CollectorId, DataType

LIMITS = ManagerSettings()
NEVER_STARTED = process(state=ProcessState.STOPPED, pid=0, started_s=0, uptime_s=0)


def of(exchange: str, count: int) -> list[ExchangeCollectorConfig]:
    return [
        ExchangeCollectorConfig(exchange, f"C{number}-USDT", data_types=(DataType.TRADE,)) for number in range(count)
    ]


def ids(exchange: str, count: int) -> list[CollectorId]:
    return [CollectorId(exchange, f"C{number}-USDT") for number in range(count)]


def judgement_of(config: ExchangeCollectorConfig, found: Process) -> Judgement:
    return Judgement(config=config, verdict=Verdict.STARTING, why="because", process=found)


def test_collectors_of_one_exchange_leave_the_start_slots_of_others_free() -> None:
    dead, good = of("okx", 40), of("binance", 1)
    in_start = [judgement_of(config, process(config, uptime_s=12)) for config in dead[:10]]
    waiting = [judgement_of(config, NEVER_STARTED) for config in [*dead[10:], *good]]
    actions = decide([*in_start, *waiting], {}, NOW_NS, Conditions(), LIMITS)
    assert [action.collector for action in actions] == [good[0].id]


@pytest.mark.parametrize(
    ("waiting", "in_start", "granted"),
    [
        (ids("okx", 12), [], ids("okx", 10)),  # alone: all there is
        (ids("okx", 12), ids("okx", 12)[:4], ids("okx", 6)),
        (ids("okx", 3), ids("okx", 10), []),
        ([*ids("okx", 12), *ids("binance", 12)], [], [*ids("okx", 5), *ids("binance", 5)]),
        ([*ids("okx", 12), *ids("binance", 2)], [], [*ids("okx", 8), *ids("binance", 2)]),  # what nobody claims
        (ids("binance", 9), ids("okx", 10), ids("binance", 5)),  # its share, also where another holds more
        ([*ids("okx", 1), *ids("binance", 1)], ids("kraken", 10), [*ids("okx", 1), *ids("binance", 1)]),
    ],
)
def test_each_exchange_has_its_share(
    waiting: list[CollectorId], in_start: list[CollectorId], granted: list[CollectorId]
) -> None:
    assert turns(waiting, in_start, LIMITS) == set(granted)


def test_everybody_has_one_slot_at_least() -> None:
    assert share((f"exchange{number}" for number in range(30)), LIMITS) == 1


def on_the_way(config: ExchangeCollectorConfig) -> Pulse:
    return pulse(
        heartbeat(
            config,
            state=WorkerState.CONNECTING,
            connected_since=0,
            started_at=NOW_NS - 100 * S,
            progress={DataType.TRADE: Progress(silence_limit=30 * S)},
        )
    )


def test_waiting_for_a_lost_exchange_does_not_excuse_collectors_of_another() -> None:
    dead, late = of("okx", 40), of("binance", 1)
    fleet = [*dead, *late]
    pulses = {config.id: on_the_way(config) for config in fleet}
    processes = {config.id.program: process(config, uptime_s=100) for config in fleet}
    judgements = assess(fleet, pulses, processes, {}, LIMITS)
    assert {each.verdict for each in judgements[:40]} == {Verdict.STARTING}  # they share the permits to connect
    assert judgements[40].verdict is Verdict.SILENT


def test_collectors_starting_now_share_the_processors_across_exchanges() -> None:
    start_limits, one = of("okx", 40), of("binance", 1)
    fleet = [*start_limits, *one]
    processes = {config.id.program: process(config, uptime_s=20) for config in start_limits}
    processes[one[0].id.program] = process(one[0], uptime_s=100)
    verdict = {each.id: each.verdict for each in assess(fleet, {}, processes, {}, LIMITS)}[one[0].id]
    assert verdict is Verdict.STARTING


def test_a_waiting_collector_is_reported_at_the_time_of_its_own_exchange() -> None:
    queue = Turns()
    many = [
        Judgement(config=config, verdict=Verdict.DEAD, why="because", process=NEVER_STARTED)
        for config in [*of("okx", 40), *of("binance", 1)]
    ]
    queue.waiting(many, {}, 0.0, LIMITS)
    judgements = queue.waiting(many, {}, 30.0, LIMITS)
    assert [each.verdict for each in judgements[39:]] == [Verdict.STARTING, Verdict.DEAD]
