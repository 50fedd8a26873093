"""What all servers behind an address say: real Sentinels, and a real Cluster over the death of a master."""

from binascii import crc_hqx
from pathlib import Path

import pytest

from common.redis.servers import SentinelSays, ServerRow, Servers, ServerSays, find_servers, probe_of, read_rows
from tests.support.canned_redis import CannedRedis
from tests.support.ports import free_port
from tests.support.redis_high import SERVICE, Cluster, Sentinel, running
from tests.support.redis_server import RedisServer
from tickfleet.redis.config import RedisConfig

HOST = "127.0.0.1"
NODES = """\
a1 127.0.0.1:7001@17001,one myself,master - 0 0 1 connected 0-99 200 [93->-b2]
b2 ::1:7002@17002 slave a1 0 0 1 connected
c3 :0@0 master,fail,noaddr - 0 0 3 disconnected 100-199
"""

REFUSED = "cannot be reached: it refuses the connection (ConnectionRefusedError, ECONNREFUSED)"


def test_what_a_node_knows_of_the_others() -> None:
    assert read_rows(NODES, (HOST, 7001)) == (
        ServerRow(node_id="a1", host=(HOST, 7001), flags=frozenset({"myself", "master"}), slots=((0, 99), (200, 200))),
        ServerRow(node_id="b2", host=("::1", 7002), flags=frozenset({"slave"})),
        ServerRow(node_id="c3", host=None, flags=frozenset({"master", "fail", "noaddr"}), slots=((100, 199),)),
    )
    (alone,) = read_rows("a1 :7001@17001 myself,master - 0 0 0 connected", ("db.example.org", 7001))
    assert alone.host == ("db.example.org", 7001)


@pytest.mark.parametrize("slots", [[(0, 16_383)], [(7, 7)], [(1, 2), (16_383, 16_383)]])
def test_a_probe_is_in_a_slot_of_the_node(slots: list[tuple[int, int]]) -> None:
    probe = probe_of(slots)
    assert probe.startswith("md:v1:fleet:probe:{")
    slot = crc_hqx(probe.partition("{")[2].rstrip("}").encode(), 0) % 16_384
    assert any(first <= slot <= last for first, last in slots)


async def test_one_server_alone_has_no_others(redis_config: RedisConfig) -> None:
    assert await find_servers(redis_config) == Servers()


def roles(servers: Servers) -> dict[int, str]:
    """By port, its role, or why it could not be asked, or the refusal of a write."""
    return {
        says.host[1]: says.trouble or says.refusal.partition(" ")[0] or says.info["role"] for says in servers.servers
    }


async def test_every_sentinel_and_each_server_that_they_name_is_asked(tmp_path: Path) -> None:
    sentinel = Sentinel(tmp_path, "hunter2")
    with running(sentinel):
        one, two = (server.port for server in sentinel.servers)
        found = await find_servers(sentinel.config)
        nobody, there = sorted(found.sentinels, key=lambda says: says.host[1] == sentinel.port)
        assert nobody == SentinelSays(host=nobody.host, trouble=REFUSED)
        assert (there.master, there.replicas, there.others, there.no_failover) == ((HOST, one), ((HOST, two),), {}, "")
        assert roles(found) == {one: "master", two: "slave"}
        sentinel.servers[0].client.config_set("min-replicas-to-write", 2)
        assert roles(await find_servers(sentinel.config)) == {one: "NOREPLICAS", two: "slave"}
        sentinel.servers[1].stop()
        assert roles(await find_servers(sentinel.config)) == {one: "NOREPLICAS", two: REFUSED}


async def test_a_sentinel_that_does_not_let_us_in_says_so() -> None:
    async with CannedRedis({"INFO": b"-NOAUTH a\r\n", "SENTINEL": b"-NOAUTH a\r\n"}) as server:
        found = await find_servers(RedisConfig(url=f"redis+sentinel://{HOST}:{server.port}/{SERVICE}"))
    assert found.sentinels == (SentinelSays(host=(HOST, server.port), trouble="asks for a password"),)


async def test_every_node_of_a_cluster_is_asked_by_itself(tmp_path: Path) -> None:
    cluster = Cluster(tmp_path, replica=True)
    with running(cluster):
        ports = [node.port for node in cluster.nodes]
        found = await find_servers(cluster.config)
        nobody = [says for says in found.servers if says.host[1] not in ports]
        assert nobody == [ServerSays(host=nobody[0].host, trouble=REFUSED)]
        assert {port: role for port, role in roles(found).items() if port in ports} == dict(
            zip(ports, ("master", "master", "master", "slave"), strict=True)
        )
        full: RedisServer = cluster.nodes[1]
        full.client.config_set("maxmemory", 1)
        cluster.fail_over()
        config = RedisConfig(url=f"redis+cluster://{HOST}:{ports[0]},{HOST}:{free_port()}")
        after = roles(await find_servers(config))
        assert {port: role for port, role in after.items() if port in ports} == dict(
            zip(ports, ("master", "OOM", REFUSED, "master"), strict=True)
        )
