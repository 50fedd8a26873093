"""Redis as a site runs it: a server behind a proxy, a replica that can take its place, users who make mistakes."""

from pathlib import Path
from typing import Any

from tests.support.ports import wait_until
from tests.support.redis_proxy import RedisProxy
from tests.support.redis_server import RedisServer

Entry = tuple[str, dict[str, str]]
_AT_ONCE = ("--repl-diskless-sync-delay", "0")
_SYNC_S = 15.0


class RedisSite:
    """What a program under test knows is `proxy`; everything else goes around it.

    Args:
        folder: Where the servers keep their data.
        replica: Whether there is a second server to fail over to.
    """

    def __init__(self, folder: Path, *, replica: bool = False) -> None:
        self._servers: list[RedisServer] = []
        for name in ("first", "second")[: 1 + replica]:
            (folder / name).mkdir()
            self._servers.append(RedisServer(folder / name, *_AT_ONCE))
        self.proxy = RedisProxy(self.server.port)
        self.deleted: dict[str, list[list[Entry]]] = {}
        """By key, what users have deleted of it, each time."""

    @property
    def server(self) -> RedisServer:
        """The one in use."""
        return self._servers[0]

    @property
    def client(self) -> Any:
        """A client of the server in use that goes around the proxy."""
        return self.server.client

    def start(self) -> "RedisSite":
        """Start all; returns itself."""
        for server in self._servers:
            server.start()
        self._follow()
        self.proxy.start()
        return self

    def stop(self) -> None:
        """Stop all."""
        self.proxy.stop()  # also where it has not been started
        for server in self._servers:
            server.stop()

    def out_of_memory(self, *, on: bool) -> None:
        """Let the server refuse every write that needs memory, or allow as much as there is."""
        self.client.config_set("maxmemory-policy", "noeviction")
        self.client.config_set("maxmemory", "1" if on else "0")

    def delete(self, key: str) -> None:
        """Delete a stream as a user by mistake; what was in it is kept in `deleted`."""
        entries, _ = self.client.pipeline(transaction=True).xrange(key).delete(key).execute()
        self.deleted.setdefault(key, []).append(entries)

    def lose_replica(self) -> None:
        """From now on the replica misses what is written; what was written before it has."""
        spare = self._servers[1].client
        written = self.client.info("replication")["master_repl_offset"]

        def has_all() -> bool:
            known = spare.info("replication")
            return bool(known["master_link_status"] == "up" and known["slave_repl_offset"] >= written)

        wait_until(has_all, _SYNC_S, "the replica is fed")
        spare.replicaof("NO", "ONE")

    def fail_over(self) -> None:
        """Let the replica, as it is, take the place of the server; what only the old one has is gone for good."""
        self._servers.reverse()
        self.proxy.point_to(self.server.port)
        self._follow()

    def _follow(self) -> None:
        for spare in self._servers[1:]:
            spare.client.replicaof("127.0.0.1", self.server.port)
