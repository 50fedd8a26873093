import pytest

from collector_worker.exchanges.trusted_time import is_ahead, not_ahead, trusted_ns
from tickfleet.contract.events import MAX_CLOCK_DIFFERENCE_NS

NOW = 1_767_225_600_000_000_000
BOUND = MAX_CLOCK_DIFFERENCE_NS


@pytest.mark.parametrize(
    ("off", "ahead", "state", "trusted"),
    [
        (0, False, 0, 0),
        (BOUND, False, BOUND, BOUND),
        (BOUND + 1, True, 0, 0),
        (-BOUND, False, -BOUND, -BOUND),
        (-BOUND - 1, False, -BOUND - 1, 0),  # what was fetched may be old, what is live may not
    ],
)
def test_a_time_is_believed_within_its_bounds(off: int, ahead: bool, state: int, trusted: int) -> None:
    found = is_ahead(NOW + off, NOW), not_ahead(NOW + off, NOW) - NOW, trusted_ns(NOW + off, NOW) - NOW
    assert found == (ahead, state, trusted)
