from typing import Any

import pytest

from manager.cli.doctor.findings import Finding, Level, ok, skipped
from manager.cli.doctor.redis_checks import RedisFacts, check_redis

GIB = 1024**3
INFO: dict[str, str | int | float] = {
    "redis_version": "7.4.2",
    "used_memory": GIB,
    "maxmemory": 0,
    "connected_clients": 12,
    "maxclients": 10_000,
    "aof_last_write_status": "ok",
}
CONFIG = {"maxmemory-policy": "noeviction", "appendonly": "yes", "save": ""}


def found(check: str, **changes: Any) -> Finding:
    facts = RedisFacts(**{"info": INFO, "config": CONFIG, "full_bytes": 2 * GIB, "available_bytes": 8 * GIB, **changes})
    (finding,) = [finding for finding in check_redis(facts) if finding.check == check]
    return finding


def test_a_fit_redis_has_nothing_to_mend() -> None:
    facts = RedisFacts(info=INFO, config=CONFIG, full_bytes=2 * GIB, available_bytes=8 * GIB)
    assert check_redis(facts) == [
        ok("redis version", "Redis 7.4.2"),
        ok("redis eviction", "noeviction"),
        ok("redis persistence", "append-only file"),
        ok("redis disk", "its last writes succeeded"),
        ok("redis memory", "the streams take 2.0 GiB when full, 9.0 GiB are there for it (no maxmemory set)"),
        ok("redis clients", "12 of 10000 clients"),
    ]


@pytest.mark.parametrize(
    ("version", "level"),
    [
        ({"redis_version": "5.0.14"}, Level.BAD),
        ({"redis_version": "6.0.9"}, Level.BAD),
        ({"redis_version": "6.2.0"}, Level.OK),
        ({"redis_version": "7.2.4", "valkey_version": "9.1.0"}, Level.OK),
        ({"redis_version": "of the moon"}, Level.SKIPPED),
    ],
)
def test_version(version: dict[str, str], level: Level) -> None:
    assert found("redis version", info={**INFO, **version}).level is level


@pytest.mark.parametrize(
    ("policy", "level"),
    [("noeviction", Level.OK), ("volatile-lru", Level.WARNING), ("allkeys-lru", Level.BAD), ("allkeys-lfu", Level.BAD)],
)
def test_eviction(policy: str, level: Level) -> None:
    assert found("redis eviction", config={**CONFIG, "maxmemory-policy": policy}).level is level


@pytest.mark.parametrize(
    ("settings", "level"),
    [
        ({"appendonly": "yes"}, Level.OK),
        ({"appendonly": "no", "save": "3600 1"}, Level.WARNING),
        ({"appendonly": "no", "save": ""}, Level.WARNING),
    ],
)
def test_persistence(settings: dict[str, str], level: Level) -> None:
    assert found("redis persistence", config={**CONFIG, **settings}).level is level


def test_settings_that_are_not_shown_are_skipped_with_a_hint() -> None:
    assert found("redis eviction", config=None) == skipped(
        "redis eviction", "Redis does not show its settings to us", "see that maxmemory-policy is noeviction"
    )
    assert found("redis persistence", config=None).level is Level.SKIPPED


def test_a_write_that_failed_is_bad() -> None:
    assert found("redis disk", info={**INFO, "rdb_last_bgsave_status": "err"}).level is Level.BAD


@pytest.mark.parametrize(
    ("full", "limit", "available", "level"),
    [
        (2 * GIB, 3 * GIB, None, Level.OK),
        (2 * GIB, 2 * GIB, None, Level.WARNING),
        (3 * GIB, 2 * GIB, None, Level.BAD),
        (3 * GIB, 2 * GIB, 100 * GIB, Level.BAD),  # its own limit comes first
        (8 * GIB, 0, 8 * GIB, Level.WARNING),  # what it has already counts
        (10 * GIB, 0, 8 * GIB, Level.BAD),
        (10 * GIB, 0, None, Level.SKIPPED),
    ],
)
def test_memory(full: int, limit: int, available: int | None, level: Level) -> None:
    info = {**INFO, "maxmemory": limit}
    assert found("redis memory", info=info, full_bytes=full, available_bytes=available).level is level


def test_clients() -> None:
    assert found("redis clients", info={**INFO, "connected_clients": 9_000}).level is Level.WARNING
