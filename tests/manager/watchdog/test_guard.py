import json
import shutil
from pathlib import Path

import pytest

from manager.watchdog import signs, supervisord
from manager.watchdog.guard import Guard
from manager.watchdog.supervisord import NoAnswerError


class Scene:
    """supervisord, the clock and the manager's file, as the test says they are."""

    def __init__(self, var: Path) -> None:
        self.var, self.now_s, self.pid, self.away = var, 100.0, 42, False
        self.kills = list[str]()
        self.reopened = 0
        self.logs = var / "log"
        self.own = self.logs / "supervisord.log"
        self.logs.mkdir()
        self.own.touch()
        self.guard = Guard(var, "manager", 10.0, lambda: self.now_s, self.reopen)

    def reopen(self) -> None:
        assert self.logs.is_dir()
        self.reopened += 1

    def pid_of(self, path: Path, program: str) -> int:
        if self.away:
            raise NoAnswerError("supervisord does not answer")
        assert (path, program) == (self.var / "supervisor.sock", "manager")
        return self.pid

    def kill(self, _: Path, program: str) -> None:
        if self.away:
            raise NoAnswerError("supervisord does not answer")
        self.kills.append(program)

    def run_checks(self, times: int = 1) -> None:
        """Ticks, 5 s apart."""
        for _ in range(times):
            self.guard.check()
            self.now_s += 5.0


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    scene = Scene(tmp_path)
    monkeypatch.setattr(supervisord, "pid_of", scene.pid_of)
    monkeypatch.setattr(supervisord, "kill", scene.kill)
    return scene


def events(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    """The lines of the log without their time; standard output must stay empty."""
    captured = capsys.readouterr()
    assert captured.out == ""
    return [{k: v for k, v in json.loads(line).items() if k != "timestamp"} for line in captured.err.splitlines()]


def test_a_manager_without_signs_is_killed_and_a_note_is_left(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.run_checks(times=4)
    assert scene.kills == ["manager"]
    assert signs.pop_revival(signs.revival_file(scene.var)) == signs.Revival(pid=42, silent_s=10)
    why = "its loop stood still for 10 s"
    assert events(capsys) == [{"event": "manager_killed", "why": why, "pid": 42, "silent_s": 10, "process": "watchdog"}]


def test_a_manager_that_gives_signs_lives(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(9):
        signs.touch(signs.alive_file(scene.var))
        scene.run_checks()
    assert (scene.kills, events(capsys)) == ([], [])


def test_another_process_at_the_last_moment_is_spared(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.run_checks(times=2)
    pids = iter([42, 43])
    monkeypatch.setattr(supervisord, "pid_of", lambda *_: next(pids))
    scene.run_checks()
    assert (scene.kills, signs.pop_revival(signs.revival_file(scene.var))) == ([], None)


def test_an_unreachable_supervisord_is_reported_once_and_proves_nothing(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.run_checks(times=2)
    scene.away = True
    scene.run_checks(times=3)
    scene.away = False
    scene.run_checks(times=2)
    assert scene.kills == []
    lost = {"event": "supervisord_lost", "why": "supervisord does not answer", "process": "watchdog"}
    assert events(capsys) == [lost]
    scene.run_checks()
    assert scene.kills == ["manager"]


def test_a_kill_that_fails_is_told(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise NoAnswerError("supervisord refuses")

    monkeypatch.setattr(supervisord, "kill", refuse)
    scene.run_checks(times=3)
    why = "supervisord refuses"
    assert events(capsys) == [
        {"event": "manager_kill_failed", "why": why, "pid": 42, "silent_s": 10, "process": "watchdog"}
    ]
    assert signs.pop_revival(signs.revival_file(scene.var)) is None


def test_deleted_logs_are_made_again_and_supervisord_reopens_them(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    scene.pid = 0
    scene.run_checks()
    shutil.rmtree(scene.logs)
    scene.run_checks()
    assert (scene.reopened, scene.logs.stat().st_mode & 0o777) == (0, 0o700)
    scene.run_checks(times=3)
    assert scene.reopened == 1
    scene.own.touch()
    scene.run_checks(times=2)
    assert scene.reopened == 1
    made, opened = events(capsys)
    assert made == {"event": "logs_made_again", "why": f"{scene.logs} was not there", "process": "watchdog"}
    assert opened == {
        "event": "logs_opened_anew",
        "why": f"they were not in {scene.logs} any more: supervisord.log",
        "process": "watchdog",
    }


def test_logs_are_reopened_once_and_not_during_their_removal(scene: Scene) -> None:
    scene.pid = 0
    for _ in range(3):  # the manager makes the folder, too, between two looks
        shutil.rmtree(scene.logs)
        scene.run_checks()
    assert scene.reopened == 0
    scene.run_checks(times=3)
    assert scene.reopened == 1
    scene.own.touch()
    scene.run_checks()
    scene.own.unlink()
    scene.run_checks()
    assert scene.reopened == 1
    scene.run_checks()
    assert scene.reopened == 2
