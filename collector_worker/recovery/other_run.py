"""A run in the foreground does not end one that collects the same, unless it is ordered to.

Under supervisord there is one process per collector, and what is there beside it is to be ended. By hand one may only
want to look, and would take the fence from the live one.
"""

import os
import socket
import sys

from collector_worker.health.heartbeat import parse_hash
from collector_worker.publish.stream_tips import Reader
from common.process.log import get_logger
from common.process.machine import machine_id
from tickfleet.contract import keys
from tickfleet.contract.health import Heartbeat, read_heartbeat
from tickfleet.contract.identity import CollectorId
from tickfleet.errors import AlreadyCollectedError
from tickfleet.redis.protocol import Reply, pack_command

FRESH_S = 3.0
"""A run beats each second. One that has not for so long hangs or is gone, and may be replaced unasked."""


async def heed_other(pipe: Reader, collector: CollectorId, run_id: str, *, ends_it: bool) -> None:
    """Begin only where no other run lives, unless that one is to be ended; then say what a manager makes of that.

    Raises:
        AlreadyCollectedError: One does, and it is not.
        RedisUnreachableError: Redis went away.
    """
    key = keys.heartbeat(collector)
    found, lifetime = await pipe.execute([pack_command(("HGETALL", key)), pack_command(("PTTL", key))])
    beat = read_heartbeat(parse_hash(found))
    if beat is None or beat.run_id == run_id or beat.exit_code is not None or not _is_fresh(lifetime) or _is_gone(beat):
        return
    other = f"process {beat.pid} on {beat.host}"
    first = f"a manager that keeps it starts it again, which ends ours: then manager-cli stop {collector} first"
    if not ends_it:
        raise AlreadyCollectedError(f"{collector} is collected by {other}; {first}; --take-over ends that run unasked")
    get_logger().warning("run_taken_over", why=f"{other} ends; {first}")


def confirmed(error: AlreadyCollectedError) -> bool:
    """Ask on a terminal whether the other run is to be ended; without one nobody is there to say so."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    sys.stderr.write(f"collector-worker: {error}\nEnd that run and take over? [y/N] ")
    sys.stderr.flush()
    try:
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    except KeyboardInterrupt:
        return False


def _is_fresh(lifetime: Reply) -> bool:
    """By what is left of its lifetime in ms, so that no clock of another machine matters."""
    return not isinstance(lifetime, int) or lifetime < 0 or lifetime > (keys.HEARTBEAT_TTL_S - FRESH_S) * 1000


def _is_gone(beat: Heartbeat) -> bool:
    """Whether its process was one of this machine, and is not there any more; as where we have its number now.

    Copies of an image and containers share names: the number of another one's process says nothing here. A machine that
    tells nothing, or an older version, leaves only the name.
    """
    ours = machine_id()
    here = beat.machine == ours if beat.machine and ours else beat.host == socket.gethostname()
    if not here:
        return False
    if beat.pid == os.getpid():
        return True
    try:
        os.kill(beat.pid, 0)
    except ProcessLookupError:
        return True
    except OSError:  # somebody else's
        return False
    return False
