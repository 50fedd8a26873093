from typing import Any

import fakeredis
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from manager.decide.assess import assess
from manager.model.verdicts import Pulse, Verdict
from manager.observe.facts import PulseMemory, queue_heartbeats, read_pulses
from manager.settings import ManagerSettings
from tests.manager.fakes import NOW_NS, S, config, heartbeat
from tickfleet.contract import keys
from tickfleet.contract.identity import CollectorId

ID = CollectorId("okx", "BTC-USDT")
OTHERS = [CollectorId("okx", symbol) for symbol in ("ETH-USDT", "SOL-USDT", "TON-USDT")]


def as_redis_gives(**changes: Any) -> dict[str, str]:
    return {name: str(value) for name, value in heartbeat(**changes).to_fields().items()}


def test_a_beat_an_empty_key_a_foreign_hash_and_a_foreign_type() -> None:
    client = fakeredis.FakeRedis(decode_responses=True)
    client.hset(keys.heartbeat(ID), mapping=as_redis_gives(beat_at=NOW_NS - 2 * S))
    client.hset(keys.heartbeat(OTHERS[1]), mapping={"pid": "not a number"})
    client.set(keys.heartbeat(OTHERS[2]), "text")
    pipe = client.pipeline(transaction=False)
    queue_heartbeats(pipe, [ID, *OTHERS])
    replies = pipe.execute(raise_on_error=False)
    assert read_pulses([ID, *OTHERS], replies, NOW_NS) == {
        ID: Pulse(
            heartbeat=heartbeat(beat_at=NOW_NS - 2 * S),
            age_s=2.0,
            expired=False,
            fields=as_redis_gives(beat_at=NOW_NS - 2 * S),
        ),
        OTHERS[0]: Pulse(),
        OTHERS[1]: Pulse(expired=False, readable=False, fields={"pid": "not a number"}),
        OTHERS[2]: Pulse(expired=False, readable=False),
    }


def test_a_beat_from_the_future_is_fresh() -> None:
    (pulse,) = read_pulses([ID], [as_redis_gives(beat_at=NOW_NS + 9 * S)], NOW_NS).values()
    assert pulse.age_s == 0.0


@given(
    st.dictionaries(
        st.sampled_from([*as_redis_gives(), "more"]), st.text("0123456789.-+einfa \0é", max_size=30), max_size=5
    )
)
def test_no_content_of_a_hash_raises(fields: dict[str, str]) -> None:
    (pulse,) = read_pulses([ID], [{**as_redis_gives(), **fields}], NOW_NS).values()
    assert pulse.heartbeat is None or pulse.readable


def read(at_ns: int, **changes: Any) -> dict[CollectorId, Pulse]:
    return read_pulses([ID], [as_redis_gives(**changes)], at_ns)


@pytest.mark.parametrize("clock_jump_s", [0, 3600, -3600])
def test_the_age_is_what_passed_here_since_the_beat_moved(clock_jump_s: int) -> None:
    memory = PulseMemory()
    memory.update(read(NOW_NS), 100.0)
    jumped_ns = NOW_NS + clock_jump_s * S
    assert memory.update(read(jumped_ns), 104.0)[ID].age_s == 4.0
    assert memory.update(read(jumped_ns, beats=601), 105.0)[ID].age_s == 0.0


def test_what_is_seen_for_the_first_time_has_the_age_it_says() -> None:
    assert PulseMemory().update(read(NOW_NS, beat_at=NOW_NS - 8 * S), 100.0)[ID].age_s == pytest.approx(8.0)


def test_an_expired_beat_is_remembered() -> None:
    memory = PulseMemory()
    memory.update(read(NOW_NS), 100.0)
    assert memory.update({ID: Pulse()}, 111.0) == {ID: Pulse(heartbeat=heartbeat(), age_s=11.0, expired=True)}


def test_a_foreign_value_is_not_replaced_by_a_memory() -> None:
    memory = PulseMemory()
    memory.update(read(NOW_NS), 100.0)
    foreign = Pulse(expired=False, readable=False)
    assert memory.update({ID: foreign}, 101.0) == {ID: foreign}


def test_collectors_that_left_the_fleet_are_forgotten() -> None:
    memory = PulseMemory()
    memory.update(read(NOW_NS), 100.0)
    memory.update({}, 101.0)
    assert memory.update({ID: Pulse()}, 102.0) == {ID: Pulse()}


def test_an_unreadable_heartbeat_is_distinct_from_a_key_of_another_type() -> None:
    key, refusal = keys.heartbeat(ID), redis.exceptions.NoPermissionError("No permissions to access a key")
    (found,) = read_pulses([ID], [refusal], NOW_NS).values()
    assert found == Pulse(expired=False, readable=False, refusal=f" (NOPERM hgetall {key})")
    judgement = assess([config()], {ID: found}, None, {}, ManagerSettings())[0]
    assert (judgement.verdict, judgement.why) == (
        Verdict.UNKNOWN,
        f"its heartbeat may not be read (NOPERM hgetall {key})",
    )
