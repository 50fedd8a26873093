"""``make setup`` in a fresh checkout: the program itself, in a folder of the test's, without the installation."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent.parent
UP_TO_THE_INSTALLATION = """
import runpy, sys, venv
venv.create = lambda *_, **__: sys.exit(7)
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def setup(root: Path) -> subprocess.CompletedProcess[str]:
    """Run it up to where it would make the environment."""
    for name in ("deploy/bin/setup", "common/__init__.py", "common/place.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / name, root / name)
    for name in ("pyproject.toml", "constraints.txt"):
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
