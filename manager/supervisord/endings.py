"""How processes ended: by which signal, with which exit code, however short they ran.

supervisord's interface does not tell the signal, nor the exit code of a run shorter than ``startsecs``; its log does
(``supervisor.process.Subprocess.finish``). It is read only where a process has ended since the last look.
"""

import re
from collections.abc import Callable, Mapping

from msgspec.structs import replace

from manager.model.processes import Process
from tickfleet.errors import FleetError

_BEGAN = "supervisord started with pid"
"""The log before this line is about processes of an earlier supervisord."""

_ENDED = re.compile(
    r"(?:exited|stopped): ([^\s()]+) \((?:terminated by (SIG[A-Z0-9]{1,10}|signal [0-9]{1,3})|exit status ([0-9]{1,5}))"
)


def read_endings(log: str) -> dict[str, str]:
    """The last ending of each program: ``killed by SIGKILL``, or ``exit code 1``."""
    found = _ENDED.finditer(log[max(0, log.rfind(_BEGAN)) :])
    return {each[1]: f"killed by {each[2]}" if each[2] else f"exit code {each[3]}" for each in found}


class Endings:
    """Reads from supervisord's log how each run ended."""

    def __init__(self) -> None:
        self._runs: dict[str, tuple[int, bool]] | None = None
        self._known: Mapping[str, str] = {}

    def told(self, processes: Mapping[str, Process], log: Callable[[], str]) -> dict[str, Process]:
        """The processes with how the last run of each ended. ``log`` reads the end of supervisord's log."""
        runs = {name: (process.started_s, process.alive) for name, process in processes.items()}
        if runs != self._runs:
            try:
                self._known = {**self._known, **read_endings(log())}
                self._runs = runs
            except FleetError:  # it may have no log: then it is not known, and asked again
                pass
        return {name: replace(process, ended=self._known.get(name, "")) for name, process in processes.items()}
