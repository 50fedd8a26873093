import signal
import subprocess
import sys

import pytest

from common.process.parent_death import under_supervisord
from tests.support.processes import ROOT

CHILD = """
import signal, sys
from common.process.parent_death import die_with_parent

def last_words(*_):
    print("told", flush=True)
    sys.exit()

signal.signal(signal.SIGTERM, last_words)
signal.alarm(10)  # where it is not told, it ends without a word
die_with_parent()
print("ready", flush=True)
signal.pause()
"""
PARENT = """
import subprocess, sys

subprocess.Popen([sys.executable, "-c", sys.argv[1]])
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's death")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=lambda how: signal.Signals(how).name)
def test_the_death_of_the_parent_is_told_to_its_child(how: signal.Signals) -> None:
    command = [sys.executable, "-c", PARENT, CHILD]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        parent.send_signal(how)
        assert parent.stdout.read() == "told\n"  # the child holds the pipe open until it ends


@pytest.mark.parametrize(("value", "expected"), [("1", True), ("0", False), ("", False), (None, False)])
def test_supervisord_tells_its_children_that_it_is_there(
    value: str | None, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SUPERVISOR_ENABLED", raising=False)
    if value is not None:
        monkeypatch.setenv("SUPERVISOR_ENABLED", value)

    assert under_supervisord() is expected
