import pytest

from manager.observe.clock_jumps import Instant, was_late
from manager.settings import ManagerSettings
from tests.manager.fakes import NOW_NS, S


@pytest.mark.parametrize(
    ("wall_s", "monotonic_s", "late"),
    [
        (1, 1, False),
        (4.9, 4.9, False),
        (5.1, 5.1, True),  # suspended, or starved
        (3600, 1, True),  # the machine slept, or the clock was set forward
        (-3600, 1, True),  # the clock was set back
        (2.5, 1, False),  # slewed by NTP
    ],
)
def test_late(wall_s: float, monotonic_s: float, late: bool) -> None:
    before = Instant(NOW_NS, 50.0)
    now = Instant(NOW_NS + round(wall_s * S), 50.0 + monotonic_s)
    assert was_late(before, now, ManagerSettings()) is late


def test_what_others_kept_us_waiting_is_not_our_lateness() -> None:
    before, after = Instant(NOW_NS, 100.0), Instant(NOW_NS + 6 * S, 106.0)
    assert was_late(before, after, ManagerSettings())
    assert not was_late(before, after, ManagerSettings(), waited_s=2.0)
    assert was_late(before, Instant(NOW_NS + 8 * S, 108.0), ManagerSettings(), waited_s=2.0)
    assert was_late(before, Instant(NOW_NS, 106.0), ManagerSettings(), waited_s=2.0), "the clock was set"
