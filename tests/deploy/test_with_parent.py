"""A program that must not outlive its supervisord."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.ports import wait_until
from tests.support.processes import ROOT

PARENT = """\
import subprocess, sys
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
child.wait()
"""
CHILD = "import signal; print('ready', flush=True); signal.pause()"


@pytest.mark.system
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the signal of a parent's death")
def test_it_ends_when_its_parent_is_killed() -> None:
    wrapper = str(ROOT / "deploy" / "with_parent.py")
    command = [sys.executable, "-c", PARENT, sys.executable, wrapper, sys.executable, "-c", CHILD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        try:
            parent.kill()
            parent.wait()
            wait_until(lambda: has_ended(child), 10, "the child has ended")
        finally:
            if not has_ended(child):
                os.kill(child, signal.SIGKILL)


def has_ended(pid: int) -> bool:
    """Whether it is gone, or waits for whoever inherited it."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"
