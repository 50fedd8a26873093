"""Which Redis serves us: told in the journal when it becomes another, as by a failover, a restart or an upgrade."""

from typing import Any

from common.clock import Clock
from common.log import get_logger
from common.redis_client import masters, translated_errors
from manager.hands import WHO
from manager.journal import Entry, What
from manager.senses import RedisLink

LOOK_EVERY_S = 10.0


class Servers:
    """See the module."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, str] = {}
        self._look_at_s = float("-inf")

    async def look(self, link: RedisLink) -> Entry | None:
        """An entry where the masters, or what runs there, are not those of the last look; None where one may not ask.

        Raises:
            RedisUnreachableError: Redis does not answer.
        """
        now_s = self._clock.monotonic_s()
        if now_s < self._look_at_s:
            return None
        with translated_errors(link.config):
            found = {place: f"{name} {run[:8]}" for place, name, run in await masters(link.client)}
        self._look_at_s = now_s + LOOK_EVERY_S
        known, self._known = self._known, found or self._known
        if not found or found == known:
            return None
        now, before = _said(found), _said(known)
        why = f"{now}, before {before}" if known else now
        details: dict[str, Any] = {"masters": " ".join(sorted(found))}
        (get_logger().warning if known else get_logger().info)(What.REDIS_SERVES.value, why=why, **details)
        return Entry(at_ns=self._clock.now_ns(), who=WHO, what=What.REDIS_SERVES, why=why, details=details)


def _said(servers: dict[str, str]) -> str:
    """``Valkey 9.1.2 (run 1f2e3d4c) at 10.0.0.7:6379``, one after the other."""
    parts = ((place, *facts.rpartition(" ")[::2]) for place, facts in sorted(servers.items()))
    return ", ".join(f"{name} (run {run}) at {place}" for place, name, run in parts)
