import pytest

from tests.soak.conftest import Schedules


@pytest.mark.system
def test_streams_are_right_after_schedules_of_faults(schedules: Schedules) -> None:
    """On both exchanges; among the faults are a failover and a deletion in Redis."""
    code, text = schedules.outcome(180)
    assert (code, "2 schedules (1 on binance, 1 on okx)" in text) == (0, True), text
    assert "\n0 schedules with complaints\n" in text
