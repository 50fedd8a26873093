"""The whole suite with as little as it takes to see that it works."""

import json
from pathlib import Path

import pytest

from collector_worker.fastpath.compiled import compiled
from tests.bench import __main__ as bench
from tests.bench.plan import Plan

TINY = Plan(rounds=1, transports=("picows",), burst_trades=500, book_rates=(200,), warm_s=0.1, steady_s=0.2)


def test_a_tiny_run_gives_a_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "QUICK", TINY)
    path = tmp_path / "result.json"
    assert bench.main(["--quick", "--only", "burst,limit,books", "--json", str(path)]) == 0
    result = json.loads(path.read_text(encoding="utf-8"))
    assert (result["version"], result["transport"], list(result["scenarios"])) == (
        1,
        "picows",
        ["burst", "limit", "books"],
    )
    rows = [(row["transport"], row["tls"], row["fast_path"]) for row in result["scenarios"]["burst"]["rows"]]
    has = compiled() is not None
    assert rows == [("picows", False, has), *([("picows", False, False)] if has else []), ("picows", True, has)]
    (book,) = result["scenarios"]["books"]["rows"]
    assert 0 < book["latency_us"]["p50"] <= book["latency_us"]["max"]
    assert result["scenarios"]["limit"]["burst_share_percent"] > 0


def test_an_unknown_scenario_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        bench.main(["--only", "burst,speed"])
    assert "no such scenario: speed" in capsys.readouterr().err
