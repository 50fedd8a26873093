import re

import pytest
from msgspec.structs import replace
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_plain

from manager.model.verdicts import Verdict
from manager.report.metrics.families import render
from manager.report.snapshot import Snapshot
from tests.manager.fakes import NOW_NS, S
from tests.manager.report.metrics.scene import BTC, ETH, NOW_S, SOL, judgements, snapshot

UNITS = ("_seconds", "_bytes", "_ratio", "_entries")
WITHOUT_UNIT = {
    "tickfleet_collector_up", "tickfleet_collector_desired", "tickfleet_redis_up",
    "tickfleet_redis_writable", "tickfleet_supervisord_up",
    "tickfleet_collectors_healthy", "tickfleet_collectors_failed", "tickfleet_manager_leading",
    "tickfleet_system_load1", "tickfleet_manager_info",
}  # fmt: skip
"""Counts of things and answers to a question have none."""


def families(of: Snapshot) -> dict[str, Metric]:
    content_type, body = render(of, NOW_S)
    assert content_type.startswith("text/plain; version=")
    return {family.name: family for family in parse_plain(body.decode())}


def values(name: str, of: Snapshot | None = None) -> dict[tuple[str, ...], float]:
    """The samples of a metric by the values of their labels; none where there is no such metric."""
    found = families(of or snapshot()).get(name)
    return {tuple(sample.labels.values()): sample.value for sample in found.samples} if found else {}


def test_names_follow_the_conventions() -> None:
    for family in families(snapshot()).values():
        (name,) = {sample.name for sample in family.samples}
        assert re.fullmatch(r"tickfleet_[a-z0-9_]+", name)
        assert family.documentation
        if family.type == "counter":
            assert name.endswith("_total")
        else:
            assert name.endswith(UNITS) or name in WITHOUT_UNIT, name
            assert not name.endswith(("_total", "_count", "_sum"))
        assert not {"ms", "us", "ns", "percent", "kilobytes", "minutes"} & set(name.split("_"))


def test_labels_are_collectors_and_data_types_alone() -> None:
    labels = {frozenset(sample.labels) for family in families(snapshot()).values() for sample in family.samples}
    allowed = [set(), {"collector"}, {"collector", "type"}, {"version"}]
    assert labels == {frozenset(names) for names in allowed}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("collector_up", {("okx:BTC-USDT",): 1.0, ("okx:ETH-USDT",): 0.0, ("okx:SOL-USDT",): 0.0}),
        ("collector_desired", {(str(each.id),): 1.0 for each in (BTC, ETH, SOL)}),
        ("collector_cpu_seconds", {("okx:BTC-USDT",): 12.5, ("okx:ETH-USDT",): 0.0}),
        ("collector_gaps", {("okx:BTC-USDT",): 3.0, ("okx:ETH-USDT",): 0.0}),
        ("collector_publish_latency_p99_seconds", {("okx:BTC-USDT",): 0.004}),
        ("collector_exchange_lag_p50_seconds", {("okx:BTC-USDT",): 0.04}),
        ("collector_banned_until_timestamp_seconds", {("okx:ETH-USDT",): NOW_NS / S + 60}),
        ("collector_clock_offset_seconds", {("okx:BTC-USDT",): -0.015, ("okx:ETH-USDT",): 0.0}),
        ("collector_last_frame_timestamp_seconds", {("okx:BTC-USDT",): NOW_NS / S - 1}),
        (
            "collector_entries",
            {("okx:BTC-USDT", kind): 100.0 for kind in ("trade", "orderbook", "ticker", "candles")}
            | {("okx:ETH-USDT", "trade"): 0.0},
        ),
        (
            "collector_last_event_timestamp_seconds",
            {("okx:BTC-USDT", kind): NOW_NS / S - 1 for kind in ("trade", "orderbook", "ticker", "candles")},
        ),
        ("collector_restarts", {("okx:BTC-USDT",): 2.0, ("okx:SOL-USDT",): 0.0}),
        ("collector_stream_entries", {("okx:BTC-USDT", "trade"): 100.0, ("okx:BTC-USDT", "candles"): 12.0}),
        ("collector_stream_bytes", {("okx:BTC-USDT", "trade"): 1_000.0, ("okx:BTC-USDT", "candles"): 120.0}),
        ("collector_stream_full_bytes", {("okx:BTC-USDT", "trade"): 10_000.0, ("okx:BTC-USDT", "candles"): 20_000.0}),
        ("collectors_healthy", {(): 1.0}),
        ("collectors_failed", {(): 1.0}),
        ("manager_info", {("0.1.0",): 1.0}),
        ("manager_start_time_seconds", {(): NOW_NS / S - 60}),
        ("manager_leading", {(): 1.0}),
        ("manager_loop_age_seconds", {(): 0.5}),
        ("manager_rounds", {(): 77.0}),
        ("manager_cpu_seconds", {(): 1.5}),
        ("alerts_sent", {(): 2.0}),
        ("alerts_dropped", {(): 1.0}),
        ("system_cpu_busy_ratio", {(): 0.25}),
        ("system_load1", {(): 0.5}),
        ("uptime_seconds", {(): 90.5}),
        ("disk_free_bytes", {(): 7.0}),
        ("redis_memory_used_bytes", {(): 2_000.0}),
        ("redis_memory_full_bytes", {(): 31_000.0}),
        ("redis_memory_max_bytes", {}),
        ("redis_memory_limit_bytes", {}),
        ("redis_up", {(): 1.0}),
        ("redis_writable", {(): 1.0}),
    ],
)
def test_values(name: str, expected: dict[tuple[str, ...], float]) -> None:
    assert values(f"tickfleet_{name}") == expected


def test_fleet_counts_match_the_verdicts_shown_and_not_the_last_survey() -> None:
    later = snapshot()
    later.shown = replace(later.shown, judgements=[replace(each, verdict=Verdict.HEALTHY) for each in judgements()])
    up = values("tickfleet_collector_up", later).values()
    assert sum(up) == 3
    assert values("tickfleet_collectors_healthy", later) == {(): 3.0}
    assert values("tickfleet_collectors_failed", later) == {(): 0.0}


def test_a_manager_that_has_just_begun() -> None:
    empty = Snapshot(NOW_S - 3)
    found = {name: values(name, empty) for name in families(empty)}
    assert {name: value for name, value in found.items() if value} == {
        "tickfleet_manager_leading": {(): 0.0},
        "tickfleet_manager_loop_age_seconds": {(): 3.0},
        "tickfleet_manager_rounds": {(): 0.0},
        "tickfleet_redis_up": {(): 1.0},
        "tickfleet_redis_writable": {(): 1.0},
        "tickfleet_supervisord_up": {(): 1.0},
        "tickfleet_alerts_sent": {(): 0.0},
        "tickfleet_alerts_dropped": {(): 0.0},
    }


def test_the_format_is_the_one_asked_for() -> None:
    content_type, body = render(snapshot(), NOW_S, "application/openmetrics-text; version=9.x,text/plain;q=0.5")
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    parsed = parse_openmetrics(body.decode())  # type: ignore[no-untyped-call]
    openmetrics = {family.name for family in parsed}
    assert openmetrics == {name.removesuffix("_info") for name in families(snapshot())}


@pytest.mark.parametrize("accept", ["", "*/*", "text/html", "text/plain;version=9.z"])
def test_whoever_does_not_ask_for_it_gets_plain_text(accept: str) -> None:
    content_type, body = render(snapshot(), NOW_S, accept)
    assert content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert body == render(snapshot(), NOW_S)[1]
