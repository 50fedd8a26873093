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


def setup(root: Path) -> subprocess.CompletedProcess[str]:
    """Run it up to where it would make the environment."""
    for name in STANDARD_LIBRARY_ONLY:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / name, root / name)
    for name in ("pyproject.toml", "tickfleet/pyproject.toml", "constraints.txt"):
        (root / name).touch()
    command = [sys.executable, "-c", UP_TO_THE_INSTALLATION, str(root / "deploy" / "bin" / "setup")]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_a_checkout_that_its_group_may_change_gets_a_fleet_file_that_is_taken(tmp_path: Path) -> None:
    fleet = tmp_path / "deploy" / "fleet.toml"
    fleet.parent.mkdir()
    fleet.touch()
    fleet.chmod(0o664)

    assert setup(tmp_path).returncode == 7
    assert fleet.stat().st_mode & 0o777 == 0o644


def test_what_a_later_pull_brings_is_closed_by_the_next_command_and_links_are_left_alone(tmp_path: Path) -> None:
    assert setup(tmp_path).returncode == 7
    digest = runpy.run_path(str(tmp_path / "deploy" / "bin" / "setup"))["digest"]()
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "installed.sha256").write_text(digest, encoding="ascii")
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
    done = setup(tmp_path / name)
    assert (done.returncode, done.stderr) == (
        2,
        f"setup: the folder {str(tmp_path / name)!r} holds {sign}, which supervisord's settings cannot express:"
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
