"""Where ``deploy/bin/in-env`` finds a program, and what it says where there is none."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

IN_ENV = Path(__file__).resolve().parents[2] / "deploy" / "bin" / "in-env"
SYSTEM = "/usr/bin:/bin"


def program(folder: Path, name: str, says: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\necho {says} $*\n")
    (folder / name).chmod(0o700)


def environment(folder: Path, says: str) -> None:
    program(folder, "collector-worker", "no")
    program(folder, "manager", says)


def run(fleet: Path, path: str = SYSTEM, active: str = "", name: str = "manager") -> "subprocess.CompletedProcess[str]":
    own = fleet / "deploy" / "bin" / "in-env"
    own.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(IN_ENV, own)
    env = {**os.environ, "PATH": path, "VIRTUAL_ENV": active}
    return subprocess.run([own, name, "a"], env=env, capture_output=True, text=True, check=False)


def test_the_active_environment_precedes_that_of_the_folder_and_path(tmp_path: Path) -> None:
    fleet = tmp_path / "fleet"
    environment(tmp_path / "bin", "path")
    assert run(fleet, f"{tmp_path / 'bin'}:{SYSTEM}").stdout == "path a\n"
    environment(fleet / ".venv" / "bin", "folder")
    assert run(fleet, f"{tmp_path / 'bin'}:{SYSTEM}").stdout == "folder a\n"
    environment(tmp_path / "active" / "bin", "active")
    assert run(fleet, f"{tmp_path / 'bin'}:{SYSTEM}", str(tmp_path / "active")).stdout == "active a\n"


@pytest.mark.parametrize("name", ["manager", "python3"])
def test_a_fleet_without_an_environment_says_what_to_run(tmp_path: Path, name: str) -> None:
    done = run(tmp_path / "fleet", name=name)
    assert (done.returncode, done.stdout) == (127, "")
    root = tmp_path / "fleet"
    assert done.stderr == (
        f"in-env: tickfleet is installed neither in an activated environment nor in {root}/.venv nor in PATH: no "
        f"{name}. Run make setup in {root}, or activate the environment that has it; then start supervisord anew\n"
    )
