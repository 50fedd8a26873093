import pytest

from tests.soak.run import run_schedule


@pytest.mark.system
@pytest.mark.timeout(200)
@pytest.mark.parametrize(("exchange", "seed"), [("okx", 1), ("binance", 2)])
def test_streams_are_right_after_a_schedule_of_faults(exchange: str, seed: int) -> None:
    report = run_schedule(seed, exchange, duration_s=10)
    assert report.complaints == [], report.line()
    assert report.trades > 0
