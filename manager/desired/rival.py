"""Does the manager that acts look after another fleet than ours? Then we are no stand-by for it.

A manager that takes over applies its own fleet. So a manager with another fleet does not ask for the lease. It reports
why; what its own host should collect is not collected until that is solved. Hosts have copies of the fleet file, so a
digest in the heartbeat of the acting manager shows whether the fleet is the same.
"""

import os
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path

from common.process.machine import machine_id
from common.redis.redis_py import translated_errors
from manager.desired.source import Wanted
from manager.model.formatting import one_line
from manager.observe.poller import RedisLink
from tickfleet._util.clock import Clock
from tickfleet.contract import keys

MEND = "give both managers the same fleet file, or this one a Redis (or a database of it) of its own"
LOOK_AGAIN_S = 10.0
"""Pause between two looks at our own file while the digests differ: it may be on its way to this host."""


def acts_for_another(
    beat: Mapping[str, str], fleet_file: str, fleet_ids: Iterable[str], host: str, machine: str
) -> str:
    """Why the manager with this heartbeat looks after another fleet; empty if it has ours, or does not say.

    Args:
        beat: Its hash; empty where there is none.
        fleet_file: The path of our file. The same file on the same machine is the same fleet, taken up or not.
        fleet_ids: Digests of our fleet, as it is and as it may be soon.
        host: The name of this machine.
        machine: The id of this machine, see ``machine_id``: two machines may have the same name and folder. A heartbeat
            of an older version does not hold it.
    """
    theirs, file, where = (beat.get(name, "") for name in ("fleet_id", "fleet_file", "host"))
    here = (where, beat.get("machine", machine)) == (host, machine)
    if not theirs or theirs in fleet_ids or (here and Path(file).resolve() == Path(fleet_file).resolve()):
        return ""
    who = f"the manager on {one_line(where)} (pid {one_line(beat.get('pid', '?'))})"
    return f"{who} acts for another fleet ({one_line(file)}): nothing is looked after from here"


def with_a_way_out(why: str) -> str:
    """The reason for the journal and its alerts, with what to do if the other manager does not come back."""
    return (
        f"{why}; where that one is gone for good: SIGHUP to this manager (pid {os.getpid()} on {socket.gethostname()})"
    )


class Rival:
    """What a manager that does not act knows of the one that does.

    Attributes:
        why: Why we do not stand by for it; empty if we do. Once set, it holds until both have the same fleet, or until
            a person orders us to take our file again. It also holds while the other manager is away, as that one may
            come back: then its last known fleet counts.
    """

    def __init__(self, wanted: Wanted, clock: Clock) -> None:
        self._wanted, self._clock, self.why = wanted, clock, ""
        self._file_id, self._looked_at_s = "", float("-inf")
        self._beat: Mapping[str, str] = {}  # the last heartbeat of another manager

    def forget(self) -> None:
        """A person orders us to take our file, which may name another Redis: look again which manager acts."""
        self.why, self._looked_at_s = "", float("-inf")

    async def read_heartbeat(self, link: RedisLink, ours: tuple[str, str]) -> None:
        """See who acts, where that is not us. ``ours`` is the mark of our own heartbeat, see ``Beat``.

        Raises:
            RedisUnreachableError: Redis does not answer.
        """
        with translated_errors(link.config):
            async with link.client.pipeline(transaction=False) as pipe:
                pipe.hgetall(keys.FLEET_MANAGER)
                (found,) = await pipe.execute(raise_on_error=False)
        if isinstance(found, dict) and found and (found.get("pid"), found.get("started_at")) != ours:
            self._beat = found
        elif not self.why:
            return
        self._see(self._beat, self._clock.monotonic_s())

    def _see(self, beat: Mapping[str, str], now_s: float) -> None:
        self.why = self._judge(beat, [self._wanted.fleet_id])
        if self.why:  # our file may have become the same
            if now_s - self._looked_at_s >= LOOK_AGAIN_S:
                self._looked_at_s, self._file_id = now_s, self._wanted.peek_id()
            self.why = self._judge(beat, [self._file_id])

    def _judge(self, beat: Mapping[str, str], fleet_ids: Iterable[str]) -> str:
        return acts_for_another(beat, self._wanted.path, fleet_ids, socket.gethostname(), machine_id())
