"""What supervisord says about a process, in our words."""

from enum import Enum

from msgspec import Struct


class ProcessState(Enum):
    """supervisord's states (http://supervisord.org/subprocess.html#process-states)."""

    STOPPED = "STOPPED"
    STARTING = "STARTING"  # spawned less than startsecs ago
    RUNNING = "RUNNING"
    BACKOFF = "BACKOFF"  # ended before startsecs; on its way to FATAL, as our sections allow no retry
    STOPPING = "STOPPING"
    EXITED = "EXITED"
    FATAL = "FATAL"
    UNKNOWN = "UNKNOWN"


ALIVE = frozenset({ProcessState.STARTING, ProcessState.RUNNING})
STARTABLE = frozenset({ProcessState.STOPPED, ProcessState.EXITED, ProcessState.FATAL})


class Process(Struct, frozen=True, kw_only=True):
    """One supervised process.

    Attributes:
        pid: 0 while no process exists.
        started_s: supervisord's time of the last start, whole seconds since the epoch; 0 where it never started. Two
            runs never share it: supervisord is asked for at most one start per second.
        stopped_s: Its time of the last end of a run, as ``started_s``; 0 where none has ended.
        uptime_s: Seconds since that start while the process lives, else 0.
        exit_status: Exit code of the last run where supervisord keeps it (not for runs shorter than startsecs).
        ended: How the last finished run ended, see ``manager.supervisord.endings``; empty if that is not known.
    """

    program: str
    state: ProcessState
    pid: int = 0
    started_s: int = 0
    stopped_s: int = 0
    uptime_s: int = 0
    exit_status: int = 0
    ended: str = ""

    @property
    def alive(self) -> bool:
        """Whether it runs and nobody has told it to stop."""
        return self.state in ALIVE
