"""One look at the fleet from a command: Redis in one round trip, supervisord where it can be reached."""

import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from common.config.fleet_file import Fleet
from common.process.machine import machine_id
from manager.cli.context import Tools
from manager.cli.effective import readable
from manager.cli.manager_page import PROGRAM, is_ours
from manager.decide.assess import assess
from manager.decide.overlays import read_overlays
from manager.desired.overrides import merge
from manager.desired.rival import acts_for_another
from manager.model.formatting import one_line
from manager.model.processes import Process
from manager.model.verdicts import Judgement
from manager.observe.facts import queue_heartbeats, read_pulses
from manager.observe.writes import NoWrites, encode
from manager.report.figures.document import Figures, read_figures
from manager.report.heartbeat import read_parked
from manager.settings import ManagerSettings, tuned
from tickfleet.contract import keys
from tickfleet.contract.health import Heartbeat
from tickfleet.contract.identity import CollectorId
from tickfleet.errors import FleetError
from tickfleet.redis.refusals import NO_WRITES

if TYPE_CHECKING:
    from common.redis.redis_py import SyncRedis

SUPERVISOR_LIMIT_S = 1.0
"""The status does without supervisord rather than wait for it."""


class FleetView(Struct, frozen=True, kw_only=True):
    """What was seen.

    Attributes:
        manager: The hash of the manager's heartbeat; empty while no manager runs. If Redis refuses the heartbeat: what
            the manager's page or supervisord says.
        refusal: The code with which Redis refused a write just now, one that nothing depends on; else empty.
        no_writes: That Redis takes no writes.
        figures: The last ones that a manager took; None while none runs.
        changes: Those made at run time.
        rival: Why the running manager looks after another fleet; empty if it looks after this one, or none runs.
        supervisor_trouble: Why supervisord was not asked, else empty.
    """

    at_ns: int
    judgements: list[Judgement]
    manager: dict[str, str]
    supervisor_trouble: str = ""
    figures: Figures | None = None
    changes: Mapping[str, str] = {}
    rival: str = ""
    refusal: str = ""
    no_writes: NoWrites | None = None


def live_heartbeats(seen: FleetView) -> list[Heartbeat | None]:
    """Those that are there; None for one that cannot be read."""
    return [each.pulse.heartbeat for each in seen.judgements if not each.pulse.expired]


def unshared_limits(seen: FleetView) -> str:
    """How many collectors do not share their exchange's limits, and why; empty if no heartbeat says so."""
    beats = live_heartbeats(seen)
    found = [one_line(beat.limits_unshared) for beat in beats if beat is not None and beat.limits_unshared]
    return (
        f"{len(found)} of {len(beats)} collectors do not share the limits of their exchange: {found[0]}"
        if found
        else ""
    )


def read_fleet_view(tools: Tools, fleet: Fleet, client: "SyncRedis", only: CollectorId | None = None) -> FleetView:
    """Read all that ``status`` shows: Redis in one round trip, supervisord where it answers.

    ``fleet`` is the fleet without the run-time changes; these are read with the rest. Where ``only`` is given,
    no other collector is looked at.

    Raises:
        RedisUnreachableError: Redis does not answer.
    """
    from common.redis.redis_py import check_serves, code_of_write, queue_write, translated_errors  # see ``tools``

    ids = [config.id for config in fleet.collectors if only in (None, config.id)]
    with translated_errors(fleet.redis), client.pipeline(transaction=False) as pipe:
        queue_heartbeats(pipe, ids)
        pipe.hgetall(keys.FLEET_DESIRED)
        pipe.hgetall(keys.FLEET_MANAGER)
        pipe.get(keys.FLEET_FIGURES)
        queue_write(pipe)
        *replies, changes, manager, figures, written = pipe.execute(raise_on_error=False)
        check_serves((*replies, changes, manager, figures))
        desired = merge(fleet, readable(changes))
        added = [each.id for each in desired.fleet.collectors if each.id not in ids and only in (None, each.id)]
        queue_heartbeats(pipe, added)
        ids, replies = ids + added, replies + pipe.execute(raise_on_error=False)
    now_ns = tools.clock.now_ns()
    manager = manager if isinstance(manager, dict) else {}
    processes, trouble = _processes(tools)
    refusal, overlays = code_of_write(written), read_overlays(manager)
    if refusal in NO_WRITES and overlays.no_writes is None:
        manager = _stand_in(tools, processes, NoWrites(refusal))
        overlays = read_overlays(manager)
        overlays = replace(overlays, no_writes=overlays.no_writes or NoWrites(refusal))
    judgements = assess(
        [config for config in desired.fleet.collectors if only in (None, config.id)],
        read_pulses(ids, replies, now_ns),
        processes,
        read_parked(manager, now_ns),
        tuned(fleet.tuning, ManagerSettings()),
    )
    return FleetView(
        at_ns=now_ns,
        judgements=overlays.applied(desired.explained(judgements)),
        manager=manager,
        supervisor_trouble=trouble,
        figures=read_figures(figures),
        changes=readable(changes),
        rival=acts_for_another(
            manager, str(tools.fleet_path), [fleet.fingerprint()], socket.gethostname(), machine_id()
        ),
        refusal=refusal,
        no_writes=overlays.no_writes,
    )


def _stand_in(tools: Tools, processes: Mapping[str, Process] | None, no_writes: NoWrites) -> dict[str, str]:
    """Replaces the manager's heartbeat, which Redis refuses; empty if supervisord says that no manager runs."""
    process = None if processes is None else processes.get(PROGRAM)
    if processes is not None and (process is None or not process.alive):
        return {}
    port = tools.environment.metrics_port
    said = tools.page(int(port)) if port.isdigit() else {}
    if said and is_ours(said, process, str(tools.fleet_path)):
        return said
    about = {"last_error": str(no_writes), "no_writes": encode(no_writes)}
    if process is None:
        return {"state": "unknown", **about}
    return {"state": process.state.value.lower(), "pid": str(process.pid), **about}


def _processes(tools: Tools) -> tuple[dict[str, Process] | None, str]:
    supervisor = tools.supervisor(tools.environment.supervisor_socket, SUPERVISOR_LIMIT_S)
    try:
        return supervisor.processes(), ""
    except FleetError as error:
        return None, str(error)
