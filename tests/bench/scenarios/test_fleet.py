"""What becomes of the readings of a fleet."""

import tomllib

from tests.bench.scenarios.fleet import Use, fleet_file, shares


def test_shares_are_what_was_used_in_between() -> None:
    before = {"redis": Use(cpu_ns=1_000_000_000, willing=10, taken=1), "load": Use(0, 0, 0)}
    after = {"redis": Use(cpu_ns=1_250_000_000, willing=60, taken=6), "load": Use(0, 5, 0)}
    assert shares(before, after, 5.0) == {
        "redis": {"cpu_percent": 5.0, "switches_per_s": 10.0, "preempted_per_s": 1.0},
        "load": {"cpu_percent": 0.0, "switches_per_s": 1.0, "preempted_per_s": 0.0},
    }


def test_each_collector_of_the_fleet_collects_trades() -> None:
    assert tomllib.loads(fleet_file(["A-USDT", "B-USDT"], '[exchanges.okx]\nrest = "http://127.0.0.1:1"\n')) == {
        "exchanges": {"okx": {"rest": "http://127.0.0.1:1"}},
        "defaults": {"data_types": ["trade"]},
        "collectors": [{"exchange": "okx", "symbol": "A-USDT"}, {"exchange": "okx", "symbol": "B-USDT"}],
    }
