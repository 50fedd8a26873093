"""Redis as it is run to be there always: a master with a replica and a Sentinel; a Cluster. On free loopback ports."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from deploy.redis_server import find_server
from tests.support.ports import free_port, wait_until
from tests.support.processes import Process
from tests.support.redis_server import RedisServer
from tickfleet.redis.config import RedisConfig

SERVICE = "mymaster"
_DOWN_AFTER_MS = 2_000
"""A busy machine lets a living master wait for some hundred ms; a Sentinel must not fail over for that."""
_TIMEOUT_S = 30
_SLOTS = 16_384


class Sentinel:
    """One Sentinel that decides alone, and the servers that it watches.

    Attributes:
        servers: The first one is the master at the beginning, the others follow it.
    """

    def __init__(self, folder: Path, password: str = "") -> None:
        login = ["--masterauth", password] if password else []
        self.servers = [_server(folder / name, *login, password=password) for name in ("one", "two")]
        self.port = free_port()
        self._folder = folder
        self._password = password
        self._process: Process | None = None
        self.client: Any = redis.Redis(port=self.port, decode_responses=True)

    @property
    def config(self) -> RedisConfig:
        """The address of the service; in front of it one that nobody answers at."""
        url = f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{self.port}/{SERVICE}"
        return RedisConfig(url=url, password=self._password or None)

    def start(self) -> None:
        """Start all and wait until the Sentinel knows the replica."""
        for server in self.servers:
            server.start()
        master, *replicas = self.servers
        for replica in replicas:
            replica.client.replicaof("127.0.0.1", master.port)
        settings = self._folder / "sentinel.conf"
        login = f"sentinel auth-pass {SERVICE} {self._password}\n" if self._password else ""
        settings.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {self._folder}\n"
            f"sentinel monitor {SERVICE} 127.0.0.1 {master.port} 1\n"
            f"sentinel down-after-milliseconds {SERVICE} {_DOWN_AFTER_MS}\n"
            f"sentinel failover-timeout {SERVICE} 3000\n{login}"
        )
        self._process = Process([str(find_server()), str(settings), "--sentinel"], self._folder / "sentinel.log")
        wait_until(self._knows_the_replica, _TIMEOUT_S, "the Sentinel knows the replica")

    def _knows_the_replica(self) -> bool:
        try:
            known = self.client.sentinel_slaves(SERVICE)
        except redis.RedisError:
            return False
        return any(each["master-link-status"] == "ok" for each in known)

    @property
    def master(self) -> RedisServer:
        """The server that the Sentinel names now."""
        _, port = self.client.sentinel_get_master_addr_by_name(SERVICE)
        return next(server for server in self.servers if server.port == int(port))

    def fail_over(self) -> RedisServer:
        """Take the master away; the one that has followed it."""
        before = self.master
        before.stop()
        wait_until(lambda: self.master is not before, _TIMEOUT_S, "the replica has become the master")
        return self.master

    def stop(self) -> None:
        """End all."""
        self.client.close()
        if self._process is not None:
            self._process.stop()
        for server in self.servers:
            server.stop()


class Cluster:
    """Some masters, which share the slots evenly; where ``replica`` is set another node follows the last of them."""

    def __init__(self, folder: Path, nodes: int = 3, *, replica: bool = False) -> None:
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000")
        self._masters = nodes
        nodes += replica
        self._gossip_ports = [free_port() for _ in range(nodes)]
        self.nodes = [
            _server(folder / f"node{number}", *options, "--cluster-port", str(port))
            for number, port in enumerate(self._gossip_ports)
        ]

    @property
    def config(self) -> RedisConfig:
        """The address of it, by one node; in front of it one that nobody answers at."""
        return RedisConfig(url=f"redis+cluster://127.0.0.1:{free_port()},127.0.0.1:{self.nodes[0].port}")

    def start(self) -> None:
        """Start all and wait until they are one."""
        for node in self.nodes:
            node.start()
        share = _SLOTS // self._masters + 1
        for number, node in enumerate(self.nodes):
            first, last = number * share, min((number + 1) * share, _SLOTS) - 1
            if number < self._masters:
                _ask(node, "ADDSLOTSRANGE", first, last)
            _ask(node, "SET-CONFIG-EPOCH", number + 1)
            if number:
                _ask(node, "MEET", "127.0.0.1", self.nodes[0].port, self._gossip_ports[0])
        wait_until(self._is_one, _TIMEOUT_S, "the nodes are a Cluster")
        for node in self.nodes[self._masters :]:
            _ask(node, "REPLICATE", _ask(self.nodes[self._masters - 1], "MYID"))
            wait_until(lambda node=node: _follows(node), _TIMEOUT_S, "the replica follows")  # type: ignore[misc]
            named = _ask(node, "MYID")
            wait_until(lambda named=named: self._know_as_replica(named), _TIMEOUT_S, "all know it")  # type: ignore[misc]

    def _know_as_replica(self, node_id: str) -> bool:
        rows = [line.split() for node in self.nodes for line in _ask(node, "NODES").splitlines()]
        return all("slave" in row[2] for row in rows if row[0] == node_id)

    def fail_over(self) -> RedisServer:
        """Take the master away that has a replica; the replica once all know that it has its slots."""
        dead, heir = self.nodes[self._masters - 1 :]
        dead.stop()

        def all_know() -> bool:
            views = [_ask(node, "NODES") for node in self.nodes if node is not dead]
            return all(_holders(view, _SLOTS - 1) == [heir.port] for view in views)

        wait_until(all_know, _TIMEOUT_S, "the replica has the slots")
        return heir

    def _is_one(self) -> bool:
        expected = {"cluster_state:ok", f"cluster_known_nodes:{len(self.nodes)}", f"cluster_slots_ok:{_SLOTS}"}
        return all(expected <= set(_ask(node, "INFO").split()) for node in self.nodes)

    def holder(self, key: str) -> RedisServer:
        """The node that has the slot of a key; waits until all agree on that."""
        slot = self._slot_of(key)
        named = wait_until(lambda: self._agreed(slot), _TIMEOUT_S, f"the nodes agree who has {key}")
        return next(node for node in self.nodes if node.port == named)

    def _agreed(self, slot: int) -> int:
        """The port of the node that all say has a slot; 0 where they do not agree."""
        named = [_holders(_ask(node, "NODES"), slot) for node in self.nodes]
        return named[0][0] if len(named[0]) == 1 and all(each == named[0] for each in named) else 0

    def _slot_of(self, key: str) -> int:
        return int(_ask(self.nodes[0], "KEYSLOT", key))

    def move(self, key: str) -> RedisServer:
        """Move the slot of a key, with all its keys, to another node; returns that."""
        slot, source = self._slot_of(key), self.holder(key)
        target = next(node for node in self.nodes if node is not source)
        _ask(target, "SETSLOT", slot, "IMPORTING", _ask(source, "MYID"))
        _ask(source, "SETSLOT", slot, "MIGRATING", _ask(target, "MYID"))
        while names := source.client.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 100):
            source.client.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 5_000, "KEYS", *names)
        _ask(target, "SETSLOT", slot, "NODE", _ask(target, "MYID"))  # it tells the others, with a higher epoch
        wait_until(lambda: self._agreed(slot) == target.port, _TIMEOUT_S, f"all know that {key} has moved")
        _ask(source, "SETSLOT", slot, "STABLE")
        return target

    def stop(self) -> None:
        """End all."""
        for node in self.nodes:
            node.stop()


def _ask(node: RedisServer, *what: str | int) -> str:
    """The answer to a command of the Cluster, as text."""
    return str(node.client.execute_command("CLUSTER", *what))


def _follows(node: RedisServer) -> bool:
    return bool(node.client.info("replication").get("master_link_status") == "up")


def _holders(nodes: str, slot: int) -> list[int]:
    """The ports of those that have a slot, as a node says in ``CLUSTER NODES``."""
    found = []
    for line in nodes.splitlines():
        _, address, *rest = line.split()
        spans = [part.partition("-") for part in rest[6:] if not part.startswith("[")]
        if any(int(first) <= slot <= int(last or first) for first, _, last in spans):
            found.append(int(address.partition("@")[0].rpartition(":")[2]))
    return found


def _server(folder: Path, *options: str, password: str = "") -> RedisServer:
    folder.mkdir()
    return RedisServer(folder, *options, password=password)


@contextmanager
def running(what: Sentinel | Cluster) -> Iterator[None]:
    """It runs for the length of a block."""
    try:
        what.start()
        yield
    finally:
        what.stop()
