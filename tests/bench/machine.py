"""Where and with what was measured: without it figures say nothing."""

import os
import platform
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from tests.support.processes import ROOT

_LIBRARIES = ("websockets", "picows", "hiredis", "msgspec", "redis", "uvloop")
_KIB_PER_GIB = 1024 * 1024


def machine() -> dict[str, object]:
    """Processor, cores, memory, kernel and interpreter."""
    return {
        "cpu": _field("/proc/cpuinfo", "model name") or platform.machine(),
        "cores": os.cpu_count() or 0,
        "memory_gib": round(int((_field("/proc/meminfo", "MemTotal") or "0").split()[0]) / _KIB_PER_GIB, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def busy_percent(seconds: float = 0.5) -> float:
    """How busy all cores are now, percent: before a measurement, what others do to it (Linux)."""
    before = _ticks()
    time.sleep(seconds)  # a stretch of time is what is measured
    idle, all_of_them = (after - earlier for after, earlier in zip(_ticks(), before, strict=True))
    return round(100 * (1 - idle / all_of_them), 1) if all_of_them else 0.0


def _ticks() -> tuple[int, int]:
    """Ticks of all cores that were idle, and all (``/proc/stat``, proc(5))."""
    ticks = [int(text) for text in Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)


def versions(redis_client: Any) -> dict[str, str]:
    """Of us, of the server, and of the libraries that are installed."""
    server = redis_client.info("server")
    name = "valkey" if "valkey_version" in server else "redis"
    found = {"tickfleet": _commit(), "server": f"{name} {server[f'{name}_version']}"}
    for library in _LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return found


def _field(path: str, name: str) -> str | None:
    """The first field of this name in a file of lines ``name: value``."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    pairs = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in pairs if key.strip() == name), None)


def _commit() -> str:
    """The commit, with a plus where files differ from it; empty outside a checkout."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--exclude=*"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stdout.strip()
