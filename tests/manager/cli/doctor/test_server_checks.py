from typing import Any

import pytest

from common.redis.servers import SentinelSays, ServerRow, Servers, ServerSays
from manager.cli.doctor.findings import Finding, Severity, bad, ok, skipped, warning
from manager.cli.doctor.server_checks import check_servers

MASTER, REPLICA, THIRD, WATCHER, OTHER = ((f"10.0.0.{each}", 6379) for each in range(1, 6))
INFO = {"redis_version": "7.4.2", "maxmemory": "1073741824", "maxmemory_policy": "noeviction", "master_replid": "f0"}
OF_MASTER = {**INFO, "role": "master"}
FOLLOWS = {**INFO, "role": "slave", "master_host": "10.0.0.1", "master_port": "6379", "master_link_status": "up"}
FIT = "Redis 7.4.2, noeviction, maxmemory 1.0 GiB"


def sentinel(**changes: Any) -> SentinelSays:
    return SentinelSays(
        **{"host": WATCHER, "info": INFO, "master": MASTER, "replicas": (REPLICA,), "others": {"r": OTHER}, **changes}
    )


def check_with_sentinel(*servers: ServerSays, sentinels: tuple[SentinelSays, ...] = ()) -> list[Finding]:
    return check_servers(Servers(sentinels=sentinels or (sentinel(),), servers=servers))


def pair(**changes: Any) -> tuple[ServerSays, ServerSays]:
    return ServerSays(host=MASTER, info=OF_MASTER), ServerSays(**{"host": REPLICA, "info": FOLLOWS, **changes})


def test_one_server_alone_has_nothing_to_be_said() -> None:
    assert check_servers(Servers()) == []


def test_all_is_well_behind_sentinels() -> None:
    assert check_with_sentinel(*pair()) == [
        ok(
            "redis sentinel",
            "10.0.0.4:6379: Redis 7.4.2, names 10.0.0.1:6379 as master, knows 1 replica and 1 other Sentinel",
        ),
        ok("redis server", f"10.0.0.1:6379: master that takes writes, {FIT}"),
        ok("redis server", f"10.0.0.2:6379: replica of 10.0.0.1:6379, {FIT}"),
    ]


def test_a_sentinel_that_cannot_be_asked_is_named() -> None:
    (finding, *_) = check_with_sentinel(
        *pair(), sentinels=(sentinel(host=OTHER, trouble="cannot be reached"), sentinel())
    )
    mend = "see its log, start it again, or take it out of redis.url"
    assert finding == warning("redis sentinel", "10.0.0.5:6379: cannot be reached", mend)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"master": None}, "it does not know our service"),
        ({"master": REPLICA}, "the others name 10.0.0.1:6379"),
        ({"no_failover": "NOQUORUM"}, "the Sentinels cannot agree on another master (NOQUORUM)"),
    ],
)
def test_a_sentinel_that_is_of_no_use(changes: dict[str, Any], told: str) -> None:
    sentinels = (sentinel(), sentinel(), sentinel(host=OTHER, **changes))
    finding = check_with_sentinel(*pair(), sentinels=sentinels)[2]
    assert (finding.level, finding.found.rpartition("; ")[2]) == (Severity.BAD, told)


@pytest.mark.parametrize(
    ("server", "level", "told"),
    [
        (ServerSays(host=MASTER, trouble="cannot be reached"), Severity.BAD, "cannot be reached: it is the master"),
        (
            ServerSays(host=REPLICA, trouble="asks for a password"),
            Severity.WARNING,
            "asks for a password: it cannot take over",
        ),
        (
            ServerSays(host=MASTER, info={**FOLLOWS, "master_port": "1"}),
            Severity.BAD,
            "the Sentinels name it as master",
        ),
        (
            ServerSays(host=REPLICA, info=OF_MASTER),
            Severity.BAD,
            "the Sentinels name 10.0.0.1:6379 as master: what is written here will be lost",
        ),
        (
            ServerSays(host=REPLICA, info={**FOLLOWS, "master_replid": "f1"}),
            Severity.WARNING,
            "it does not follow 10.0.0.1:6379, which the Sentinels name as master",
        ),
        (
            ServerSays(host=REPLICA, info={**FOLLOWS, "master_link_status": "down"}),
            Severity.WARNING,
            "its link to its master is down: it does not have the newest data",
        ),
        (
            ServerSays(host=MASTER, info=OF_MASTER, refusal="MISCONF Errors writing to the AOF"),
            Severity.BAD,
            "Redis takes no writes: MISCONF, since when is not known here",
        ),
        (
            ServerSays(host=MASTER, info=OF_MASTER, refusal="NOPERM no"),
            Severity.SKIPPED,
            "whether it takes writes cannot be tried (NOPERM)",
        ),
        (ServerSays(host=REPLICA, info={**FOLLOWS, "redis_version": "6.0.9"}), Severity.BAD, ""),
        (ServerSays(host=REPLICA, info={**FOLLOWS, "maxmemory_policy": "allkeys-lru"}), Severity.BAD, ""),
        (ServerSays(host=REPLICA), Severity.SKIPPED, "Redis does not tell us (INFO is refused, or leaves it out)"),
    ],
)
def test_a_server_that_is_not_fit(server: ServerSays, level: Severity, told: str) -> None:
    third = ServerSays(host=THIRD, info=FOLLOWS)
    finding = check_with_sentinel(server, *(each for each in (*pair(), third) if each.host != server.host))[1]
    assert (finding.level, finding.found.startswith(f"{server.host[0]}:6379: ")) == (level, True)
    assert finding.found.endswith(told)
    assert finding.mend


def test_a_master_that_nobody_follows() -> None:
    finding = check_with_sentinel(pair()[0])[1]
    assert (finding.level, finding.mend) == (Severity.WARNING, "start a replica of it")


def node(number: int, view: tuple[ServerRow, ...], **changes: Any) -> ServerSays:
    rows = tuple(
        ServerRow(node_id=row.node_id, host=row.host, flags=row.flags | {"myself"}, slots=row.slots)
        if at == number
        else row
        for at, row in enumerate(view)
    )
    return ServerSays(**{"host": view[number].host, "info": OF_MASTER, "rows": rows, **changes})


VIEW = (
    ServerRow(node_id="a", host=MASTER, flags=frozenset({"master"}), slots=((0, 9_999),)),
    ServerRow(node_id="b", host=REPLICA, flags=frozenset({"master"}), slots=((10_000, 16_383),)),
    ServerRow(node_id="c", host=THIRD, flags=frozenset({"slave"})),
)


def test_all_is_well_in_a_cluster() -> None:
    nodes = (node(0, VIEW), node(1, VIEW), node(2, VIEW, info=FOLLOWS))
    assert check_servers(Servers(servers=nodes)) == [
        ok("redis cluster", "all 16384 slots are on 2 masters"),
        ok("redis node", f"10.0.0.1:6379: master of 10000 slots that takes writes, {FIT}"),
        ok("redis node", f"10.0.0.2:6379: master of 6384 slots that takes writes, {FIT}"),
        ok("redis node", f"10.0.0.3:6379: replica of 10.0.0.1:6379, {FIT}"),
    ]


def test_a_node_that_cannot_be_asked_or_sees_it_otherwise_is_named() -> None:
    moved = (VIEW[0], ServerRow(node_id="c", host=THIRD, flags=frozenset({"master"}), slots=((10_000, 16_383),)))
    nodes = (node(0, VIEW), node(1, VIEW), node(1, moved), ServerSays(host=OTHER, trouble="cannot be reached"))
    assert check_servers(Servers(servers=nodes))[3:] == [
        bad(
            "redis node",
            f"10.0.0.3:6379: master of 6384 slots that takes writes, {FIT}; "
            "other nodes say otherwise who has which slots",
            "it follows the others within seconds; if it does not, see the network between the nodes",
        ),
        bad(
            "redis node",
            "10.0.0.5:6379: cannot be reached",
            "see its log and start it again; a node that is gone for good: CLUSTER FORGET",
        ),
    ]


def test_slots_that_nobody_has() -> None:
    down = "CLUSTERDOWN The cluster is down"
    cluster, first = check_servers(Servers(servers=(node(0, VIEW[:1], refusal=down),)))
    assert (cluster.level, cluster.found) == (
        Severity.BAD,
        "6384 of 16384 slots are on no node, the others on 1 master",
    )
    assert (first.level, first.found.rpartition("; ")[2]) == (Severity.BAD, "it is a Cluster that is not whole now")


def test_a_node_that_does_not_tell_is_not_said_to_be_well() -> None:
    cluster, first = check_servers(Servers(servers=(ServerSays(host=MASTER, info=OF_MASTER),)))
    assert cluster == skipped("redis cluster", "no node tells who has which slots", "see the nodes below")
    assert first == skipped(
        "redis node",
        f"10.0.0.1:6379: master that takes writes, {FIT}; it does not tell who has which slots",
        "allow it CLUSTER NODES, see docs/redis-access.md",
    )
