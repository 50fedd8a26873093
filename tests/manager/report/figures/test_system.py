import os
from pathlib import Path

import pytest

from manager.report.figures.system import SystemReader, Ticks, read_memory, read_ticks, share_busy
from tests.manager.fakes import ManualClock

STAT = "cpu  100 5 45 800 40 3 7 0 50 0\ncpu0 50 0 20 400 20 0 0 0 0 0\n"
MEMINFO = "MemTotal:       2048 kB\nMemFree:  10 kB\nMemAvailable:   1024 kB\nHugePages_Total:       0\nnonsense\n"


@pytest.mark.parametrize(
    ("stat", "ticks"),
    [
        (STAT, Ticks(160, 1000)),
        ("cpu 1 2 3 4\n", Ticks(6, 10)),  # kernels of old
        ("", None),
        ("cpu 1 2\n", None),
        ("cpu a b c d\n", None),
        ("intr 1 2 3 4\n", None),
    ],
)
def test_the_processors(stat: str, ticks: Ticks | None) -> None:
    assert read_ticks(stat) == ticks


def test_the_memory() -> None:
    assert read_memory(MEMINFO) == {
        "MemTotal": 2 * 1024**2,
        "MemFree": 10 * 1024,
        "MemAvailable": 1024**2,
        "HugePages_Total": 0,
    }


@pytest.mark.parametrize(
    ("before", "now", "busy"),
    [
        (Ticks(100, 1000), Ticks(125, 1100), 25.0),
        (None, Ticks(1, 2), None),
        (Ticks(1, 2), None, None),
        (Ticks(1, 2), Ticks(1, 2), None),
    ],
)
def test_the_share_of_time(before: Ticks | None, now: Ticks | None, busy: float | None) -> None:
    assert share_busy(before, now) == busy


def test_two_looks_at_a_machine(tmp_path: Path) -> None:
    proc, clock = tmp_path / "proc", ManualClock()
    (proc / "self").mkdir(parents=True)
    (proc / "stat").write_text(STAT)
    (proc / "meminfo").write_text(MEMINFO)
    (proc / "self" / "statm").write_text("900 3 1 1 0 1 0\n")
    reader = SystemReader(tmp_path, clock, proc)
    first = reader.read()
    clock.move(10)
    (proc / "stat").write_text("cpu 160 5 45 840 40 3 7 0 50 0\n")
    second = reader.read()
    assert (first.cpu_percent, first.manager_cpu_percent, second.cpu_percent) == (None, None, 60.0)
    assert (second.memory_total_bytes, second.memory_available_bytes) == (2 * 1024**2, 1024**2)
    assert second.manager_rss_bytes is not None
    assert second.manager_rss_bytes % 3 == 0
    assert second.manager_cpu_percent is not None
    assert 0 <= second.manager_cpu_percent < 100
    assert second.manager_cpu_s >= first.manager_cpu_s > 0
    assert second.disk_total_bytes is not None
    assert second.disk_free_bytes is not None
    assert 0 < second.disk_free_bytes <= second.disk_total_bytes
    assert second.cpu_count >= 1
    assert second.load_1m is not None


@pytest.mark.parametrize(
    ("pid", "stat", "uptime", "up_s"),
    [
        ("7\n", f"7 (a) b (c) S {' 0' * 18} 25050 99 0\n", "1000.25 1.0\n", 1000.25 - 25050 / os.sysconf("SC_CLK_TCK")),
        ("7\n", "", "1000.25 1.0\n", None),  # it is gone
        ("7\n", f"7 (a) S {' 0' * 18} 25050\n", "", None),
        ("seven", f"7 (a) S {' 0' * 18} 25050\n", "1000.25 1.0\n", None),
        (None, f"7 (a) S {' 0' * 18} 25050\n", "1000.25 1.0\n", None),
    ],
)
def test_the_fleet_is_up_as_long_as_supervisord(
    tmp_path: Path, pid: str | None, stat: str, uptime: str, up_s: float | None
) -> None:
    proc, var = tmp_path / "proc", tmp_path / "var"
    for folder in (proc / "7", var):
        folder.mkdir(parents=True)
    if pid is not None:
        (var / "supervisord.pid").write_text(pid)
    (proc / "7" / "stat").write_text(stat)
    (proc / "uptime").write_text(uptime)
    seen = SystemReader(var, ManualClock(), proc).read()
    assert seen.uptime_s == (None if up_s is None else round(up_s, 1))


def test_what_a_system_does_not_show_is_absent(tmp_path: Path) -> None:
    seen = SystemReader(tmp_path / "gone", ManualClock(), tmp_path / "no-proc").read()
    assert (seen.cpu_percent, seen.memory_total_bytes, seen.memory_available_bytes) == (None, None, None)
    assert (seen.disk_total_bytes, seen.disk_free_bytes, seen.manager_rss_bytes) == (None, None, None)
