"""``make setup`` in a fresh checkout: the program itself, in a folder of the test's, without the installation."""

import shutil
import subprocess
import sys
from pathlib import Path

SETUP = Path(__file__).resolve().parent.parent.parent / "deploy" / "bin" / "setup"
UP_TO_THE_INSTALLATION = """
import runpy, sys, venv
venv.create = lambda *_, **__: sys.exit(7)
runpy.run_path(sys.argv[1], run_name="__main__")
"""


def setup(root: Path) -> subprocess.CompletedProcess[str]:
    """Run it up to where it would make the environment."""
    (root / "deploy" / "bin").mkdir(parents=True, exist_ok=True)
    program = shutil.copy(SETUP, root / "deploy" / "bin" / "setup")
    for name in ("pyproject.toml", "constraints.txt"):
        (root / name).touch()
    command = [sys.executable, "-c", UP_TO_THE_INSTALLATION, str(program)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_a_checkout_that_its_group_may_change_gets_a_fleet_file_that_is_taken(tmp_path: Path) -> None:
    fleet = tmp_path / "deploy" / "fleet.toml"
    fleet.parent.mkdir()
    fleet.touch()
    fleet.chmod(0o664)

    assert setup(tmp_path).returncode == 7
    assert fleet.stat().st_mode & 0o777 == 0o644
