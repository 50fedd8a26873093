import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from common.process.event_loop import EventLoop
from manager.__main__ import main
from tests.manager.real import eventually
from tests.support.waiting import PATIENCE_S


def test_a_fleet_file_that_cannot_be_used_is_exit_78(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text("[redis]\nurll = 'x'\n")
    assert main(["--fleet", str(path)]) == 78
    out, err = capsys.readouterr()
    assert (out, err) == (
        "",
        f"manager: {path}: redis: unknown key 'urll'; did you mean 'url'? (known: url, password_file, maxlen)\n",
    )


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "SIGHUP reads the fleet file again" in capsys.readouterr().out


@pytest.mark.system
def test_without_redis_and_supervisord_it_lives_until_told_to_stop(short_folder: Path) -> None:
    path = short_folder / "fleet.toml"
    path.write_text(f'[redis]\nurl = "unix://{short_folder}/none"\n[[collectors]]\nexchange = "okx"\nsymbol = "A-B"\n')
    log = short_folder / "out.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "manager", "--fleet", str(path)],
            env={"TICKFLEET_ROOT": str(short_folder), "PYTHONUNBUFFERED": "1"},
            stdout=out,
            stderr=out,
        )
        try:
            eventually(lambda: b"redis_lost" in log.read_bytes() and b"supervisor_lost" in log.read_bytes())
            process.send_signal(signal.SIGHUP)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=PATIENCE_S) == 0
        finally:
            process.kill()
            process.wait()
    assert (log.read_bytes().count(b"redis_lost"), log.read_bytes().count(b"supervisor_lost")) == (1, 1)


@pytest.mark.parametrize(("enabled", "calls"), [("1", 1), ("", 0)])
def test_it_ends_with_the_supervisord_that_started_it(
    enabled: str, calls: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = list[str]()
    monkeypatch.setenv("SUPERVISOR_ENABLED", enabled)
    monkeypatch.setattr("manager.__main__.die_with_parent", lambda: called.append("die"))
    assert main(["--fleet", str(tmp_path / "none.toml")]) == 78
    assert called == ["die"] * calls


def test_it_runs_in_the_loop_whose_connections_try_all_addresses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "fleet.toml"
    path.write_text('[[collectors]]\nexchange = "okx"\nsymbol = "A-B"\n')
    loops = list[asyncio.AbstractEventLoop]()

    async def run(*_: object) -> None:
        loops.append(asyncio.get_running_loop())

    monkeypatch.setattr("manager.__main__.run", run)
    monkeypatch.setattr("manager.__main__.configure_logging", lambda *_, **__: None)
    assert main(["--fleet", str(path)]) == 0
    assert [type(loop) for loop in loops] == [EventLoop]
