"""Pure: the supervisord section of a collector.

Plain formatting is not enough, as supervisord interprets values: it expands ``%`` (twice in a log file's name), reads a
comment after `` ;`` and `` #``, and allows no quote in an environment value.
"""

import hashlib
import shlex
import sys
from pathlib import Path

import msgspec
from msgspec import Struct

from common.config.collector import ExchangeCollectorConfig
from common.config.environment import Environment
from tickfleet.contract.identity import CollectorId
from tickfleet.errors import EXIT_BAD_CONFIGURATION, EXIT_OK, InvalidConfigurationError
from tickfleet.redis.config import RedisConfig

START_S = 5
"""``startsecs``: with 1 supervisord may call a program RUNNING that dies at once (measured)."""

STOP_S = 8
"""``stopwaitsecs``: the worker has this time to flush to Redis; then supervisord sends KILL."""

LOG_BYTES = "10MB"
LOG_BACKUPS = 3
_FORBIDDEN = ("\n", "\r", "%(", " ;", " #", "\t;", "\t#")
_QUOTES = ('"', "'")


class Launch(Struct, frozen=True, kw_only=True):
    """What all sections have in common.

    Attributes:
        command: The worker's program with its first arguments.
        applied: Folder of the workers' configurations, one file each.
        redis_id: Digest of the Redis settings: when they change, every collector has to be restarted.
    """

    command: tuple[str, ...]
    applied: Path
    root: Path
    logs: Path
    redis_id: str


def launch_from(environment: Environment, redis: RedisConfig) -> Launch:
    """The settings of this installation: the worker is started by the Python that runs the manager."""
    script = Path(sys.executable).parent / "collector-worker"
    module = (sys.executable, "-P", "-m", "collector_worker")
    facts = msgspec.json.encode([redis.url, msgspec.to_builtins(redis.maxlen)], order="sorted")
    return Launch(
        command=(str(script),) if script.is_file() else module,
        # Spelt the same however the manager was started, else another spelling would restart the fleet.
        applied=environment.applied.resolve(),
        root=environment.root.resolve(),
        logs=environment.logs.resolve(),
        redis_id=hashlib.sha256(facts).hexdigest()[:12],
    )


def render(config: ExchangeCollectorConfig, launch: Launch) -> str:
    """The section of one collector, as a file of its own.

    Raises:
        InvalidConfigurationError: A path contains text that supervisord cannot read back.
    """
    program = config.id.program
    settings_file = str(launch.applied / worker_file_name(config.id))
    environment = {
        "TICKFLEET_ROOT": str(launch.root),
        "TICKFLEET_COLLECTOR": str(config.id),  # so that it can say in Redis why its file is of no use
        # These two are for supervisord, too: what has changed in the worker's file has to change its section.
        "TICKFLEET_CONFIG_ID": config.fingerprint(),
        "TICKFLEET_REDIS_ID": launch.redis_id,
        "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1",
    }
    log = launch.logs / f"{program}.log"
    for text in (*launch.command, settings_file, str(log)):
        _refuse_unreadable(text, _FORBIDDEN)
    _refuse_unreadable(str(launch.root), _FORBIDDEN + _QUOTES)
    settings = {
        "command": _escape(shlex.join((*launch.command, "--config", settings_file))),
        "environment": ",".join(f'{name}="{_escape(value)}"' for name, value in environment.items()),
        "autostart": "false",  # the manager starts them, a few at a time
        "autorestart": "unexpected" if config.auto_restart else "false",
        "exitcodes": f"{EXIT_OK},{EXIT_BAD_CONFIGURATION}",
        "startsecs": str(START_S),
        # An exit before startsecs is retried whatever its code, bad configuration too, and linearly. So a quick exit
        # is final for supervisord; the manager, which knows why it happened, does the retrying.
        "startretries": "0",
        "umask": "077",  # supervisord's own has no effect where it stays in the foreground
        "stopsignal": "TERM",
        "stopwaitsecs": str(STOP_S),
        "killasgroup": "true",
        "redirect_stderr": "true",
        "stdout_logfile": _escape(_escape(str(log))),
        "stdout_logfile_maxbytes": LOG_BYTES,
        "stdout_logfile_backups": str(LOG_BACKUPS),
    }
    lines = (f"{name}={value}" for name, value in settings.items())
    return "\n".join(("; written by the manager: changes are lost", f"[program:{program}]", *lines, ""))


def worker_file_name(collector: CollectorId) -> str:
    """Name of the file that holds a worker's configuration."""
    return f"{collector.program}.json"


def _escape(text: str) -> str:
    return text.replace("%", "%%")


def _refuse_unreadable(path: str, forbidden: tuple[str, ...]) -> None:
    found = next((part for part in forbidden if part in path), None)
    if found is not None:
        raise InvalidConfigurationError(f"the path {path!r} holds {found!r}, which supervisord's files cannot hold")
