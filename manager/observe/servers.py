"""Which Redis serves us: told in the journal when it becomes another, as by a failover, a restart or an upgrade."""

from common.process.log import get_logger
from common.redis.redis_py import masters, translated_errors
from manager.model.journal_entries import WHO, JournalEntry, What
from manager.observe.poller import RedisLink
from tickfleet._util.clock import Clock

LOOK_EVERY_S = 10.0


class ServerWatch:
    """Looks now and then which Redis answers, and reports a change."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._look_at_s = float("-inf")

    async def read_change(self, link: RedisLink, last: JournalEntry | None) -> JournalEntry | None:
        """An entry where the masters, or what runs there, are not those of the ``last`` entry of this kind.

        None where they are, and where one may not ask.

        Raises:
            RedisUnreachableError: Redis does not answer.
        """
        now_s = self._clock.monotonic_s()
        if now_s < self._look_at_s:
            return None
        with translated_errors(link.config):
            found = sorted(await masters(link.client))
        self._look_at_s = now_s + LOOK_EVERY_S
        now = ", ".join(f"{name} (run {run[:8]}) at {place}" for place, name, run in found)
        before = last.details.get("serves", "") if last else ""
        if now in ("", before):
            return None
        why = f"{now}, before {before}" if before else now
        details = {"serves": now}
        (get_logger().warning if before else get_logger().info)(What.REDIS_SERVES.value, why=why)
        return JournalEntry(at_ns=self._clock.now_ns(), who=WHO, what=What.REDIS_SERVES, why=why, details=details)
