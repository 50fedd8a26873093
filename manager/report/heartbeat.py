"""The manager's own heartbeat: a hash that expires when nobody writes it."""

import os
import socket
from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any

import msgspec

from common.process.machine import machine_id
from manager.decide.overlays import NO_OVERLAYS, Overlays
from tickfleet.contract import keys
from tickfleet.contract.identity import CollectorId
from tickfleet.version import VERSION

if TYPE_CHECKING:
    from common.redis.redis_py import AsyncRedis


class ManagerState(Enum):
    """How the manager is."""

    RUNNING = "running"
    DEGRADED = "degraded"  # something it needs is away, or the fleet file cannot be used; ``last_error`` says what


class Beat:
    """Writes the hash. ``parked`` is a JSON object: collectors that are left alone, with the time of the next try.

    ``fleet_file`` is the path of the file that the manager takes, ``fleet_id`` a digest of what it has taken from it.
    """

    def __init__(self, started_at_ns: int, fleet_file: str = "") -> None:
        self._beats = 0
        self._fixed: dict[str, str | int] = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "machine": machine_id(),
            "version": VERSION,
            "started_at": started_at_ns,
            "fleet_file": fleet_file,
        }

    @property
    def mark(self) -> tuple[str, str]:
        """``pid`` and ``started_at`` as they stand in the hash: by these a manager knows its own."""
        return str(self._fixed["pid"]), str(self._fixed["started_at"])

    def fields(
        self,
        now_ns: int,
        trouble: str,
        summary: Mapping[str, int],
        parked: Mapping[CollectorId, int],
        overlays: Overlays = NO_OVERLAYS,
    ) -> dict[str, str | int]:
        """The next heartbeat; ``trouble`` is empty where there is none."""
        self._beats += 1
        return {
            **self._fixed,
            "beat_at": now_ns,
            "beats": self._beats,
            "state": (ManagerState.DEGRADED if trouble else ManagerState.RUNNING).value,
            "last_error": trouble,
            **summary,
            "parked": msgspec.json.encode({str(name): until_ns for name, until_ns in parked.items()}).decode(),
            **overlays.to_fields(),
        }


async def write_beat(client: "AsyncRedis", fields: Mapping[str, str | int]) -> None:
    """Replace the hash and renew its lifetime, in one transaction."""
    mapping: dict[Any, Any] = dict(fields)
    async with client.pipeline(transaction=True) as pipe:
        pipe.delete(keys.FLEET_MANAGER)
        pipe.hset(keys.FLEET_MANAGER, mapping=mapping)
        pipe.expire(keys.FLEET_MANAGER, keys.HEARTBEAT_TTL_S)
        await pipe.execute()


async def erase_beat(client: "AsyncRedis", mark: tuple[str, str]) -> None:
    """Remove the hash if it is ours, as the manager has stopped. The hash of a successor stays.

    The key is watched, so a successor that writes between our look and the removal makes the removal fail.
    """
    async with client.pipeline(transaction=True) as pipe:
        await pipe.watch(keys.FLEET_MANAGER)
        pid, started_at = await pipe.hmget(keys.FLEET_MANAGER, ["pid", "started_at"])  # type: ignore[misc]  # sync too
        if (pid, started_at) == mark:
            pipe.multi()  # type: ignore[no-untyped-call]
            pipe.delete(keys.FLEET_MANAGER)
            await pipe.execute()


def read_parked(fields: Mapping[str, str], now_ns: int) -> dict[CollectorId, int]:
    """The collectors that the manager leaves alone now, with the time (ns) of their next try; for commands."""
    try:
        named = msgspec.json.decode(fields.get("parked", "{}"), type=dict[str, int])
    except msgspec.MsgspecError:
        return {}
    return {CollectorId(*name.split(":", 1)): until for name, until in named.items() if ":" in name and until > now_ns}
