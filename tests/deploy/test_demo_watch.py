"""The demo on a terminal: it must not go on where there is nothing to show any more."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from deploy.demo import interrupt, stop, watch

WAITING = "import signal, sys; signal.signal(signal.SIGINT, lambda *_: sys.exit(7)); print(); sys.stdout.flush(); "


@contextmanager
def child(code: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()  # it is ready
            yield process
        finally:
            process.kill()


def test_a_supervisord_that_ended_ends_the_watching(capsys: pytest.CaptureFixture[str]) -> None:
    with child(WAITING + "signal.pause()") as status, child("raise SystemExit(3)") as fleet:
        fleet.wait()
        watch(status, fleet, float("inf"))
        assert (status.returncode, stop(fleet)) == (7, False)
    assert capsys.readouterr().err == "demo: supervisord has ended by itself with code 3; its log says why\n"


def test_the_time_is_over() -> None:
    with child(WAITING + "signal.pause()") as status, child(WAITING + "signal.pause()") as fleet:
        watch(status, fleet, time.monotonic())
        assert (status.returncode, fleet.poll()) == (7, None)


def test_a_status_that_swallows_the_first_signal_is_ended_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.demo.ENDS_WITHIN_S", 0.05)
    deaf = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); print(flush=True); signal.pause()"
    with child(deaf) as status, child(WAITING + "signal.pause()") as fleet:
        watch(status, fleet, time.monotonic())
        assert status.returncode == -signal.SIGTERM


def test_who_leaves_the_status_leaves_the_demo() -> None:
    with child("raise SystemExit(0)") as status, child(WAITING + "signal.pause()") as fleet:
        status.wait()
        watch(status, fleet, float("inf"))
        assert fleet.poll() is None


def test_a_demo_that_is_told_to_end_ends_the_status(monkeypatch: pytest.MonkeyPatch) -> None:
    with child(WAITING + "signal.pause()") as status, child(WAITING + "signal.pause()") as fleet:
        monkeypatch.setattr(fleet, "poll", lambda: interrupt(signal.SIGTERM, None))
        with pytest.raises(KeyboardInterrupt):
            watch(status, fleet, float("inf"))
        monkeypatch.undo()
        assert status.returncode == 7
