from typing import Any

import pytest

from manager.cli.doctor.findings import Finding, Severity, bad, ok, skipped
from manager.cli.doctor.redis_checks import NodeFacts, RedisFacts, check_redis
from manager.observe.writes import REMEDIES, NoWrites
from tests.manager.fakes import NOW_NS
from tickfleet.redis.refusals import NO_WRITES

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


NEEDS: dict[str, Any] = {"full_bytes": 2 * GIB, "basis": "by typical sizes", "connections": 14}


def found(check: str, **changes: Any) -> Finding:
    facts = RedisFacts(**{"info": INFO, "config": CONFIG, "available_bytes": 8 * GIB, **NEEDS, **changes})
    (finding,) = [finding for finding in check_redis(facts) if finding.check == check]
    return finding


def test_a_fit_redis_has_nothing_to_mend() -> None:
    facts = RedisFacts(info=INFO, config=CONFIG, available_bytes=8 * GIB, **NEEDS)
    assert check_redis(facts) == [
        ok("redis writes", "Redis takes writes"),
        ok("redis version", "Redis 7.4.2"),
        ok("redis eviction", "noeviction"),
        ok("redis persistence", "append-only file"),
        ok("redis disk", "its last writes succeeded"),
        ok(
            "redis memory",
            "2.0 GiB when all streams are full (by typical sizes), 9.0 GiB are there for it (no maxmemory set)",
        ),
        ok("redis clients", "12 of 10000 clients, the whole fleet holds 14"),
    ]


@pytest.mark.parametrize(
    ("version", "level"),
    [
        ({"redis_version": "5.0.14"}, Severity.BAD),
        ({"redis_version": "6.0.9"}, Severity.BAD),
        ({"redis_version": "6.2.0"}, Severity.OK),
        ({"redis_version": "7.2.4", "valkey_version": "9.1.0"}, Severity.OK),
        ({"redis_version": "of the moon"}, Severity.SKIPPED),
    ],
)
def test_version(version: dict[str, str], level: Severity) -> None:
    assert found("redis version", info={**INFO, **version}).level is level


@pytest.mark.parametrize(
    ("policy", "level"),
    [
        ("noeviction", Severity.OK),
        ("volatile-lru", Severity.WARNING),
        ("allkeys-lru", Severity.BAD),
        ("allkeys-lfu", Severity.BAD),
    ],
)
def test_eviction(policy: str, level: Severity) -> None:
    assert found("redis eviction", config={**CONFIG, "maxmemory-policy": policy}).level is level


@pytest.mark.parametrize(
    ("settings", "level"),
    [
        ({"appendonly": "yes"}, Severity.OK),
        ({"appendonly": "no", "save": "3600 1"}, Severity.WARNING),
        ({"appendonly": "no", "save": ""}, Severity.WARNING),
    ],
)
def test_persistence(settings: dict[str, str], level: Severity) -> None:
    assert found("redis persistence", config={**CONFIG, **settings}).level is level


NO_INFO = "Redis does not tell us (INFO is refused, or leaves it out)"
NO_CONFIG = "Redis does not show its settings to us (CONFIG GET is refused)"


def test_what_could_not_be_looked_at_is_skipped_and_never_ok() -> None:
    unseen = RedisFacts(info={}, config={}, available_bytes=8 * GIB, refusal="NOPERM", **NEEDS)
    assert check_redis(unseen) == [
        skipped("redis writes", "whether Redis takes writes cannot be tried (NOPERM)"),
        skipped("redis version", NO_INFO, "see that it is Redis 6.2 or later, or Valkey"),
        skipped("redis eviction", NO_CONFIG, "see that maxmemory-policy is noeviction"),
        skipped("redis persistence", NO_CONFIG, "see that appendonly is yes"),
        skipped("redis disk", NO_INFO, "see its log, and that its disk has room"),
        skipped(
            "redis memory",
            f"2.0 GiB when all streams are full (by typical sizes); {NO_INFO}",
            "compare that with its maxmemory, or its machine's memory",
        ),
        skipped("redis clients", f"the whole fleet holds 14; {NO_INFO}", "see that its maxclients leaves room"),
    ]


@pytest.mark.parametrize("code", NO_WRITES)
def test_a_redis_that_takes_no_writes_is_bad_and_says_how_to_mend_it(code: str) -> None:
    known = NoWrites(code, NOW_NS)
    assert found("redis writes", refusal=code, no_writes=known) == bad("redis writes", str(known), REMEDIES[code])


@pytest.mark.parametrize(
    ("missing", "check"),
    [
        ("redis_version", "redis version"),
        ("aof_last_write_status", "redis disk"),
        ("used_memory", "redis memory"),
        ("maxmemory", "redis memory"),
        ("connected_clients", "redis clients"),
        ("maxclients", "redis clients"),
    ],
)
def test_an_info_that_leaves_something_out_is_skipped_there_alone(missing: str, check: str) -> None:
    info = {name: value for name, value in INFO.items() if name != missing}
    findings = check_redis(RedisFacts(info=info, config=CONFIG, available_bytes=8 * GIB, **NEEDS))
    assert [finding.check for finding in findings if finding.level is Severity.SKIPPED] == [check]


def test_a_write_that_failed_is_bad() -> None:
    assert found("redis disk", info={**INFO, "rdb_last_bgsave_status": "err"}).level is Severity.BAD


@pytest.mark.parametrize(
    ("full", "limit", "available", "level"),
    [
        (2 * GIB, 3 * GIB, None, Severity.OK),
        (2 * GIB, 2 * GIB, None, Severity.WARNING),
        (3 * GIB, 2 * GIB, None, Severity.BAD),
        (3 * GIB, 2 * GIB, 100 * GIB, Severity.BAD),  # its own limit comes first
        (8 * GIB, 0, 8 * GIB, Severity.WARNING),  # what it has already counts
        (10 * GIB, 0, 8 * GIB, Severity.BAD),
        (10 * GIB, 0, None, Severity.SKIPPED),
    ],
)
def test_memory(full: int, limit: int, available: int | None, level: Severity) -> None:
    info = {**INFO, "maxmemory": limit}
    assert found("redis memory", info=info, full_bytes=full, available_bytes=available).level is level


def test_clients() -> None:
    assert found("redis clients", info={**INFO, "connected_clients": 9_000}).level is Severity.WARNING


def test_a_folder_that_was_removed_under_it() -> None:
    assert found("redis disk", folder_gone="/srv/var/redis") == bad(
        "redis disk",
        "/srv/var/redis was removed while Redis runs: what it has is lost when it ends",
        "save what you need (manager-cli export), then restart it: collectors fetch the rest",
    )


@pytest.mark.parametrize(
    ("connections", "level"), [(8_000, Severity.OK), (8_001, Severity.WARNING), (10_001, Severity.BAD)]
)
def test_clients_of_the_whole_fleet(connections: int, level: Severity) -> None:
    assert found("redis clients", connections=connections).level is level


def test_each_node_of_a_cluster_has_to_hold_its_share() -> None:
    limits = {"a:1": 4 * GIB, "b:1": 2 * GIB, "c:1": 2 * GIB - 1, "d:1": 0, "e:1": None}
    nodes = tuple(NodeFacts(name=name, full_bytes=2 * GIB, maxmemory=limit) for name, limit in limits.items())
    facts = RedisFacts(info=INFO, config=CONFIG, available_bytes=8 * GIB, nodes=nodes, **NEEDS)
    found = [each for each in check_redis(facts) if "node" in each.found]
    assert [(each.found.split()[1], each.level) for each in found] == [
        ("a:1:", Severity.OK),
        ("b:1:", Severity.WARNING),
        ("c:1:", Severity.BAD),
        ("d:1:", Severity.SKIPPED),
        ("e:1:", Severity.SKIPPED),
    ]
    assert found[0].found == "node a:1: 2.0 GiB when all its streams are full, maxmemory is 4.0 GiB"
