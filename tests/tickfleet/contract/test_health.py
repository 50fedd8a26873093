import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.strategies import texts
from tickfleet.contract.health import BookState, Heartbeat, Progress, RestLook, WorkerState, read_heartbeat
from tickfleet.contract.identity import DataType

counts = st.integers(0, 2**63 - 1)
beats = st.builds(
    Heartbeat,
    collector=texts,
    pid=counts,
    host=texts,
    machine=texts,
    run_id=texts,
    config_id=texts,
    version=texts,
    started_at=counts,
    beat_at=counts,
    beats=counts,
    state=st.sampled_from(WorkerState),
    last_error=texts,
    exit_code=st.none() | st.integers(0, 255),
    cpu_seconds=st.floats(0, 1e9),
    clock_offset_ms=st.integers(-(10**9), 10**9),
    rest_look=st.sampled_from(RestLook),
    mute=texts,
    book_state=st.none() | st.sampled_from(BookState),
    progress=st.dictionaries(
        st.sampled_from(DataType), st.builds(Progress, count=counts, last_event_at=counts, silence_limit=counts)
    ),
)
BEAT = Heartbeat(
    collector="okx:BTC-USDT",
    pid=7,
    host="h",
    machine="1f2e",
    run_id="abc",
    version="0.1.0",
    started_at=5,
    state=WorkerState.RUNNING,
    cpu_seconds=1.5,
    book_state=BookState.VALID,
    progress={DataType.TRADE: Progress(count=3, last_event_at=9, silence_limit=30)},
)
FIELDS = {
    "collector": "okx:BTC-USDT", "pid": 7, "host": "h", "run_id": "abc", "config_id": "", "version": "0.1.0",
    "started_at": 5, "beat_at": 0, "beats": 0, "state": "running", "last_error": "", "connected_since": 0,
    "catching_up_since": 0,
    "reconnects": 0, "resyncs": 0, "gaps": 0, "backfilled": 0, "duplicates_dropped": 0, "decode_errors": 0,
    "entries_published": 0, "entries_buffered": 0, "entries_dropped": 0, "express_trades": 0,
    "redis_reconnects": 0, "last_frame_at": 0,
    "rss_bytes": 0, "cpu_seconds": 1.5, "latency_p50_us": 0, "latency_p99_us": 0, "lag_p50_ms": 0, "lag_p99_ms": 0,
    "clock_offset_ms": 0, "loop_lag_ms": 0,
    "banned_until": 0, "banned_why": "", "limits_unshared": "", "keys_lost": "",
    "rest_looked_at": 0, "rest_look": "none", "mute": "",
    "mute_reconnects": 0, "machine": "1f2e",
    "book_state": "valid", "trade_count": 3, "trade_last_event_at": 9, "trade_silence_limit": 30,
}  # fmt: skip


def as_read(beat: Heartbeat) -> dict[str, str]:
    """What HGETALL gives a reader."""
    return {name: str(value) for name, value in beat.to_fields().items()}


def test_the_hash_of_a_heartbeat() -> None:
    assert BEAT.to_fields() == FIELDS


@given(beats)
def test_reading_undoes_writing(beat: Heartbeat) -> None:
    assert read_heartbeat(as_read(beat)) == beat


def test_unknown_fields_are_skipped() -> None:
    assert read_heartbeat({**as_read(BEAT), "new_in_a_later_version": "x"}) == BEAT


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"collector": "okx:BTC-USDT"},
        {**as_read(BEAT), "pid": "x"},
        {**as_read(BEAT), "state": "dancing"},
        {**as_read(BEAT), "trade_count": "many"},
    ],
    ids=["nothing", "half of it", "a pid that is no number", "an unknown state", "a count that is no number"],
)
def test_what_is_no_heartbeat_of_ours_is_none(fields: dict[str, str]) -> None:
    assert read_heartbeat(fields) is None


@given(st.dictionaries(st.sampled_from([*FIELDS, "progress"]), texts))
def test_any_hash_is_a_heartbeat_or_none(fields: dict[str, str]) -> None:
    assert isinstance(read_heartbeat({**as_read(BEAT), **fields}), Heartbeat | None)


def test_the_words_of_the_contract() -> None:
    assert [state.value for state in WorkerState] == [
        "starting", "connecting", "subscribing", "catching_up", "running", "degraded", "stopping", "stopped", "error",
    ]  # fmt: skip
    assert [state.value for state in BookState] == ["valid", "syncing", "stale"]
