from pathlib import Path

import msgspec
import pytest

from tests.simulator import faults
from tests.simulator.faults import (
    KINDS,
    SURVIVABLE,
    TYPES,
    Schedule,
    fault_of,
    from_json,
    read_schedule,
    to_json,
)
from tests.simulator.faults_base import FaultError


def test_every_kind_has_its_name() -> None:
    expected = (
        *("cut", "slow_reader_closed", "drop_on_accept", "refuse_connect", "half_open", "planned_cut", "notice"),
        *("mute_channel", "mute_socket", "sequence_gap", "trade_gap", "duplicate", "reorder", "malformed"),
        *("unknown_message", "late_ack", "refuse_subscription", "clock_off"),
        *("false_trade", "false_bar", "false_time", "false_name", "false_book", "false_refusal"),
        *("rest_429", "rest_418", "rest_50011", "rest_slow", "rest_timeout", "rest_500", "rest_wrong"),
        *("rest_behind", "rest_lost", "rest_false_rows", "rest_empty_book", "rest_false_book"),
    )
    assert expected == KINDS
    assert set(KINDS) - set(SURVIVABLE) == {"rest_lost"}


@pytest.mark.parametrize("kind", KINDS)
def test_round_trip_of_each_kind(kind: str) -> None:
    fault = TYPES[kind](at_ms=700)
    schedule = Schedule(seed=3, faults=(fault,))

    assert from_json(to_json(schedule)) == schedule
    assert fault_of(msgspec.to_builtins(fault)) == fault
    assert fault.kind == kind
    assert fault.end_ms == 700 + getattr(fault, "for_ms", 0) == schedule.length_ms


def test_json_of_a_schedule() -> None:
    schedule = Schedule(seed=1, faults=(faults.Cut(at_ms=5), faults.SequenceGap(at_ms=9, for_ms=80, count=2)))
    assert msgspec.json.decode(to_json(schedule)) == {
        "seed": 1,
        "faults": [
            {"kind": "cut", "at_ms": 5, "path": ""},
            {"kind": "sequence_gap", "at_ms": 9, "for_ms": 80, "instrument": "", "count": 2},
        ],
    }
    assert schedule.length_ms == 89
    assert Schedule().length_ms == 0


def test_fault_of_a_query() -> None:
    query = {"kind": "drop_on_accept", "for_ms": "250", "cut_first": "0"}
    assert fault_of(query) == faults.DropOnAccept(for_ms=250, cut_first=False)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "missing required field `kind`"),
        ({"kind": "nonsense"}, "Invalid value 'nonsense'"),
        ({"kind": "cut", "for_ms": "1"}, "unknown field `for_ms`"),
        ({"kind": "half_open", "for_ms": "60001"}, "<= 60000"),
        ({"kind": "half_open", "for_ms": "0"}, ">= 1"),
        ({"kind": "half_open", "for_ms": "x"}, "Expected `int`"),
        ({"kind": "rest_wrong", "style": "rude"}, "Invalid enum value"),
        ({"kind": "clock_off", "shift_ms": "9999999"}, "<= 3600000"),
    ],
)
def test_what_is_no_fault(fields: dict[str, object], message: str) -> None:
    with pytest.raises(FaultError, match=message):
        fault_of(fields)


@pytest.mark.parametrize("text", [b"", b"[]", b'{"faults":[{"kind":"cut","at_ms":-1}]}', b'{"sed":1}', b"\xff"])
def test_what_is_no_schedule(text: bytes) -> None:
    with pytest.raises(FaultError, match="not a schedule of faults"):
        from_json(text)


def test_schedule_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "schedule.json"
    with pytest.raises(FaultError, match=r"cannot read schedule .*schedule\.json"):
        read_schedule(path)
    path.write_bytes(b'{"seed": 4, "faults": [{"kind": "cut", "at_ms": 1}]}')
    assert read_schedule(path) == Schedule(seed=4, faults=(faults.Cut(at_ms=1),))
