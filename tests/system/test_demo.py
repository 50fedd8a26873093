"""``make demo`` as a new user runs it: healthy in the end, nothing left behind, two at once."""

import os
from pathlib import Path

import pytest

from deploy.demo import what_next
from tests.support.ports import free_port, wait_until
from tests.support.processes import BIN, ROOT, Process
from tests.support.terminal import lines_of, written

pytestmark = pytest.mark.system

HEALTHY = "5 desired, 5 healthy"
TAKES_THE_SCREEN, LEAVES_THE_SCREEN, HOME = "\x1b[?1049h", "\x1b[?1049l", "\x1b[H"


def processes_of(folder: str) -> list[str]:
    """Command lines of the processes that work for a deployment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if folder.encode() in path.read_bytes():
                found.append((path.parent / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # it ended while we looked, or is not ours
    return found


def demo(port: int, log: Path, *options: str) -> Process:
    command = [str(BIN / "python"), str(ROOT / "deploy" / "demo.py"), *options]
    return Process(command, log, {"TICKFLEET_REDIS_PORT": str(port), "TICKFLEET_REDIS_URL": ""})


def test_two_demos_run_side_by_side_and_leave_nothing(tmp_path: Path) -> None:
    ports = (free_port(), free_port())
    demos = [demo(port, tmp_path / f"{port}.log") for port in ports]
    try:
        for process in demos:
            wait_until(lambda process=process: HEALTHY in process.text(), 90, "all are healthy")  # type: ignore[misc]
    finally:
        codes = [process.stop() for process in demos]

    assert codes == [0, 0], "\n".join(process.text() for process in demos)
    assert [processes_of(f"demo-{port}") for port in ports] == [[], []]


def test_one_ends_by_itself_and_its_code_is_what_its_last_table_says(tmp_path: Path) -> None:
    port = free_port()
    process = demo(port, tmp_path / "log", "--seconds", "0.5")

    code = process.wait(90)

    process.stop()
    last = process.text().rpartition("5 desired, ")[2]
    assert code == (0 if last.startswith("5 healthy") else 1), process.text()
    assert process.text().splitlines()[-3:] == [
        f"demo: {line}" for line in what_next(ROOT / "var" / f"demo-{port}", port)
    ]
    assert processes_of(f"demo-{port}") == []


def live_views(text: str) -> list[list[str]]:
    """The lines of each view that was whole before the next one, or the end."""
    screens = text.partition(TAKES_THE_SCREEN)[2].partition(LEAVES_THE_SCREEN)[0].split(HOME)[:-1]
    return [lines for lines in map(lines_of, screens) if any("desired" in line for line in lines)]


@pytest.mark.parametrize("width", [80, 160])
def test_on_a_terminal_the_live_view_tells_what_to_type_elsewhere(width: int) -> None:
    port = free_port()
    env = {**os.environ, "TICKFLEET_REDIS_PORT": str(port), "TICKFLEET_REDIS_URL": "", "TICKFLEET_METRICS_PORT": "off"}
    command = [str(BIN / "python"), str(ROOT / "deploy" / "demo.py")]
    lines = live_views(written(command, width, env, 24, lambda text: bool(live_views(text))))[0]
    assert lines[0] == "in another terminal:"
    commands = [line for line in lines if f"demo-{port}" in line]
    assert [line.partition("manager-cli ")[2] for line in commands] == ["tail okx:BTC-USDT trade", "status"]


def test_a_port_in_use_is_said_in_one_line(tmp_path: Path, redis_server: object) -> None:
    port = redis_server.port  # type: ignore[attr-defined]
    process = demo(port, tmp_path / "log")
    assert process.wait(20) == 2
    process.stop()
    assert process.text() == (f"demo: port {port} is in use; name another: TICKFLEET_REDIS_PORT={port + 1} make demo\n")
