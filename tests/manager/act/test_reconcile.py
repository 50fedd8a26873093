import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from common.config.collector import ExchangeCollectorConfig
from manager.act.programs import Launch, render
from manager.act.reconcile import (
    Applied,
    FilePlan,
    carry_out,
    collector_name,
    find_differences,
    plan_files,
    plan_groups,
    write_files,
)
from manager.model.processes import ProcessState
from manager.supervisord.async_client import ThreadedSupervisor
from manager.supervisord.client import Fault, Reread, SupervisorClient
from tests.manager.fakes import AsyncFakeSupervisor, FakeSupervisor, ManualClock, config
from tests.manager.real import eventually, real_supervisord
from tickfleet.errors import SupervisorUnreachableError


def test_files_that_differ_are_written_and_others_left_alone() -> None:
    assert plan_files({"a": "1", "b": "2", "c": "3"}, {"b": "2", "c": "old", "d": "4"}) == FilePlan(
        write={"a": "1", "c": "3"}, remove=("d",)
    )


def test_groups_that_are_not_collectors_of_ours_are_left_alone() -> None:
    reread = Reread(
        added=("collector-okx-A-B", "collector-okx-C-D", "web"),
        changed=("manager", "collector-okx-E-F"),
        removed=("redis", "collector-okx-G-H"),
    )
    assert plan_groups(["collector-okx-A-B", "collector-okx-E-F"], reread) == Applied(
        added=("collector-okx-A-B",), changed=("collector-okx-E-F",), removed=("collector-okx-G-H",)
    )


@pytest.mark.parametrize(
    ("program", "name"),
    [
        ("collector-okx-BTC-USDT", "okx:BTC-USDT"),
        ("collector-binance-usdm-BTC-USDT-PERP", "binance-usdm:BTC-USDT-PERP"),
        ("collector-okx-1INCH-USDT-270326", "okx:1INCH-USDT-270326"),
        ("collector-binance-u5e01u5b89u4ebau751f-USDT", "binance:币安人生-USDT"),
        ("collector-okx-1-USDT-PERP", "okx:1-USDT-PERP"),
        ("collector-something else", "collector-something else"),
    ],
)
def test_the_id_in_a_programs_name(program: str, name: str) -> None:
    assert collector_name(program) == name


def test_only_files_of_collectors_are_written_and_removed(tmp_path: Path) -> None:
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "collector-okx-OLD-USDT.conf").write_text("old")
    (folder / "somebody-elses.conf").write_text("theirs")
    (folder / "collector-okx-A-B.conf").write_text("same")
    kept = (folder / "collector-okx-A-B.conf").stat()
    write_files(folder, {"collector-okx-A-B.conf": "same", "collector-okx-C-D.conf": "new"})
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "collector-okx-A-B.conf": "same",
        "collector-okx-C-D.conf": "new",
        "somebody-elses.conf": "theirs",
    }
    now = (folder / "collector-okx-A-B.conf").stat()
    assert (now.st_ino, now.st_mtime_ns) == (kept.st_ino, kept.st_mtime_ns)
    assert (folder / "collector-okx-C-D.conf").stat().st_mode & 0o777 == 0o600


async def test_one_that_fails_does_not_keep_the_others() -> None:
    supervisor = FakeSupervisor(ManualClock())
    supervisor.know("a")
    supervisor.refusals["remove"] = Fault.STILL_RUNNING
    with pytest.raises(Exception, match="the process still runs"):
        await carry_out(AsyncFakeSupervisor(supervisor), Applied(added=("b",), changed=("a",)))
    assert sorted(supervisor.calls) == [("add", "b"), ("remove", "a"), ("stop", "a")]


@pytest.mark.system
async def test_under_the_real_one_only_what_differs_is_touched(short_folder: Path) -> None:
    with real_supervisord(short_folder) as client, ThreadedSupervisor(client) as supervisor:
        one, two, three = config("ONE-USDT"), config("TWO-USDT"), config("THREE-USDT")
        assert await _apply(short_folder, supervisor, one, two) == Applied(added=(one.id.program, two.id.program))
        for of in (one, two):
            await _start(short_folder, supervisor, of)
        before = _pids(client)
        assert await _apply(short_folder, supervisor, one, two) == Applied()
        assert await _apply(short_folder, supervisor, one, two, three) == Applied(added=(three.id.program,))
        assert _pids(client) == {**before, three.id.program: 0}
        changed = replace(two, health_check_interval=9.0)
        assert await _apply(short_folder, supervisor, one, changed, three) == Applied(changed=(two.id.program,))
        assert _pids(client) == {**before, two.id.program: 0, three.id.program: 0}
        await _start(short_folder, supervisor, two)
        assert await _apply(short_folder, supervisor, one, three) == Applied(removed=(two.id.program,))
        assert _pids(client) == {
            name: pid for name, pid in {**before, three.id.program: 0}.items() if name != two.id.program
        }
        assert client.process(three.id.program).state is ProcessState.STOPPED  # nothing starts by itself


@pytest.mark.system
async def test_stopping_waits_and_a_dead_supervisord_is_told(short_folder: Path) -> None:
    with real_supervisord(short_folder) as client, ThreadedSupervisor(client) as supervisor:
        await supervisor.stop("bystander")
        assert client.process("bystander").pid == 0
    with ThreadedSupervisor(client) as supervisor, pytest.raises(SupervisorUnreachableError):
        await supervisor.stop("bystander")


async def _start(root: Path, supervisor: ThreadedSupervisor, of: ExchangeCollectorConfig) -> None:
    """Start it and wait until its program runs: a TERM between fork and exec would be lost on supervisord's copy."""
    log = root / "var" / "log" / f"{of.id.program}.log"
    log.unlink(missing_ok=True)
    await supervisor.start(of.id.program)
    eventually(lambda: log.is_file() and log.read_text() == "up\n")


async def _apply(root: Path, supervisor: ThreadedSupervisor, *fleet: ExchangeCollectorConfig) -> Applied:
    logs = root / "var" / "log"
    pause = (sys.executable, "-c", "import signal; print('up'); signal.pause()")
    launch = Launch(command=pause, applied=root / "applied", root=root, logs=logs, redis_id="1")
    wanted = {of.id.program: render(of, launch) for of in fleet}
    write_files(root / "var" / "programs", {f"{program}.conf": text for program, text in wanted.items()})
    plan = await find_differences(supervisor, wanted)
    await carry_out(supervisor, plan)
    return plan


def _pids(client: SupervisorClient) -> dict[str, int]:
    return {name: found.pid for name, found in client.processes().items()}


def test_a_new_folder_is_its_owners_alone(tmp_path: Path) -> None:
    write_files(tmp_path / "var" / "programs", {})
    assert (tmp_path / "var" / "programs").stat().st_mode & 0o777 == 0o700
