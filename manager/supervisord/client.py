"""The only place that talks to supervisord: XML-RPC over its unix socket, every answer within a time limit.

``SupervisorClient`` blocks and suits commands; ``manager.supervisord.async_client`` puts it off the event loop.
"""

import http.client
import socket
import xmlrpc.client
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path
from typing import Any, TypeVar
from xml.parsers.expat import ExpatError

from msgspec import Struct

from manager.model.processes import Process, ProcessState
from tickfleet.errors import FleetError, SupervisorUnreachableError

RPC_TIMEOUT_S = 5.0
"""supervisord answers in milliseconds; re-reading 300 sections takes it under a second."""

LOOK_TIMEOUT_S = 2.0
"""For the looks of the manager's loop, which has to go on without an answer."""

LOG_END_BYTES = 65_536
"""Of supervisord's log: some hundred endings."""

_T = TypeVar("_T")


class Fault(IntEnum):
    """The faults we tell apart. Numbers of ``supervisor.xmlrpc.Faults``, whose import would slow each command down."""

    SHUTDOWN_STATE = 6
    BAD_NAME = 10
    NO_FILE = 20
    NOT_EXECUTABLE = 21
    FAILED = 30
    ABNORMAL_TERMINATION = 40
    SPAWN_ERROR = 50
    ALREADY_STARTED = 60
    NOT_RUNNING = 70
    ALREADY_ADDED = 90
    STILL_RUNNING = 91
    CANT_REREAD = 92


_PHRASES = {
    Fault.BAD_NAME: "supervisord does not know the program",
    Fault.NO_FILE: "the program's file does not exist",
    Fault.NOT_EXECUTABLE: "the program's file cannot be executed",
    Fault.SPAWN_ERROR: "the process could not be created",
    Fault.STILL_RUNNING: "the process still runs",
    Fault.CANT_REREAD: "supervisord cannot use its configuration files (supervisorctl reread says why)",
}


class SupervisorRefusedError(FleetError):
    """supervisord answers, but refuses. ``fault`` is its number for the reason."""

    def __init__(self, fault: int) -> None:
        known = Fault(fault) if fault in Fault.__members__.values() else None
        super().__init__(_PHRASES.get(known, f"supervisord refused with fault {fault}") if known else f"fault {fault}")
        self.fault = fault


class SupervisorEndingError(SupervisorUnreachableError):
    """supervisord is shutting down and carries nothing out any more."""


class Reread(Struct, frozen=True, kw_only=True):
    """How supervisord's configuration files differ from what it runs: names of process groups."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        connecting = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connecting.settimeout(self.timeout)
            connecting.connect(str(self._path))
        except BaseException:
            connecting.close()
            raise
        self.sock = connecting


class _UnixTransport(xmlrpc.client.Transport):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__()
        self._path, self._timeout_s = path, timeout_s

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        """A new connection to the socket; the host of the URL means nothing here."""
        connection = _UnixConnection(self._path, self._timeout_s)
        self._connection = host, connection  # where the base class looks for what it has to close
        return connection

    def request(self, host: Any, handler: str, request_body: Any, verbose: bool = False) -> Any:
        """One attempt: the base class tries twice, which may carry a signal out twice."""
        return self.single_request(host, handler, request_body, verbose)


class SupervisorClient:
    """Calls to one supervisord. Each call has its own connection, so calls from several threads do not meet.

    Every method raises SupervisorUnreachableError if no answer comes, and SupervisorRefusedError if supervisord
    refuses.
    """

    def __init__(self, path: Path, timeout_s: float = RPC_TIMEOUT_S) -> None:
        self._path, self._timeout_s = path, timeout_s

    def within(self, timeout_s: float) -> "SupervisorClient":
        """A client of the same supervisord with another time limit."""
        return SupervisorClient(self._path, timeout_s)

    def processes(self) -> dict[str, Process]:
        """All processes by program name.

        Our groups have one program each: a process whose name differs from its group's is not ours.
        """
        rows = self._call(lambda api: api.getAllProcessInfo())
        return {row["name"]: _process(row) for row in rows if row["name"] == row["group"]}

    def about(self) -> tuple[str, int]:
        """Version and process id of supervisord."""
        return self._call(lambda api: str(api.getSupervisorVersion())), self._call(lambda api: int(api.getPID()))

    def log_end(self) -> str:
        """The end of supervisord's own log."""
        return self._call(lambda api: str(api.readLog(-LOG_END_BYTES, 0)))

    def start_limits(self) -> dict[str, int]:
        """``startsecs`` of each program."""
        rows = self._call(lambda api: api.getAllConfigInfo())
        return {row["name"]: int(row["startsecs"]) for row in rows}

    def process(self, program: str) -> Process:
        """One process."""
        return _process(self._call(lambda api: api.getProcessInfo(program)))

    def start(self, program: str) -> None:
        """Start a process and do not wait for it; one that already runs is fine."""
        self._call(lambda api: api.startProcess(program, False), fine=Fault.ALREADY_STARTED)

    def begin_stop(self, program: str) -> None:
        """Have a process stopped (TERM, after ``stopwaitsecs`` KILL); one that does not run is fine."""
        self._call(lambda api: api.stopProcess(program, False), fine=Fault.NOT_RUNNING)

    def kill(self, program: str, pid: int) -> None:
        """Kill the process if it is still the one meant; supervisord starts another, as a signal is unexpected."""
        if self.process(program).pid == pid:
            self._call(lambda api: api.signalProcess(program, "KILL"), fine=Fault.NOT_RUNNING)

    def reread(self) -> Reread:
        """Have the configuration files read again; nothing is started or stopped by that."""
        ((added, changed, removed),) = self._call(lambda api: api.reloadConfig())
        return Reread(added=tuple(added), changed=tuple(changed), removed=tuple(removed))

    def add(self, program: str) -> None:
        """Take up the group of a program as it was last read; one that is there already is fine."""
        self._call(lambda api: api.addProcessGroup(program), fine=Fault.ALREADY_ADDED)

    def remove(self, program: str) -> None:
        """Give up the group of a program, whose process must have stopped; one that is not there is fine."""
        self._call(lambda api: api.removeProcessGroup(program), fine=Fault.BAD_NAME)

    def _call(self, method: Callable[[Any], _T], fine: Fault | None = None) -> _T:
        transport = _UnixTransport(self._path, self._timeout_s)
        try:
            with xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=transport) as server:
                return method(server.supervisor)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == fine:
                return None  # type: ignore[return-value]  # only calls without a result name a fault that is fine
            if fault.faultCode == Fault.SHUTDOWN_STATE:
                raise SupervisorEndingError("supervisord is shutting down") from fault
            raise SupervisorRefusedError(fault.faultCode) from fault
        except PermissionError as error:
            raise SupervisorUnreachableError(
                f"supervisord's socket {self._path} may not be used by this user (run this as the user it belongs to)"
            ) from error
        except TimeoutError as error:
            raise SupervisorUnreachableError(
                f"supervisord at {self._path} gave no answer within {self._timeout_s:g} s"
            ) from error
        except OSError as error:
            raise SupervisorUnreachableError(f"supervisord does not answer at {self._path}") from error
        except (http.client.HTTPException, xmlrpc.client.Error, ExpatError, KeyError, ValueError, TypeError) as error:
            raise SupervisorUnreachableError(f"what answers at {self._path} is not supervisord") from error


def _process(row: dict[str, Any]) -> Process:
    state = ProcessState(row["statename"])
    started_s = int(row["start"])
    return Process(
        program=row["name"],
        state=state,
        pid=int(row["pid"]),
        started_s=started_s,
        stopped_s=int(row["stop"]),
        uptime_s=max(0, int(row["now"]) - started_s) if row["pid"] else 0,
        exit_status=int(row["exitstatus"]),
    )
