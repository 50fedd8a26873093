import os
import shutil
from pathlib import Path

import pytest

from manager.watchdog.logs import misplaced
from tests.manager.real import WATCHDOG, eventually, real_supervisord

TALKER = """\
[program:talker]
command={python} -uc "while True: print(input())"
stdout_logfile={root}/var/log/talker.log
"""


def test_a_log_is_where_it_belongs_or_named(tmp_path: Path) -> None:
    own, other, elsewhere = (tmp_path / name for name in ("supervisord.log", "a.log", "b.txt"))
    with own.open("w"), other.open("w"), elsewhere.open("w"):
        assert misplaced(os.getpid(), tmp_path) == []
        other.unlink()
        assert misplaced(os.getpid(), tmp_path) == ["a.log"]
        assert misplaced(os.getpid(), tmp_path / "sub") == ["supervisord.log"]
        own.rename(tmp_path / "supervisord.log.old")
        assert misplaced(os.getpid(), tmp_path) == ["a.log", "supervisord.log"]
    assert misplaced(os.getpid(), tmp_path) == ["supervisord.log"]


@pytest.mark.parametrize("name", ["a.log.old", "a.log.1", "a.log-20261130", "a.log_1", "a.log~"])
def test_a_log_that_was_renamed_is_named_as_it_was(tmp_path: Path, name: str) -> None:
    (tmp_path / "supervisord.log").touch()
    log = tmp_path / "a.log"
    with log.open("a"):
        log.rename(tmp_path / name)
        assert misplaced(os.getpid(), tmp_path) == ["a.log"]
        log.touch()  # another program has made one in its place
        assert misplaced(os.getpid(), tmp_path) == ["a.log"]
        (tmp_path / name).unlink()
        assert misplaced(os.getpid(), tmp_path) == ["a.log"]
    assert misplaced(os.getpid(), tmp_path) == []


@pytest.mark.system
def test_a_log_that_was_renamed_while_the_fleet_runs_is_written_again(short_folder: Path) -> None:
    logs = short_folder / "var" / "log"
    with real_supervisord(short_folder, WATCHDOG + TALKER) as client:
        eventually(lambda: (logs / "talker.log").is_file())
        (logs / "talker.log").rename(logs / "talker.log.old")
        eventually(lambda: (logs / "talker.log").is_file(), 60)
        eventually(lambda: "talker.log" in (logs / "watchdog.log").read_text())
        assert misplaced(client.about()[1], logs) == []


@pytest.mark.system
def test_logs_that_were_removed_while_the_fleet_runs_are_written_again(short_folder: Path) -> None:
    logs = short_folder / "var" / "log"
    with real_supervisord(short_folder, WATCHDOG + TALKER) as client:
        talker = client.process("talker").pid
        eventually(lambda: (logs / "talker.log").is_file())
        shutil.rmtree(logs)
        logs.mkdir()  # as the manager does within a second: it is a folder without what supervisord writes
        names = ("supervisord.log", "talker.log", "watchdog.log")
        eventually(lambda: all((logs / name).is_file() for name in names), 60)
        assert misplaced(client.about()[1], logs) == []
        eventually(lambda: "talker.log" in (logs / "watchdog.log").read_text())
        assert client.process("talker").pid == talker
