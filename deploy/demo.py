"""The demo: an embedded Redis, a simulated exchange and a fleet on it, all on this machine, with live status.

Lives in a deployment of its own under ``var/demo-PORT``, so that it touches nothing of a real fleet and several can
run side by side. Everything it started is gone when it ends.
"""

import argparse
import fcntl
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, NoReturn

from common.config.place import unfit
from common.process.parent_death import die_with_parent
from tickfleet.errors import FleetError
from tickfleet.redis.url import read_address, split_secret

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parent
BIN = Path(sys.executable).parent
DEPLOYED = ("supervisord.conf", "redis.conf", "redis_server.py", "with_parent.py", "bin")
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 40.0
PLAIN_EVERY_S = 5.0
USUAL_PORT = 6379
ENDS_WITHIN_S = 2.0
LOOK_EVERY_S = 0.5

SIMULATOR = """\
[program:simulator]
command="{python}" "{with_parent}" "{python}" -m tests.simulator --port {port}
environment=PYTHONPATH="{checkout}",PYTHONSAFEPATH=""
priority=5
umask=077
startsecs=1
redirect_stderr=true
stdout_logfile={log}
"""


class DemoError(Exception):
    """The demo cannot start; the message says why and what to do."""


def main() -> int:
    """Run the demo; 0 where it ended as it should, 1 where not all were healthy, 2 where it could not start."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="ports: TICKFLEET_REDIS_PORT (6379, else the next free one), TICKFLEET_SIM_PORT and "
        "TICKFLEET_METRICS_PORT (any free one, or off)",
    )
    parser.add_argument("--seconds", type=float, help="end by itself after this time; exit 0 only if all were healthy")
    arguments = parser.parse_args()
    os.umask(0o077)
    try:
        redis_port = wanted_port("TICKFLEET_REDIS_PORT", redis_url_port() or 0) or next_redis_port()
        sim_port = wanted_port("TICKFLEET_SIM_PORT", 0) or any_port()
        without = os.environ.get("TICKFLEET_METRICS_PORT", "").lower() in ("off", "0")
        metrics_port = 0 if without else wanted_port("TICKFLEET_METRICS_PORT", 0) or any_port()
        root = prepare(redis_port, sim_port)
    except DemoError as error:
        sys.stderr.write(f"demo: {error}\n")
        return 2
    hints = ways_to_look(root, redis_port, metrics_port)
    sys.stdout.write("".join(f"demo: {line}\n" for line in hints))
    sys.stdout.flush()
    code = run(root, redis_port, metrics_port, arguments.seconds, hints)
    sys.stdout.write("".join(f"demo: {line}\n" for line in what_next(root, redis_port)))
    return code


def what_next(root: Path, redis_port: int) -> list[str]:
    """What to do after the demo, when none of its processes runs any more."""
    place, command = shlex.quote(os.path.relpath(root)), shlex.quote(os.path.relpath(BIN / "manager-cli"))
    url = f"TICKFLEET_REDIS_URL=redis://127.0.0.1:{redis_port}/0 "
    return [
        "ended; next, type make demo again and go through docs/tutorial.md in another terminal:",
        f"TICKFLEET_ROOT={place} {command} tail okx:BTC-USDT trade",
        f"to read it in Python, see README.md: {'' if redis_port == USUAL_PORT else url}python YOUR_PROGRAM.py",
    ]


def ways_to_look(root: Path, redis_port: int, metrics_port: int) -> list[str]:
    """What to type in another terminal of the same folder; programs that are there, by their paths."""
    place, command = shlex.quote(os.path.relpath(root)), shlex.quote(os.path.relpath(BIN / "manager-cli"))
    lines = [f"TICKFLEET_ROOT={place} {command} {arguments}" for arguments in ("tail okx:BTC-USDT trade", "status")]
    if client := shutil.which("redis-cli") or shutil.which("valkey-cli"):
        lines.append(f"{client} -p {redis_port} XREVRANGE 'md:v1:{{okx:BTC-USDT}}:trade' + - COUNT 3")
    return lines + [f"http://127.0.0.1:{metrics_port}/metrics"] * bool(metrics_port)


def redis_url_port() -> int | None:
    """The port of TICKFLEET_REDIS_URL, for those who set that and nothing else."""
    url = os.environ.get("TICKFLEET_REDIS_URL")
    if not url:
        return None
    try:
        address = read_address(split_secret(url, "TICKFLEET_REDIS_URL")[0])
    except FleetError as error:
        raise DemoError(str(error)) from error
    if not address.is_local or not address.hosts:
        raise DemoError("TICKFLEET_REDIS_URL is not a port of this machine, where the demo has a Redis of its own")
    ((_, port),) = address.hosts
    return port


def wanted_port(variable: str, otherwise: int) -> int:
    """The port that the environment asks for, claimed; 0 where it asks for none."""
    text = os.environ.get(variable) or str(otherwise)
    if not text.isdecimal() or int(text) > 65_535:
        raise DemoError(f"{variable} is {text!r}, not a port")
    port = int(text)
    if port and not claim(port):
        raise DemoError(f"port {port} is in use; name another: {variable}={port + 1} make demo")
    return port


def next_redis_port() -> int:
    """The usual port of Redis, or the next one that is free, so that the demo never writes into a Redis of yours."""
    found = next((port for port in range(USUAL_PORT, USUAL_PORT + 100) if claim(port)), None)
    if found is None:
        raise DemoError("no port is free from 6379 to 6478; name one: TICKFLEET_REDIS_PORT=... make demo")
    if found != USUAL_PORT:
        sys.stdout.write(f"demo: port 6379 is in use, so the demo's Redis listens on {found}\n")
    return found


def any_port() -> int:
    """A free port of the system's choice."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


_claims: list[IO[str]] = []


def claim(port: int) -> bool:
    """Take a free port for this process: two demos that start together must not take the same."""
    lock = open(Path(tempfile.gettempdir()) / f"tickfleet-demo-{os.getuid()}-{port}.lock", "w", encoding="ascii")  # noqa: SIM115 - held until exit
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        return False
    if not is_free(port):
        lock.close()
        return False
    _claims.append(lock)  # held until this process ends
    return True


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def prepare(redis_port: int, sim_port: int) -> Path:
    """A fresh deployment for this demo."""
    root = CHECKOUT / "var" / f"demo-{redis_port}"
    if unfit(root):
        root = Path(tempfile.gettempdir()) / f"tickfleet-demo-{os.getuid()}-{redis_port}"
    shutil.rmtree(root, ignore_errors=True)
    (root / "deploy").mkdir(parents=True, mode=0o700)
    for name in DEPLOYED:
        source = HERE / name
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, root / "deploy" / name)
    fleet = (HERE / "demo-fleet.toml").read_text(encoding="utf-8")
    fleet = fleet.replace("@SIM@", str(sim_port)).replace("@REDIS@", str(redis_port))
    (root / "deploy" / "fleet.toml").write_text(fleet, encoding="utf-8")
    for folder in ("log", "programs"):
        (root / "var" / folder).mkdir(parents=True)
    section = SIMULATOR.format(
        python=sys.executable,
        with_parent=root / "deploy" / "with_parent.py",
        port=sim_port,
        checkout=CHECKOUT,
        log=root / "var" / "log" / "simulator.log",
    )
    (root / "var" / "programs" / "simulator.conf").write_text(section.replace("%", "%%"), encoding="utf-8")
    return root


def run(root: Path, redis_port: int, metrics_port: int, seconds: float | None, hints: Sequence[str]) -> int:
    """Start the fleet, show it until Ctrl-C or for ``seconds``, stop it; 0 if all were healthy."""
    env = {
        **os.environ,
        "TICKFLEET_ROOT": str(root),
        "TICKFLEET_FLEET": str(root / "deploy" / "fleet.toml"),
        "TICKFLEET_REDIS_URL": f"redis://127.0.0.1:{redis_port}/0",
        "TICKFLEET_METRICS_PORT": str(metrics_port),
        "VIRTUAL_ENV": str(BIN.parent),
    }
    signal.signal(signal.SIGTERM, interrupt)
    command = [str(BIN / "supervisord"), "-n", "-s", "-c", str(root / "deploy" / "supervisord.conf")]
    fleet = subprocess.Popen(command, env=env, start_new_session=True, preexec_fn=die_with_parent)
    healthy = 1
    try:
        wait_for_redis(redis_port, fleet)
        show(env, fleet, seconds, hints)
        healthy = subprocess.run([BIN / "manager-cli", "status"], env=env, check=False).returncode
    except KeyboardInterrupt:
        healthy = 0
    finally:
        stopped = stop(fleet)
    return healthy if stopped else 1


def wait_for_redis(port: int, fleet: subprocess.Popen[bytes]) -> None:
    """Status has nothing to read before supervisord has started Redis; give up with supervisord, or after a while."""
    end_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end_s and is_free(port):
        try:
            fleet.wait(timeout=LOOK_EVERY_S)
        except subprocess.TimeoutExpired:
            continue
        return


def interrupt(_signum: int, _frame: object) -> NoReturn:
    """SIGTERM ends the demo as Ctrl-C does."""
    raise KeyboardInterrupt


def show(env: dict[str, str], fleet: subprocess.Popen[bytes], seconds: float | None, hints: Sequence[str]) -> None:
    """Live status on a terminal, else a table now and then, until the time is over or supervisord is.

    Live status takes the whole screen, so the hints go with it.
    """
    end_s = time.monotonic() + seconds if seconds is not None else float("inf")
    if sys.stdout.isatty():
        shown = [f"--hint={line}" for line in ("in another terminal:", *hints)]
        watch(subprocess.Popen([BIN / "manager-cli", "status", "--watch", *shown], env=env), fleet, end_s)
        return
    while (left_s := end_s - time.monotonic()) > 0 and fleet.poll() is None:
        try:
            fleet.wait(timeout=min(PLAIN_EVERY_S, left_s))
        except subprocess.TimeoutExpired:
            if left_s > PLAIN_EVERY_S:
                subprocess.run([BIN / "manager-cli", "status"], env=env, check=False)


def watch(status: subprocess.Popen[bytes], fleet: subprocess.Popen[bytes], end_s: float) -> None:
    """Leave the terminal to ``status`` until it ends, supervisord does, the time is over, or we are told to end."""
    try:
        while (left_s := end_s - time.monotonic()) > 0 and fleet.poll() is None:
            if ended(status, min(LOOK_EVERY_S, left_s)):
                return
    except KeyboardInterrupt:
        if ended(status, LOOK_EVERY_S):  # Ctrl-C reaches it, too; SIGTERM does not
            raise
        end(status)
        raise
    end(status)


def end(status: subprocess.Popen[bytes]) -> None:
    """Let the live view leave the screen as it found it; a signal that was swallowed is followed by a stronger one."""
    for sign in (signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        status.send_signal(sign)
        if ended(status, ENDS_WITHIN_S):
            return


def ended(process: subprocess.Popen[bytes], within_s: float) -> bool:
    """Whether a process ends within a time."""
    try:
        process.wait(timeout=within_s)
    except subprocess.TimeoutExpired:
        return False
    return True


def stop(fleet: subprocess.Popen[bytes]) -> bool:
    """Stop supervisord and everything else; returns whether it stopped in time and had not ended by itself."""
    if fleet.poll() is not None:
        sys.stderr.write(f"demo: supervisord has ended by itself with code {fleet.returncode}; its log says why\n")
        return False
    fleet.terminate()
    try:
        fleet.wait(timeout=STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        sys.stderr.write("demo: the fleet did not stop in time; killing it\n")
        os.killpg(fleet.pid, signal.SIGKILL)
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
