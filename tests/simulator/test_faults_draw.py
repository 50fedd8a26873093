from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulator.faults import (
    KINDS,
    SURVIVABLE,
    Rest500,
    Schedule,
    SequenceGap,
    TradeGap,
    from_json,
    to_json,
)
from tests.simulator.faults_base import FaultError
from tests.simulator.faults_draw import _RECIPES, BLOCK_MS, ROUGH_MS, Harm, draw_schedule

_SEEDS = st.integers(-(2**40), 2**40)
_DURATIONS = st.integers(1, 4 * BLOCK_MS)
_SOME_KINDS = st.sets(st.sampled_from(KINDS), min_size=1)


@given(_SEEDS, _DURATIONS, _SOME_KINDS)
@settings(max_examples=60, deadline=None)
def test_any_schedule_is_data_in_bounds_and_over_in_time(seed: int, duration_ms: int, kinds: set[str]) -> None:
    schedule = draw_schedule(seed, duration_ms, kinds=kinds, instruments=("A-B", "C-D"))

    assert from_json(to_json(schedule)) == schedule  # decoding checks every bound
    assert schedule == draw_schedule(seed, duration_ms, kinds=sorted(kinds, reverse=True), instruments=("A-B", "C-D"))
    assert schedule.seed == seed
    assert 1 <= len(schedule.faults) <= 2 * -(-duration_ms // 2_500)
    assert all(0 <= fault.at_ms <= fault.end_ms <= duration_ms for fault in schedule.faults)
    assert [fault.at_ms for fault in schedule.faults] == sorted(fault.at_ms for fault in schedule.faults)
    assert {fault.kind for fault in schedule.faults} <= kinds
    assert {getattr(fault, "instrument", "A-B") for fault in schedule.faults} <= {"A-B", "C-D"}


@given(_SEEDS, _DURATIONS)
@settings(max_examples=60, deadline=None)
def test_what_makes_clients_back_off_is_rare_and_early(seed: int, duration_ms: int) -> None:
    counts: Counter[tuple[int, Harm]] = Counter()
    for fault in draw_schedule(seed, duration_ms).faults:
        harm = _RECIPES[fault.kind].harm
        if isinstance(fault, (TradeGap, SequenceGap)) and fault.count == 1:  # may have come with a fault of REST
            continue
        if harm is not Harm.NONE:
            counts[fault.at_ms // BLOCK_MS, harm] += 1
            assert fault.end_ms % BLOCK_MS <= ROUGH_MS
    assert all(count <= harm.value[1] for (_, harm), count in counts.items())


def test_with_a_fault_of_rest_comes_a_reason_to_ask() -> None:
    alone = draw_schedule(3, 60_000, kinds=["rest_500"]).faults
    together = draw_schedule(3, 60_000, kinds=["rest_500", "trade_gap"]).faults
    rest_faults = [fault for fault in together if isinstance(fault, Rest500)]
    lost = {(fault.at_ms, fault.for_ms) for fault in together if isinstance(fault, TradeGap)}
    assert {type(fault) for fault in alone} == {Rest500}
    assert rest_faults
    assert {(fault.at_ms, fault.for_ms) for fault in rest_faults} <= lost


def test_every_kind_is_drawn_but_the_unsurvivable_one() -> None:
    drawn = {fault.kind for seed in range(60) for fault in draw_schedule(seed, 60_000).faults}
    assert drawn == set(SURVIVABLE)
    assert {fault.kind for fault in draw_schedule(1, 60_000, kinds=["rest_lost"]).faults} == {"rest_lost"}


def test_a_known_schedule_stays_what_it_was() -> None:
    """A seed in an old report must find the same faults again."""
    schedule = draw_schedule(42, 5_000, kinds=["cut", "rest_429", "reorder"], instruments=("BTC-USDT",))
    assert to_json(schedule) == _KNOWN


_KNOWN = (
    b'{"seed":42,"faults":['
    b'{"kind":"reorder","at_ms":652,"for_ms":1488,"channel":"trade","instrument":"BTC-USDT","count":1},'
    b'{"kind":"rest_429","at_ms":1702,"for_ms":3070,"page":"","retry_after_s":3}'
    b"]}"
)


@pytest.mark.parametrize(
    ("duration_ms", "kinds", "instruments", "message"),
    [
        (1_000, ["cut", "bite"], ("",), "no such kind of fault: bite"),
        (1_000, [], ("",), "needs kinds"),
        (1_000, ["cut"], (), "needs kinds"),
        (0, ["cut"], ("",), "a duration"),
    ],
)
def test_nothing_to_draw_from(duration_ms: int, kinds: list[str], instruments: tuple[str, ...], message: str) -> None:
    with pytest.raises(FaultError, match=message):
        draw_schedule(1, duration_ms, kinds=kinds, instruments=instruments)


def test_schedules_differ_by_seed() -> None:
    schedules: set[Schedule] = {draw_schedule(seed, 30_000) for seed in range(20)}
    assert len(schedules) == 20
