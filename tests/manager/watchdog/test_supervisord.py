"""The two calls, with a real supervisord."""

import os
from pathlib import Path

import pytest

from manager.watchdog.supervisord import NoAnswerError, kill, pid_of
from tests.manager.real import eventually, real_supervisord

pytestmark = pytest.mark.system


def test_a_program_is_found_killed_and_stopped(short_folder: Path) -> None:
    socket = short_folder / "var" / "supervisor.sock"
    with real_supervisord(short_folder) as client:
        pid = eventually(lambda: pid_of(socket, "bystander"))
        assert pid == client.process("bystander").pid
        kill(socket, "bystander")
        eventually(lambda: pid_of(socket, "bystander") == 0)
        assert not os.path.exists(f"/proc/{pid}")
        for call in (lambda: pid_of(socket, "nobody"), lambda: kill(socket, "bystander")):
            with pytest.raises(NoAnswerError, match="supervisord refuses"):
                call()
    with pytest.raises(NoAnswerError, match="supervisord does not answer"):
        pid_of(socket, "bystander")
