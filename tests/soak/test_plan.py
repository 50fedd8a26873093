import subprocess
import sys
from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulator.faults import SURVIVABLE, ClockOff, Cut, Schedule
from tests.simulator.faults_hostile import FalseTime
from tests.soak.plan import EXCHANGES, Plan, draw_plan, stream_keys
from tests.support import process_faults, redis_faults
from tests.support.processes import ROOT
from tickfleet.contract import keys

_SEEDS = st.integers(0, 2**40)


@given(_SEEDS, st.sampled_from([None, *EXCHANGES]), st.integers(5, 90))
def test_a_plan_is_data_and_ends_in_time(seed: int, exchange: str | None, duration_s: int) -> None:
    plan = draw_plan(seed, exchange, duration_s)
    assert plan == draw_plan(seed, exchange, duration_s)
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan
    assert plan.exchange == (exchange or EXCHANGES[seed % 2])
    last_ms = max(fault.end_ms for fault in (*plan.market.faults, *plan.redis, *plan.process))
    assert last_ms <= plan.duration_s * 1_000
    assert plan.duration_s == (max(duration_s, 65) if seed % 16 == 0 else duration_s)
    streams = {*stream_keys(plan.collector).values()}
    assert {fault.key for fault in plan.redis if fault.kind == "delete"} <= streams
    assert {fault.key for fault in plan.redis if fault.kind == "foreign"} <= {*streams, keys.coverage(plan.collector)}


def test_another_process_draws_the_same() -> None:
    command = [sys.executable, "-m", "tests.soak", "--plan", "--first-seed", "77", "--exchange", "okx"]
    hash_seed = {"PYTHONHASHSEED": "5"}
    drawn = subprocess.run(command, env=hash_seed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert msgspec.json.decode(drawn, type=Plan) == draw_plan(77, "okx")


def test_every_kind_of_fault_is_drawn() -> None:
    drawn = Counter(kind for seed in range(1, 200) for kind in draw_plan(seed).kinds)
    assert set(drawn) == {
        *(f"exchange {kind}" for kind in SURVIVABLE),
        *(f"redis {kind}" for kind in redis_faults.KINDS),
        *(f"process {kind}" for kind in process_faults.KINDS),
    }


@pytest.mark.parametrize("seed", [16, 5])
def test_redis_away_for_a_minute(seed: int) -> None:
    plan = draw_plan(seed, minute_away=None if seed % 16 == 0 else True)
    assert [(fault.kind, fault.for_ms) for fault in plan.redis] == [("refuse", 60_000)]
    assert plan.duration_s == 65


def test_times_that_are_off_together_add_up() -> None:
    elsewhere = FalseTime(channel="ticker", shift_ms=7)
    faults = (Cut(), ClockOff(shift_ms=60_000), FalseTime(shift_ms=-120_000), elsewhere)
    plan = Plan(seed=1, exchange="okx", duration_s=9, market=Schedule(faults=faults))
    assert plan.shifts_ms == {0, 60_000, -120_000, -60_000}
    assert draw_plan(1).shifts_ms >= {0}
