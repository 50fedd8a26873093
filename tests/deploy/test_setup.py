"""``make setup`` in a fresh checkout: the program itself, in a folder of the test's, without the installation."""

import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent.parent
STANDARD_LIBRARY_ONLY = (
    "deploy/bin/setup",
    *("common/__init__.py", "common/config/__init__.py", "common/config/place.py"),
    *("tickfleet/__init__.py", "tickfleet/_util/__init__.py", "tickfleet/_util/unix_socket.py"),
)
UP_TO_THE_INSTALLATION = """
import runpy, sys, venv
venv.create = lambda *_, **__: sys.exit(7)
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""

WITH_A_PIP_THAT_WRITES_DOWN_WHAT_IT_IS_TOLD = """
import runpy, sys, venv
from pathlib import Path
def create(path, **_):
    python = Path(path) / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\\necho "$@" >> ' + str(Path(path).parent / "told") + '\\n')
    python.chmod(0o700)
venv.create = create
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
PROJECT = """
[project.optional-dependencies]
embedded = ["server>=1"]
dev = ["checker>=2", "runner"]
"""


def setup(root: Path) -> subprocess.CompletedProcess[str]:
    """Run it up to where it would make the environment."""
    return run(UP_TO_THE_INSTALLATION, root)


def run(program: str, root: Path, *extras: str) -> subprocess.CompletedProcess[str]:
    """Run it in a folder as a checkout, where ``program`` says what of its environment is another."""
    for name in STANDARD_LIBRARY_ONLY:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / name, root / name)
    for name in ("pyproject.toml", "tickfleet/pyproject.toml", "constraints.txt"):
        (root / name).touch()
    command = [sys.executable, "-c", program, str(root / "deploy" / "bin" / "setup"), *extras]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def set_up(root: Path, *extras: str) -> tuple[int, list[str], list[str]]:
    """Exit code, what was said, and what the folder's pip was told since the last time."""
    told = root / "told"
    told.unlink(missing_ok=True)
    (root / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    done = run(WITH_A_PIP_THAT_WRITES_DOWN_WHAT_IT_IS_TOLD, root, *extras)
    pip = f"-m pip --disable-pip-version-check install -qq -c {root}/constraints.txt "
    lines = told.read_text(encoding="utf-8").splitlines() if told.is_file() else []
    return done.returncode, done.stderr.splitlines(), [line.removeprefix(pip) for line in lines]


def test_what_a_fleet_needs_is_installed_without_tools_and_in_few_lines(tmp_path: Path) -> None:
    code, said, told = set_up(tmp_path)
    assert (code, told) == (0, [f"-e {tmp_path}/tickfleet -e {tmp_path} server>=1"])
    assert said[:2] == ["setup: making .venv", "setup: installing the fleet, embedded"]
    assert said[-1].startswith("setup: ready after ")
    assert len(said) <= 6  # three of them say that nothing was compiled
    assert set_up(tmp_path) == (0, [], [])


def test_tools_come_to_an_environment_that_is_there_and_stay_in_it(tmp_path: Path) -> None:
    set_up(tmp_path)
    code, said, told = set_up(tmp_path, "dev")
    assert (code, said[0], told) == (0, "setup: installing dev", ["checker>=2 runner"])
    assert set_up(tmp_path) == set_up(tmp_path, "dev") == (0, [], [])

    (tmp_path / "tickfleet" / "pyproject.toml").write_text("# a later version", encoding="utf-8")
    assert set_up(tmp_path)[2] == [f"-e {tmp_path}/tickfleet -e {tmp_path} checker>=2 runner server>=1"]


def test_an_installation_that_failed_is_tried_again(tmp_path: Path) -> None:
    set_up(tmp_path)
    python = tmp_path / ".venv" / "bin" / "python"
    works = python.read_text(encoding="utf-8")
    python.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    code, said, _ = set_up(tmp_path, "dev")
    assert (code, said[-1]) == (1, "setup: the installation failed, see above")
    python.write_text(works, encoding="utf-8")
    code, _, told = set_up(tmp_path)
    assert (code, len(told)) == (0, 1)
    assert set_up(tmp_path) == (0, [], [])


def test_in_a_folder_that_is_gone_pip_works_in_the_checkout(tmp_path: Path) -> None:
    root, gone = tmp_path, tmp_path / "gone"  # a longer path might be refused
    set_up(root)
    (root / ".venv" / "installed.sha256").unlink()
    pip = root / ".venv" / "bin" / "python"
    pip.write_text('#!/bin/sh\n[ "$(pwd -P)" = "$(cd "$(dirname "$0")/../.." && pwd -P)" ]\n', encoding="utf-8")
    gone.mkdir()
    program = 'cd "$1" && rmdir "$1" && exec "$2" "$3"'
    paths = [str(gone), sys.executable, str(root / "deploy" / "bin" / "setup")]
    command = ["sh", "-c", program, "sh", *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr.splitlines()[-1].partition(" after ")[0]) == (0, "setup: ready")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--check-place"], 0, ""),
        (["devv"], 2, "setup: pyproject.toml has no extra 'devv' (known: dev, embedded)\n"),
    ],
)
def test_what_installs_nothing(tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    (tmp_path / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    done = run(UP_TO_THE_INSTALLATION, tmp_path, *arguments)
    assert (done.returncode, done.stderr, (tmp_path / "var").exists()) == (code, said, False)


def test_its_help_installs_nothing(tmp_path: Path) -> None:
    done = run(UP_TO_THE_INSTALLATION, tmp_path, "--help")
    assert (done.returncode, done.stderr, (tmp_path / "var").exists()) == (0, "", False)
    assert done.stdout.startswith("usage: setup [-h] [--check-place] [EXTRA ...]\n")


def test_setup_removes_group_write_permission_from_the_fleet_file(tmp_path: Path) -> None:
    fleet = tmp_path / "deploy" / "fleet.toml"
    fleet.parent.mkdir()
    fleet.touch()
    fleet.chmod(0o664)

    assert setup(tmp_path).returncode == 7
    assert fleet.stat().st_mode & 0o777 == 0o644


def test_a_later_setup_closes_new_files_to_the_group_but_follows_no_link(tmp_path: Path) -> None:
    assert setup(tmp_path).returncode == 7
    digest = runpy.run_path(str(tmp_path / "deploy" / "bin" / "setup"))["digest"]()
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "installed.sha256").write_text(f"{digest} embedded", encoding="ascii")
    fleet, outside = tmp_path / "deploy" / "fleet.toml", tmp_path / "outside"
    for path in (fleet, outside):
        path.touch()
        path.chmod(0o664)
    (tmp_path / "deploy" / "linked.toml").symlink_to(outside)
    (tmp_path / "deploy" / "local.toml").symlink_to("/nonexistent/fleet.toml")

    done = setup(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert [path.stat().st_mode & 0o777 for path in (fleet, outside)] == [0o644, 0o664]


def test_what_cannot_be_closed_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "var").touch()
    done = setup(tmp_path)
    assert (done.returncode, done.stderr) == (
        2,
        f"setup: {tmp_path}/var: File exists: let the owner of the checkout run this, or make all of it yours\n",
    )


@pytest.mark.parametrize(("name", "sign"), [("100% ours", "'%'"), ("mum's", '"\'"')])
def test_a_folder_that_supervisord_cannot_name(name: str, sign: str, tmp_path: Path) -> None:
    for done in (setup(tmp_path / name), run(UP_TO_THE_INSTALLATION, tmp_path / name, "--check-place")):
        assert (done.returncode, done.stderr) == (
            2,
            f"setup: the folder {str(tmp_path / name)!r} holds {sign}, which supervisord's settings cannot hold:"
            " move the whole folder to a short path without % and quotes, and run make setup there\n",
        )
    assert not (tmp_path / name / "var").exists()


def test_a_folder_that_is_too_deep_for_a_unix_socket(tmp_path: Path) -> None:
    root = tmp_path / ("x" * (118 - len(str(tmp_path)) - 1))
    done = setup(root)
    assert (done.returncode, done.stderr) == (
        2,
        f"setup: the folder '{root}' is too deep: the path of a unix socket has at most 107 bytes, and supervisord's"
        " would have 146: move the whole folder to a short path without % and quotes, and run make setup there\n",
    )
