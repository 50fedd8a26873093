"""Begins the schedules of ``test_run`` when the whole run begins: mostly they wait, and other tests need not.

Where several workers share the run (pytest-xdist), only one of them will ask for the outcome, and the others have work
to do meanwhile: there the schedules begin when they are asked for.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.processes import ROOT

COMMAND = ("-m", "tests.soak", "--first-seed", "1", "--count", "2", "--duration", "10")
_RUN = Path(__file__).with_name("test_run.py")


class Schedules:
    """A soak in a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *COMMAND],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def outcome(self, timeout_s: float) -> tuple[int, str]:
        """Wait for the end; exit code and what was said."""
        text, _ = self._process.communicate(timeout=timeout_s)
        return self._process.returncode, text

    def end(self) -> None:
        """End it where nobody has waited for it, with all the processes that it has started."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGINT)
            self._process.communicate(timeout=60)


@cache
def begun() -> Schedules:
    """The one soak of this run."""
    return Schedules()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin where somebody will ask."""
    if session.config.option.collectonly or hasattr(session.config, "workerinput"):
        return
    if any(item.path == _RUN for item in session.items):
        begun()


@pytest.fixture(scope="session")
def schedules() -> Iterator[Schedules]:
    """Schedules of faults that have begun with the run."""
    running = begun()
    yield running
    running.end()


def pytest_sessionfinish() -> None:
    """Leave nothing behind, also when the run was ended early."""
    if begun.cache_info().currsize:
        begun().end()
