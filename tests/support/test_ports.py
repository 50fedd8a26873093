import subprocess
import sys
from itertools import count
from types import SimpleNamespace

import pytest

from tests.support import ports
from tests.support.ports import Patience, free_port, wait_until
from tests.support.processes import ROOT

DRAWS_FROM = """
import sys
from itertools import count
from types import SimpleNamespace
from tests.support import ports
numbers = count(int(sys.argv[1]))
ports._RANDOM = SimpleNamespace(choice=lambda _: next(numbers))
print(ports.free_port())
"""


def drawn_elsewhere(first: int) -> int:
    """What another test run gets that happens to try these ports, one after the other."""
    command = [sys.executable, "-c", DRAWS_FROM, str(first)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_a_port_is_nobody_elses_while_its_server_is_away() -> None:
    ours = free_port()
    assert drawn_elsewhere(ours) > ours


def test_time_in_which_the_machine_was_busy_is_not_counted_as_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    passed_s, stalled_s = [100.0], [7.0]
    monkeypatch.setattr(ports, "time", SimpleNamespace(monotonic=lambda: passed_s[0]))
    monkeypatch.setattr(ports, "stalled_s", lambda: stalled_s[0])
    patience = Patience(10)
    over = []
    for passed, stalled in [(9, 0), (11, 0), (29, 20), (31, 20), (49, 1_000), (51, 1_000)]:
        passed_s[0], stalled_s[0] = 100.0 + passed, 7.0 + stalled
        over.append(patience.is_over)
    assert over == [False, True, False, True, False, True]  # and never longer than five times


def test_what_never_comes_ends_the_test() -> None:
    looks = count()
    with pytest.raises(AssertionError, match=r"^not within 0\.05 s: it comes$"):
        wait_until(lambda: next(looks) < 0, 0.05, "it comes")
    assert next(looks) > 1
