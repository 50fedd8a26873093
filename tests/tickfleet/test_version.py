import subprocess
import sys
from pathlib import Path

import pytest

from tickfleet.version import VERSION


@pytest.mark.parametrize("program", ["manager-cli", "collector-worker", "manager"])
def test_each_program_tells_its_version(program: str) -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / program, "--version"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{program} {VERSION}\n", "")
