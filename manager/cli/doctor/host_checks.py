"""Pure: is this machine, and supervisord on it, fit for the fleet?"""

import stat
from collections.abc import Mapping, Sequence

from msgspec import Struct

from common.config.place import REMEDY
from common.redis import append_only
from manager.act.programs import START_S
from manager.cli.doctor.findings import Finding, bad, ok, size, skipped, warning
from manager.report.figures.capacity import descriptors

_GIB = 1024**3
_LEAST_DISK_BYTES = _GIB


class HostFacts(Struct, frozen=True, kw_only=True):
    """What was seen of the machine.

    Attributes:
        conf: Its configuration file.
        supervisor: Version of supervisord; empty where it cannot be asked, then ``supervisor_trouble`` says why.
        supervisor_pid: The living process that its pid file names; else 0.
        descriptors: How many files supervisord may open; None where that cannot be seen.
        start_s: ``startsecs`` by program.
        modes: Permission bits, by path, of what only we should have access to; None where they cannot be seen.
        changeable: The same for what others may read but not change.
        unmade: Missing folders that set-up makes.
        writable: Whether the folder for all that a run writes can be written.
        disk_free_bytes, disk_wanted_bytes: There, and what a full fleet writes.
        spool_bytes: What collectors write at most besides while Redis is away.
        collectors: How many there are to run.
        memory_bytes, memory_wanted_bytes: Of this machine (None: it does not show it), and of the fleet on it.
        fast_path_built: Whether collectors have their compiled part.
        redis_refused: Why the embedded Redis is not started on its files; else empty.
        redis_cuts: What was cut off its files, and where the copy is.
        socket_gone: Whether its socket is not where it listens.
        missing: Missing folders of a running fleet.
        misplaced: Logs whose files, to which supervisord still writes, are no longer in the logs' folder.
        port: That of the metrics; 0 where they are off.
        place_trouble: Why no fleet can run in this folder.
        port_trouble: Why the environment names none.
        port_taken_by_other: Something answers there that is not our manager.
    """

    conf: str
    supervisor: str
    supervisor_trouble: str
    programs: int
    descriptors: int | None
    start_s: Mapping[str, int]
    modes: Mapping[str, int | None]
    changeable: Mapping[str, int | None]
    var: str
    writable: bool
    disk_free_bytes: int
    disk_wanted_bytes: int
    spool_bytes: int
    collectors: int
    memory_bytes: int | None
    memory_wanted_bytes: int
    fast_path_built: bool
    redis_refused: str = ""
    redis_cuts: Sequence[append_only.Cut] = ()
    supervisor_pid: int = 0
    socket_gone: bool = False
    missing: Sequence[str] = ()
    unmade: Sequence[str] = ()
    misplaced: Sequence[str] = ()
    port: int = 0
    port_trouble: str = ""
    place_trouble: str = ""
    port_taken_by_other: bool = False


def check_host(facts: HostFacts) -> list[Finding]:
    """All checks."""
    return [
        *([bad("place", facts.place_trouble, REMEDY)] if facts.place_trouble else []),
        *_supervisor(facts),
        *[_mode(path, mode) for path, mode in facts.modes.items()],
        *[_change(path, mode) for path, mode in facts.changeable.items()],
        _folder(facts),
        *_logs(facts),
        _disk(facts),
        *_redis_files(facts),
        _memory(facts),
        _fast_path(facts),
        *([_port(facts)] if facts.port or facts.port_trouble else []),
    ]


def _supervisor(facts: HostFacts) -> list[Finding]:
    if not facts.supervisor:
        hangs = f"it is there and does not answer: kill -CONT {facts.supervisor_pid}, or end it and start it anew"
        if facts.socket_gone:
            hangs = f"its socket was removed: kill -HUP {facts.supervisor_pid} makes it anew (and restarts the fleet)"
        start = "see 'place': it cannot start there" if facts.place_trouble else f"supervisord -c {facts.conf}"
        mend = hangs if facts.supervisor_pid else start
        return [bad("supervisord", facts.supervisor_trouble, mend), _descriptors(facts)]
    return [ok("supervisord", f"version {facts.supervisor}"), _descriptors(facts), _start_s(facts)]


def _descriptors(facts: HostFacts) -> Finding:
    check, wanted = "file descriptors", descriptors(facts.programs)
    if facts.descriptors is None:
        found = f"{facts.programs} programs need {wanted}; what supervisord may open cannot be seen from here"
        return skipped(check, found, "see that its ulimit -n is above that")
    found = f"supervisord may open {facts.descriptors} files, {facts.programs} programs need {wanted}"
    if facts.descriptors < wanted:
        mend = f"set minfds={2 * wanted} in {facts.conf} and ulimit -n above it, then start it anew"
        return bad(check, found, mend)
    return ok(check, found)


def _start_s(facts: HostFacts) -> Finding:
    short = sorted(program for program, start_s in facts.start_s.items() if start_s < START_S)
    if short:
        return bad(
            "supervisord programs",
            f"startsecs is below {START_S} for {', '.join(short[:3])}: a process that dies at once may look alive",
            "manager-cli apply (the manager writes these sections)",
        )
    return ok("supervisord programs", f"startsecs is {START_S} or more for {len(facts.start_s)} collectors")


def _mode(path: str, mode: int | None) -> Finding:
    if mode is None:
        return skipped("permissions", f"{path} cannot be looked at by this user", "run this as its owner")
    shown = stat.filemode(mode)
    if mode & 0o077:
        return bad("permissions", f"others may use {path} ({shown})", f"chmod go= {path}")
    return ok("permissions", f"{path} is ours alone ({shown})")


def _change(path: str, mode: int | None) -> Finding:
    if mode is None:
        return skipped("permissions", f"{path} cannot be looked at by this user", "run this as its owner")
    shown = stat.filemode(mode)
    if mode & (stat.S_IWGRP | stat.S_IWOTH) and not (stat.S_ISDIR(mode) and mode & stat.S_ISVTX):
        return bad(
            "permissions", f"others may change {path} ({shown}), and so what the fleet runs", f"chmod go-w {path}"
        )
    return ok("permissions", f"nobody else may change {path} ({shown})")


def _folder(facts: HostFacts) -> Finding:
    if facts.missing:
        found = f"{', '.join(facts.missing)}: not there, and without it nothing is started"
        return bad(
            "folders", found, "manager and watchdog make it again within seconds: do they run? manager-cli status"
        )
    if facts.unmade:
        return bad("folders", f"{', '.join(facts.unmade)}: not there, and supervisord needs it to start", "make setup")
    if not facts.writable:
        return bad("permissions", f"{facts.var} cannot be written by this user", "chown it, or run as its owner")
    return ok("permissions", f"{facts.var} can be written")


def _logs(facts: HostFacts) -> list[Finding]:
    if not facts.misplaced or facts.missing:  # of a folder that is gone more is said
        return []
    found = f"supervisord writes into files that were removed or moved away: {', '.join(facts.misplaced)}"
    mend = f"the watchdog has them opened anew within 15 s; by hand: kill -USR2 {facts.supervisor_pid}"
    return [bad("logs", found, mend)]


def _disk(facts: HostFacts) -> Finding:
    full = f"a full fleet writes {size(facts.disk_wanted_bytes)}"
    away = f"and at most {size(facts.spool_bytes)} more while Redis is away"
    found = f"{size(facts.disk_free_bytes)} free at {facts.var}, {full}, {away}"
    if facts.disk_free_bytes < _LEAST_DISK_BYTES:
        return bad("disk", found, "free some: Redis stops taking writes when its disk is full")
    if facts.disk_free_bytes < facts.disk_wanted_bytes:
        return warning("disk", found, "free some, or lower [redis.maxlen] in the fleet file")
    return ok("disk", found)


def _redis_files(facts: HostFacts) -> list[Finding]:
    check = "redis file"
    if facts.redis_refused:
        mend = "nothing was changed; see 'damaged at byte' in docs/operations.md"
        return [bad(check, f"Redis is not started: {facts.redis_refused}", mend)]
    mend = "what the exchanges still have is fetched again: manager-cli coverage; when all is seen: rm {copy}*"
    return [warning(check, str(cut), mend.format(copy=cut.copy)) for cut in facts.redis_cuts]


def _memory(facts: HostFacts) -> Finding:
    found = (
        f"{facts.collectors} collectors, and Redis where it is here, take {size(facts.memory_wanted_bytes)} when full"
    )
    if facts.memory_bytes is None:
        return skipped("memory", f"{found}; what this machine has cannot be seen", "see that it has more")
    found += f", this machine has {size(facts.memory_bytes)}"
    if facts.memory_wanted_bytes > facts.memory_bytes:
        return bad("memory", found, "fewer collectors, lower [redis.maxlen], or more memory")
    return ok("memory", found)


def _fast_path(facts: HostFacts) -> Finding:
    if not facts.fast_path_built:
        return warning(
            "fast path",
            "the compiled part of collectors is not built: they work without it, at twice the CPU",
            "install a C compiler and Python's headers, rm .venv/installed.sha256, make setup, manager-cli restart-all",
        )
    return ok("fast path", "the compiled part of collectors is built")


def _port(facts: HostFacts) -> Finding:
    if facts.port_trouble:
        return bad("ports", facts.port_trouble, "name a port or off, and start supervisord anew")
    if facts.port_taken_by_other:
        return warning(
            "ports",
            f"something else listens on port {facts.port}, where the manager's metrics should be",
            "TICKFLEET_METRICS_PORT names another port",
        )
    return ok("ports", f"port {facts.port} is free or the manager's")
