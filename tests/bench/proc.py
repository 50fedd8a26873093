"""What processes use: CPU to the nanosecond, memory from /proc."""

import os
import time
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_CPUCLOCK_SCHED = 2


def cpu_ns(pid: int) -> int:
    """CPU time that a process has used so far with all its threads, its own and the kernel's for it (Linux).

    From its CPU clock (``clock_getcpuclockid(3)``), which does not count in ticks of 10 ms as ``/proc/PID/stat`` does.
    """
    return time.clock_gettime_ns((~pid << 3) | _CPUCLOCK_SCHED)


def cpu_s(pid: int) -> float:
    """The same in seconds, from ``/proc/PID/stat``: in whole ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _smaps_kib(pid: int) -> dict[str, int]:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    return {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}


def pss_mib(pid: int) -> float:
    """Memory of a process, each shared page divided among those who share it (MiB)."""
    return _smaps_kib(pid)["Pss"] / 1024


def uss_mib(pid: int) -> float:
    """Memory that only this process has (MiB): what would be free without it."""
    kib = _smaps_kib(pid)
    return (kib["Private_Clean"] + kib["Private_Dirty"]) / 1024


def switches(pid: int) -> tuple[int, int]:
    """How often the threads of a process have let go of the CPU by themselves, and how often it was taken from them."""
    willing = taken = 0
    for path in Path(f"/proc/{pid}/task").glob("*/status"):
        lines = (line.partition(":") for line in path.read_text(encoding="utf-8").splitlines())
        fields = {name: rest for name, _, rest in lines}
        willing += int(fields["voluntary_ctxt_switches"])
        taken += int(fields["nonvoluntary_ctxt_switches"])
    return willing, taken
