"""A run in the foreground does not end another run of the same collector, unless it is ordered to.

Under supervisord there is one process per collector, and any other must end. A run started by hand may be only for a
look, and would take the fence from the live run.
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
    """Begin only if no other run lives, or if it shall be ended; then say how a manager will react.

    Raises:
        AlreadyCollectedError: Another run lives and shall not be ended.
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
    """Ask on the terminal whether to end the other run; False without a terminal."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    sys.stderr.write(f"collector-worker: {error}\nEnd that run and take over? [y/N] ")
    sys.stderr.flush()
    try:
        return sys.stdin.readline().strip().lower() in ("y", "yes")
    except KeyboardInterrupt:
        return False


def _is_fresh(lifetime: Reply) -> bool:
    """Judged by the remaining lifetime in ms, so that no other machine's clock matters."""
    return not isinstance(lifetime, int) or lifetime < 0 or lifetime > (keys.HEARTBEAT_TTL_S - FRESH_S) * 1000


def _is_gone(beat: Heartbeat) -> bool:
    """Whether its process was on this machine and has ended, e.g. because our process has its number now.

    Copies of an image and containers share names, and process numbers of another machine tell nothing here. If a
    machine gives no id, or the run is of an older version, only the name is compared.
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
