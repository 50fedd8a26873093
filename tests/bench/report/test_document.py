"""The page, from a small result that was made by hand."""

import json
from pathlib import Path

from tests.bench.report.document import document
from tests.bench.report.goals import goal_rows
from tests.bench.report.reading import Json

HERE = Path(__file__).parent
EXAMPLE: Json = json.loads((HERE / "example.json").read_text(encoding="utf-8"))
ABSENT = "not measured"


def test_the_page_has_what_was_measured() -> None:
    """``example.md`` was read by a person; charts are shown where they are."""
    page = document(EXAMPLE, {"burst": "performance/burst.svg"})
    assert page == (HERE / "example.md").read_text(encoding="utf-8")


def test_goals_are_held_against_what_was_measured() -> None:
    assert goal_rows(EXAMPLE) == [
        ("burst, entries/s against cryptofeed", "10 times", "≥ 8 times [10 times]", "yes, and the hope"),
        ("burst, share of what Redis itself takes", "60%", "≥ 45% [60%]", "yes, and the hope"),
        ("CPU per entry at 1,000/s against cryptofeed", "0.3 times", "≤ 0.25 times [0.167 times]", "**no**"),
        ("latency p99 at 1,000/s against cryptofeed", "0.4 times", "≤ 0.5 times", "yes"),
        ("latency p99 at 1,000/s of a forwarder in C against cryptofeed", "0.35 times", "", ""),
        ("latency p99 at 1,000/s against a bare reader", "4 times", "≤ 3 times", "**no**"),
        ("memory (PSS) at 1,000/s against cryptofeed", "0.5 times", "≤ 0.6 times [0.45 times]", "yes"),
        ("growth of memory over 1,000,000 frames", "0.1 MiB", "≤ 1 MiB", "yes"),
        ("start to first entry", "0.55 s", "≤ 1 s [0.6 s]", "yes, and the hope"),
        ("100 collectors at 20 frames/s together", "45 % of a core", "≤ 40 % of a core", "**no**"),
        ("a collector among 200 costs more than among 10", "-16%", "≤ 10%", "yes"),
    ]


def test_what_was_not_measured_reaches_nothing() -> None:
    short = {"scenarios": {"memory": {"trades": 100_000, "rows": [{"growth_mib": 0.0}]}, "peer": {"missing": "why"}}}
    for result in ({}, short):
        assert {(measured, reached) for _, measured, _, reached in goal_rows(result)} == {(ABSENT, "")}


def test_who_is_not_there_for_the_turns_is_told_with_the_reason() -> None:
    turns = EXAMPLE["scenarios"]["latency"]
    rows = [row for row in turns["rows"] if row["who"] != "forwarder in C"]
    missing = {"forwarder in C": "forwarder.c cannot be compiled (FileNotFoundError)"}
    result = {**EXAMPLE, "scenarios": {"latency": {**turns, "rows": rows, "missing": missing}}}
    page = document(result, {})
    assert "\nNot measured: forwarder in C, as forwarder.c cannot be compiled (FileNotFoundError).\n\n| who |" in page
    assert "| forwarder in C |" not in page
    assert [line for line in page.splitlines() if line.startswith("## L")] == ["## Latency in turns"]
    reached = {what: (measured, reached) for what, measured, _, reached in goal_rows(result)}
    assert reached["latency p99 at 1,000/s of a forwarder in C against cryptofeed"] == (ABSENT, "")
    assert reached["latency p99 at 1,000/s against cryptofeed"] == ("0.4 times", "yes")


def test_a_page_of_nothing_has_only_goals() -> None:
    page = document({}, {})
    assert [line for line in page.splitlines() if line.startswith("#")] == ["# Performance", "## Goals"]
