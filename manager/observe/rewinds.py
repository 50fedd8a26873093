"""Whether Redis still has what was last written to it: after a restore from a backup, or an empty start, it does not.

The manager that acts writes the time, and its host, beside its heartbeat. Before that it compares the value in Redis
with the one last written. A copy of that one is in ``var/run``, as Redis and manager may have been down together.
"""

import socket
from pathlib import Path

from common.process.log import get_logger
from common.redis.redis_py import KeyRefusedError, refused_keys, translated_errors
from manager.model.formatting import date_and_time, span
from manager.model.journal_entries import WHO, JournalEntry, What
from manager.observe.poller import RedisLink
from manager.settings import NS_PER_S, to_ns
from tickfleet._util.clock import Clock
from tickfleet.contract import keys

HERE = socket.gethostname()
_SPARE_S = 5.0
"""A crash of Redis may lose the last second, a failover a little more: collectors fetch that again without a report."""

_SKEW_S = 60.0
"""Extra tolerance if the manager of another host has written since we did: its clock may be this far behind ours."""

_KEEP_EVERY_S = 10.0


class RewindWatch:
    """Compares what Redis holds with what was last written to it.

    ``var`` is the deployment's folder for what a run writes.

    Attributes:
        trouble: Why the key of the time cannot be used, a phrase; empty while it can.
    """

    def __init__(self, var: Path, clock: Clock) -> None:
        self._file, self._clock = var / "run" / "redis.written", clock
        self._url = self.trouble = ""
        self._written_ns = self._kept_ns = 0

    async def write(self, link: RedisLink) -> JournalEntry | None:
        """Write the time; an entry for the journal where what was written before is not there any more.

        Raises:
            RedisUnreachableError: Redis does not answer.
        """
        if link.config.url != self._url:
            self._url, self._written_ns = link.config.url, self._read(link.config.url)
        now_ns = self._clock.now_ns()
        try:
            with translated_errors(link.config), refused_keys(keys.FLEET_WRITTEN, "set"):
                before = await link.client.set(keys.FLEET_WRITTEN, f"{now_ns} {HERE}", get=True)
        except KeyRefusedError as error:
            if not self.trouble:
                get_logger().error("tide_unusable", why=str(error), exc_info=error)
            self.trouble = str(error)
            return None
        self.trouble = ""
        text, _, host = before.partition(" ") if isinstance(before, str) else ("", "", "")
        found_ns = int(text) if text.isascii() and text.isdigit() else 0
        spare_s = _SPARE_S if not found_ns or host in ("", HERE) else _SPARE_S + _SKEW_S
        wanted_ns, self._written_ns = self._written_ns, now_ns
        self._keep(now_ns)
        return self._entry(found_ns, wanted_ns) if found_ns < wanted_ns - to_ns(spare_s) else None

    def _entry(self, found_ns: int, wanted_ns: int) -> JournalEntry:
        lost_s = (wanted_ns - found_ns) / NS_PER_S
        what = f"it lacks the last {span(lost_s)} before {date_and_time(wanted_ns)}" if found_ns else "it is empty"
        why = f"{what}; collectors fetch again what the exchanges have, readers say Rewound"
        details = {"lost_s": f"{lost_s:.0f}"} if found_ns else {}
        get_logger().warning(What.REDIS_REWOUND.value, why=why, **details)
        return JournalEntry(at_ns=self._clock.now_ns(), who=WHO, what=What.REDIS_REWOUND, why=why, details=details)

    def _read(self, url: str) -> int:
        """What was written by the manager before us; 0 where that is not known."""
        try:
            written, _, known = self._file.read_text(encoding="utf-8").partition(" ")
            return int(written) if known == url else 0
        except (OSError, ValueError):
            return 0

    def _keep(self, now_ns: int) -> None:
        if 0 <= now_ns - self._kept_ns < to_ns(_KEEP_EVERY_S):
            return
        self._kept_ns = now_ns
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file.write_text(f"{now_ns} {self._url}", encoding="utf-8")
        except OSError as error:  # then only a Redis that comes back while we run is reported
            get_logger().warning("tide_not_kept", why=error.strerror)
