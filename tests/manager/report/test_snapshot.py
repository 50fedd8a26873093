import pytest

from manager.report.snapshot import TURNS_WITHIN_S, Shown, Snapshot, why_unwell


@pytest.mark.parametrize(
    ("shown", "why"),
    [
        (Shown(at_s=100.0, leading=True), ""),
        (Shown(at_s=100.0), ""),
        (Shown(at_s=100.0 - TURNS_WITHIN_S), ""),
        (Shown(at_s=99.0 - TURNS_WITHIN_S, redis_trouble="away"), "the loop has not turned for 31 s"),
        (Shown(at_s=100.0, redis_trouble="Redis is away", supervisor_trouble="too"), "Redis is away"),
        (Shown(at_s=100.0, supervisor_trouble="supervisord is away"), "supervisord is away"),
    ],
)
def test_why_a_manager_is_unwell(shown: Shown, why: str) -> None:
    assert why_unwell(shown, 100.0) == why


def test_a_loop_that_never_turned_is_unwell_after_a_while() -> None:
    snapshot = Snapshot(100.0)
    assert [why_unwell(snapshot.shown, now_s) for now_s in (100.0, 140.0)] == ["", "the loop has not turned for 40 s"]


def test_alerts_are_counted() -> None:
    snapshot = Snapshot(0.0)
    snapshot.count_alerts(3, 0)
    snapshot.count_alerts(1, 2)
    assert (snapshot.alerts_sent, snapshot.alerts_dropped) == (4, 2)
