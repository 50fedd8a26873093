"""Looks at Redis, supervisord and the machine, and leaves the judging to the checks."""

import asyncio
import os
import shutil
import socket
from collections.abc import Mapping
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.config.fleet_file import Fleet
from common.config.place import unfit
from common.redis import append_only
from common.redis import servers as redis_servers
from common.redis.rights import Login, missing, needs
from common.redis.servers import Servers
from manager.cli.context import Tools
from manager.cli.doctor.host_checks import HostFacts
from manager.cli.doctor.redis_checks import NodeFacts, RedisFacts
from manager.cli.manager_page import PROGRAM, is_ours
from manager.cli.show.fleet_view import SUPERVISOR_LIMIT_S, FleetView
from manager.report.figures.capacity import OTHER_PROGRAMS, Capacity, on_nodes
from manager.report.figures.system import read_memory
from manager.report.metrics.server import read_port
from manager.watchdog.logs import misplaced
from tickfleet.contract import keys
from tickfleet.contract.identity import PROGRAM_PREFIX, CollectorId
from tickfleet.errors import FleetError
from tickfleet.redis.url import AddressKind, read_address

if TYPE_CHECKING:
    from common.redis.redis_py import SyncRedis

_WORKER, _FAST_PATH = "collector_worker", ("trade_parser", "sender")
"""The package of collectors, and the compiled modules in its folder ``fast_path``."""

_SETTINGS = ("maxmemory-policy", "appendonly", "save")


def redis_facts(fleet: Fleet, client: "SyncRedis", capacity: Capacity, seen: FleetView | None = None) -> RedisFacts:
    """What Redis says of itself, beside what the fleet needs of it.

    Raises:
        RedisUnreachableError: It does not answer.
    """
    info, config = answers(fleet, client)
    address = read_address(fleet.redis.url)
    own = Path(str(info.get("config_file", "")))
    return RedisFacts(
        info=info,
        folder_gone=str(own.parent) if address.is_local and own.name and not own.exists() else "",
        config=config,
        full_bytes=capacity.redis_full_bytes,
        basis=capacity.basis,
        connections=capacity.redis_connections,
        refusal="" if seen is None else seen.refusal,
        no_writes=None if seen is None else seen.no_writes,
        available_bytes=_memory("MemAvailable") if address.is_local else None,
        nodes=_nodes(fleet, client, capacity) if address.kind is AddressKind.CLUSTER else (),
    )


def _nodes(fleet: Fleet, client: "SyncRedis", capacity: Capacity) -> tuple[NodeFacts, ...]:
    from common.redis.redis_py import maxmemory_of_nodes, node_of, translated_errors  # see ``tools``

    with translated_errors(fleet.redis):
        limits = maxmemory_of_nodes(client)
        node_by_id = {name: node_of(client, keys.heartbeat(CollectorId.parse(name))) for name in capacity.full_bytes_of}
    return tuple(
        NodeFacts(name=node, full_bytes=full, maxmemory=limits.get(node))
        for node, full in sorted(on_nodes(capacity, node_by_id).items())
    )


def missing_rights(fleet: Fleet, login: Login, found: Servers) -> list[str]:
    """The commands that such a login needs but Redis does not allow us: ``xinfo stream KEY``.

    Of the servers ``found``, all that can be reached are asked; each of the others is a finding of its own.

    Raises:
        RedisUnreachableError: That cannot be looked at.
    """
    one_each = {config.exchange: config for config in fleet.collectors}.values()
    commands = needs(login, one_each, socket.gethostname(), read_address(fleet.redis.url).kind)
    return asyncio.run(missing(fleet.redis, commands, [each.host for each in found.servers if not each.trouble]))


def servers(fleet: Fleet) -> Servers:
    """All behind an address of Sentinels or a Cluster, each asked by itself."""
    return asyncio.run(redis_servers.find_servers(fleet.redis))


def answers(fleet: Fleet, client: "SyncRedis") -> tuple[dict[str, Any], dict[str, Any]]:
    """The answers to INFO and CONFIG GET; empty where one is refused."""
    from common.redis.redis_py import read_facts, translated_errors  # see ``tools``

    with translated_errors(fleet.redis):
        return read_facts(client, *_SETTINGS)


def host_facts(tools: Tools, fleet: Fleet, capacity: Capacity, manager: Mapping[str, str]) -> HostFacts:
    """What can be seen of supervisord, the folders and the port of the metrics.

    Args:
        tools: The folders, and the way to supervisord.
        fleet: Says where Redis is.
        capacity: What the fleet needs.
        manager: The manager's own heartbeat; empty while none runs.
    """
    environment = tools.environment
    version, trouble, pid, start_s, process = "", "", 0, dict[str, int](), None
    supervisor = tools.supervisor(environment.supervisor_socket, SUPERVISOR_LIMIT_S)
    try:
        version, pid = supervisor.about()
        process = supervisor.processes().get(PROGRAM)
        start_s = {name: s for name, s in supervisor.start_limits().items() if name.startswith(PROGRAM_PREFIX)}
    except FleetError as error:
        trouble = str(error)
    var, folders = environment.var, (environment.logs, environment.applied, environment.programs)
    here = read_address(fleet.redis.url).is_local
    port, port_trouble = 0, ""
    try:
        port = read_port(manager.get("metrics_port") or environment.metrics_port)  # that of a manager that runs first
    except FleetError as error:
        port_trouble = str(error)
    deploy = environment.root / "deploy"
    return HostFacts(
        conf=str(deploy / "supervisord.conf"),
        supervisor=version,
        supervisor_trouble=trouble,
        supervisor_pid=_living_pid(var / "supervisord.pid"),
        socket_gone=_is_gone(environment.supervisor_socket),
        missing=[str(each) for each in folders if pid and not os.path.isdir(each)],
        unmade=[str(each) for each in (var, environment.logs) if _is_gone(each)],
        misplaced=misplaced(pid, environment.logs.resolve()) if pid else (),
        programs=capacity.collectors + OTHER_PROGRAMS,
        descriptors=_descriptors(pid) if pid else None,
        start_s=start_s,
        modes=_modes(environment.supervisor_socket, environment.programs, environment.applied, environment.logs),
        changeable=_modes(*dict.fromkeys([deploy, deploy / "supervisord.conf", tools.fleet_path.parent])),
        var=str(var),
        writable=os.access(var, os.W_OK | os.X_OK),
        disk_free_bytes=shutil.disk_usage(_existing(var)).free,
        disk_wanted_bytes=capacity.disk_bytes(redis_here=here),
        spool_bytes=capacity.spool_bytes,
        collectors=capacity.collectors,
        memory_bytes=_memory("MemTotal"),
        memory_wanted_bytes=capacity.processes_bytes + (capacity.redis_full_bytes if here else 0),
        fast_path_built=fast_path_built(),
        redis_refused=_text(append_only.refused(var / "redis")),
        redis_cuts=append_only.cuts(var / "redis"),
        place_trouble=unfit(environment.root),
        port=port,
        port_trouble=port_trouble,
        port_taken_by_other=bool(port)
        and str(port) != manager.get("metrics_port")
        and _listens(port)
        and not is_ours(tools.page(port), process, str(tools.fleet_path)),
    )


def fast_path_built() -> bool:
    """Whether the compiled part of collectors exists for this Python, which also starts the collectors.

    Its modules are found and not imported: the manager knows collectors as programs.
    """
    worker = find_spec(_WORKER)
    folders = [] if worker is None else [f"{folder}/fastpath" for folder in worker.submodule_search_locations or ()]
    return all(PathFinder.find_spec(module, folders) is not None for module in _FAST_PATH)


def _living_pid(path: Path) -> int:
    """The process that a pid file names, where it is there; else 0."""
    try:
        pid = int(path.read_text(encoding="ascii"))
        os.kill(pid, 0)
    except (OSError, ValueError):
        return 0
    return pid


def _text(path: Path) -> str:
    """What a small file of ours holds; empty where there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def _modes(*paths: Path) -> dict[str, int | None]:
    """Of those that are there; None where that cannot be seen."""
    modes: dict[str, int | None] = {}
    for path in paths:
        try:
            modes[str(path)] = path.stat().st_mode
        except FileNotFoundError:
            continue
        except OSError:
            modes[str(path)] = None
    return modes


def _is_gone(path: Path) -> bool:
    """Whether the path does not exist; False if we cannot look."""
    try:
        path.stat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def _existing(path: Path) -> Path:
    return next(each for each in (path, *path.parents) if os.path.exists(each))


def _descriptors(pid: int) -> int | None:
    """The soft limit of a process' open files; None where the system does not show it."""
    try:
        lines = Path(f"/proc/{pid}/limits").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    limit = next((line.split()[3] for line in lines if line.startswith("Max open files")), "")
    return int(limit) if limit.isdigit() else None


def _memory(name: str) -> int | None:
    """A line of /proc/meminfo, in bytes; None where the system does not show it."""
    try:
        return read_memory(Path("/proc/meminfo").read_text(encoding="ascii")).get(name)
    except OSError:
        return None


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0
