"""The machine: CPU, memory, load and disk, from /proc and the file system. What a system does not show is absent."""

import os
import resource
import shutil
from pathlib import Path

from msgspec import Struct

from tickfleet._util.clock import Clock

_STARTTIME = 20
"""Its place in /proc/PID/stat behind the name of the program, which may hold blanks."""


class SystemFigures(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Attributes in the order in which one asks.

    Attributes:
        cpu_percent: Of all cores together, since the last look.
        load_1m: Processes that run or want to.
        memory_available_bytes: What can be had without swapping.
        uptime_s: Since supervisord started, under which all processes of the fleet are.
        disk_free_bytes: Where ``var/`` lies.
        redis_used_bytes, redis_max_bytes: ``used_memory`` and ``maxmemory`` (absent: no limit).
        manager_cpu_percent, manager_cpu_s, manager_rss_bytes: Our own process, of one core and since its start.
    """

    cpu_count: int
    manager_cpu_s: float
    cpu_percent: float | None = None
    load_1m: float | None = None
    memory_total_bytes: int | None = None
    memory_available_bytes: int | None = None
    disk_total_bytes: int | None = None
    disk_free_bytes: int | None = None
    redis_used_bytes: int | None = None
    redis_max_bytes: int | None = None
    manager_cpu_percent: float | None = None
    manager_rss_bytes: int | None = None
    uptime_s: float | None = None


class Ticks(Struct, frozen=True):
    """CPU time of all cores since the machine's start, in the kernel's ticks."""

    busy: int
    total: int


def read_ticks(stat: str) -> Ticks | None:
    """The first line of /proc/stat (proc(5)): user nice system idle iowait irq softirq steal; guests are in user."""
    name, *numbers = (stat.splitlines() or [""])[0].split() or [""]
    if name != "cpu" or len(numbers) < 4 or not all(number.isdigit() for number in numbers):
        return None
    counts = [int(number) for number in numbers[:8]]
    return Ticks(sum(counts) - sum(counts[3:5]), sum(counts))


def read_memory(meminfo: str) -> dict[str, int]:
    """Bytes by name, from /proc/meminfo, whose unit is KiB."""
    rows = (line.split() for line in meminfo.splitlines())
    return {row[0].rstrip(":"): int(row[1]) * 1024 for row in rows if len(row) > 1 and row[1].isdigit()}


def share_busy(before: Ticks | None, now: Ticks | None) -> float | None:
    """Percent of the time between two looks."""
    if before is None or now is None or now.total <= before.total:
        return None
    return round(100 * (now.busy - before.busy) / (now.total - before.total), 1)


class SystemReader:
    """Looks at the machine; each look is measured against the one before. ``var`` lies on the disk in question."""

    def __init__(self, var: Path, clock: Clock, proc: Path = Path("/proc")) -> None:
        self._var, self._clock, self._proc = var, clock, proc
        self._ticks: Ticks | None = None
        self._used: tuple[float, float] | None = None

    def read(self) -> SystemFigures:
        """The machine now. Reads files: call it from a thread, as a disk may hang."""
        ticks = read_ticks(self._text("stat"))
        before, self._ticks = self._ticks, ticks
        memory = read_memory(self._text("meminfo"))
        disk_total, disk_free = _disk(self._var)
        usage = resource.getrusage(resource.RUSAGE_SELF)
        cpu_s = usage.ru_utime + usage.ru_stime
        return SystemFigures(
            cpu_count=os.cpu_count() or 1,
            cpu_percent=share_busy(before, ticks),
            load_1m=_load(),
            memory_total_bytes=memory.get("MemTotal"),
            memory_available_bytes=memory.get("MemAvailable"),
            disk_total_bytes=disk_total,
            disk_free_bytes=disk_free,
            manager_cpu_percent=self._own_percent(cpu_s),
            manager_cpu_s=round(cpu_s, 3),
            manager_rss_bytes=self._own_rss(),
            uptime_s=self._uptime_s(),
        )

    def _uptime_s(self) -> float | None:
        """How long supervisord has been there, by its pid file and the kernel; see proc(5), starttime."""
        try:
            pid = int((self._var / "supervisord.pid").read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None
        fields, machine = self._text(f"{pid}/stat").rpartition(")")[2].split(), self._text("uptime").split()
        if len(fields) < _STARTTIME or not machine:
            return None
        return round(max(0.0, float(machine[0]) - int(fields[_STARTTIME - 1]) / os.sysconf("SC_CLK_TCK")), 1)

    def _own_percent(self, cpu_s: float) -> float | None:
        now_s = self._clock.monotonic_s()
        before, self._used = self._used, (now_s, cpu_s)
        if before is None or now_s <= before[0]:
            return None
        return round(100 * (cpu_s - before[1]) / (now_s - before[0]), 2)

    def _own_rss(self) -> int | None:
        fields = self._text("self/statm").split()
        return int(fields[1]) * resource.getpagesize() if len(fields) > 1 and fields[1].isdigit() else None

    def _text(self, name: str) -> str:
        try:
            return (self._proc / name).read_text(encoding="ascii")
        except (OSError, ValueError):
            return ""


def _load() -> float | None:
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return None


def _disk(folder: Path) -> tuple[int, int] | tuple[None, None]:
    """Size, and what is free for us."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return None, None
    return usage.total, usage.free
