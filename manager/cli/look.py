"""One look at the fleet from a command: Redis in one round trip, supervisord where it can be reached."""

from typing import TYPE_CHECKING

from msgspec import Struct

from common import keys
from common.errors import FleetError
from common.fleet_file import Fleet
from manager.assess import assess
from manager.beat import read_parked
from manager.cli.tools import Tools
from manager.facts import queue_heartbeats, read_pulses
from manager.processes import Process
from manager.settings import ManagerSettings
from manager.verdicts import Judgement

if TYPE_CHECKING:
    from common.redis_client import SyncRedis

SUPERVISOR_LIMIT_S = 1.0
"""The status does without supervisord rather than wait for it."""


class Look(Struct, frozen=True, kw_only=True):
    """What was seen.

    Attributes:
        manager: The hash of the manager's heartbeat; empty while no manager runs.
        supervisor_trouble: Why supervisord was not asked, else empty.
    """

    at_ns: int
    judgements: list[Judgement]
    manager: dict[str, str]
    supervisor_trouble: str = ""


def look(tools: Tools, fleet: Fleet, client: "SyncRedis") -> Look:
    """See the module.

    Raises:
        RedisUnreachableError: Redis does not answer.
    """
    from common.redis_client import translated_errors  # see ``tools``

    ids = [config.id for config in fleet.collectors]
    with translated_errors(fleet.redis), client.pipeline(transaction=False) as pipe:
        queue_heartbeats(pipe, ids)
        pipe.hgetall(keys.FLEET_MANAGER)
        *replies, manager = pipe.execute(raise_on_error=False)
    now_ns = tools.clock.now_ns()
    manager = manager if isinstance(manager, dict) else {}
    processes, trouble = _processes(tools)
    judgements = assess(
        fleet.collectors,
        read_pulses(ids, replies, now_ns),
        processes,
        read_parked(manager, now_ns),
        ManagerSettings(),
    )
    return Look(at_ns=now_ns, judgements=judgements, manager=manager, supervisor_trouble=trouble)


def _processes(tools: Tools) -> tuple[dict[str, Process] | None, str]:
    supervisor = tools.supervisor(tools.environment.supervisor_socket, SUPERVISOR_LIMIT_S)
    try:
        return supervisor.processes(), ""
    except FleetError as error:
        return None, str(error)
