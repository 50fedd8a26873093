"""Turns: their order, what becomes of them, and that who is not there spoils nothing."""

from pathlib import Path

import pytest

from tests.bench.party import Party
from tests.bench.peer_setup import PeerMissingError
from tests.bench.plan import Plan
from tests.bench.scenarios import latency
from tests.bench.scenarios.latency import Turn, in_turns, over
from tests.bench.site import open_site


def turn(cpu: float, p99: float) -> Turn:
    return Turn(cpu, {"p50": p99 / 2, "p99": p99})


def test_they_take_turns() -> None:
    said: list[str] = []
    given = iter([turn(1, 10), turn(2, 20), turn(3, 30), turn(4, 40)])
    ways = {"a": lambda: next(given), "b": lambda: next(given)}
    assert in_turns(ways, 2, said.append) == {"a": [turn(1, 10), turn(3, 30)], "b": [turn(2, 20), turn(4, 40)]}
    assert said == ["latency 1/2 a", "latency 1/2 b", "latency 2/2 a", "latency 2/2 b"]


def test_medians_are_taken_figure_by_figure_and_each_turn_is_kept() -> None:
    assert over([turn(1, 90), turn(9, 20), turn(5, 30)]) == {
        "cpu_us_per_entry": 5,
        "latency_us": {"p50": 15.0, "p99": 30.0},
        "turns": [
            {"cpu_us_per_entry": 1, "latency_us": {"p50": 45.0, "p99": 90}},
            {"cpu_us_per_entry": 9, "latency_us": {"p50": 10.0, "p99": 20}},
            {"cpu_us_per_entry": 5, "latency_us": {"p50": 15.0, "p99": 30}},
        ],
    }


def test_who_is_not_there_is_named_and_the_rest_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> Party:
        raise PeerMissingError("it cannot be installed")

    monkeypatch.setattr(latency, "_OTHERS", {"cryptofeed": nobody})
    plan = Plan(transports=("picows",), warm_s=0.1, latency_turns=1, latency_s=0.2)
    with open_site(tmp_path, lambda _: None) as site:
        found = latency.measure(site, plan)
    rows = found["rows"]
    assert isinstance(rows, list)
    assert [(row["who"], row.get("transport"), len(row["turns"])) for row in rows] == [
        ("tickfleet", "picows", 1),
        ("bare reader", None, 1),
    ]
    assert all(0 < row["latency_us"]["p50"] <= row["latency_us"]["max"] for row in rows)
    assert found["missing"] == {"cryptofeed": "it cannot be installed"}
