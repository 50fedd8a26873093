import time
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manager.cli.times import Zone, date_time, length, parse_start, parse_time
from tests.manager.fakes import NOW_NS, S
from tickfleet.errors import UsageError

MS = S // 1000


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


def test_a_time_is_shown_with_its_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    try:
        assert date_time(1_774_778_400_123 * MS) == "2026-03-29 10:00:00.123Z"
        monkeypatch.setattr(Zone, "local", True)
        assert date_time(1_774_778_400_123 * MS) == "2026-03-29 12:00:00.123+02:00"
    finally:
        monkeypatch.undo()
        time.tzset()
