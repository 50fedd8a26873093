"""One look at the manager after the other, and what follows from it."""

import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from manager.watchdog import logs, signs, supervisord
from manager.watchdog.judge import WatchState, judge

HUNG_AFTER_S = 35.0
"""A round takes a second, or about twenty if Redis and supervisord delay every answer. A person who stops the manager
for half a minute, for example with a debugger, finds it unchanged.
"""


class Guard:
    """Looks at the manager, and kills it once its loop hangs.

    Times in seconds; ``var`` holds supervisord's socket and ``run/``.
    """

    def __init__(
        self,
        var: Path,
        program: str,
        hung_after_s: float,
        monotonic_s: Callable[[], float] = time.monotonic,
        reopen_logs: Callable[[], None] = supervisord.reopen_logs,
    ) -> None:
        self._var, self._program, self._hung_after_s = var, program, hung_after_s
        self._reopen_logs = reopen_logs
        self._misplaced, self._reopened = list[str](), list[str]()
        self._monotonic_s = monotonic_s
        self._socket = var / "supervisor.sock"
        self._seen: WatchState | None = None
        self._trouble = ""

    def check(self) -> None:
        """Check once; a manager that hangs is killed."""
        self._keep_logs()
        try:
            pid = supervisord.pid_of(self._socket, self._program)
        except supervisord.NoAnswerError as error:
            self._tell_once(str(error))
            return
        self._trouble = ""
        sign = signs.read(signs.alive_file(self._var))
        verdict = judge(self._seen, self._monotonic_s(), sign, pid, self._hung_after_s)
        self._seen = verdict.seen
        if verdict.silent_s is not None:
            self._revive(signs.Revival(pid, round(verdict.silent_s)))

    def _keep_logs(self) -> None:
        """Make the folder of logs if it is missing: without it supervisord starts nothing, not even the manager.

        supervisord is ordered to reopen its files only if the folder was there at the previous look. Otherwise somebody
        may still be removing it, and supervisord ends if it cannot open the files.
        """
        folder = self._var / "log"
        before, self._misplaced = self._misplaced, [logs.OWN]
        if not folder.is_dir():
            try:
                folder.mkdir(mode=0o700)
            except OSError as error:
                self._tell_once(f"{folder} is not there and cannot be made: {error.strerror}")
            else:
                _tell("logs_made_again", why=f"{folder} was not there")
            return
        self._misplaced = logs.misplaced(os.getppid(), folder)
        if not self._misplaced:
            if self._reopened:  # told only now: until then our log, too, is one that nobody can read
                _tell("logs_opened_anew", why=f"they were not in {folder} any more: {', '.join(self._reopened)}")
            self._reopened = []
        elif before and not (self._reopened == self._misplaced == [logs.OWN]):  # its settings may have that elsewhere
            self._reopened = self._misplaced
            self._reopen_logs()

    def _revive(self, revival: signs.Revival) -> None:
        try:
            if supervisord.pid_of(self._socket, self._program) != revival.pid:
                return  # another one by now
            supervisord.kill(self._socket, self._program)
        except supervisord.NoAnswerError as error:
            _tell("manager_kill_failed", why=str(error), **revival._asdict())
            return
        _tell("manager_killed", why=f"its loop stood still for {revival.silent_s} s", **revival._asdict())
        with suppress(OSError):  # the line above says it too
            signs.leave(signs.revival_file(self._var), revival)

    def _tell_once(self, trouble: str) -> None:
        if trouble != self._trouble:
            _tell("supervisord_lost", why=trouble)
        self._trouble = trouble


def _tell(event: str, **facts: object) -> None:
    """A line for the log; standard output belongs to supervisord's protocol."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    sys.stderr.write(json.dumps({"event": event, **facts, "process": "watchdog", "timestamp": now}) + "\n")
    sys.stderr.flush()
