"""The environment variables, read in one place, and the folders derived from them."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from common.config.place import REMEDY, unfit
from tickfleet.contract.suggestions import of_known
from tickfleet.errors import InvalidConfigurationError
from tickfleet.redis.config import read_redis_environment

DEFAULT_METRICS_PORT = "9464"
"""What OpenTelemetry's exporters for Prometheus use too."""

_ON, _OFF = ("on", "1", "yes", "true"), ("off", "0", "no", "false")
_LEVELS = ("debug", "info", "warning", "error")
_CHECKOUT = Path(__file__).resolve().parents[2]


class Environment(Struct, frozen=True, kw_only=True):
    """What the environment says.

    Attributes:
        root: ``TICKFLEET_ROOT``: the folder that holds ``deploy/`` and ``var/``; else the current folder where it
            holds ``deploy/supervisord.conf``, else the checkout.
        fleet_path: ``TICKFLEET_FLEET``: the fleet file; else ``deploy/fleet.toml`` under the root.
        redis_url: ``TICKFLEET_REDIS_URL``: where Redis is; outranks the fleet file's address.
        redis_password: ``TICKFLEET_REDIS_PASSWORD``: the password of Redis; outranks that of the fleet file.
        log_level: ``TICKFLEET_LOG_LEVEL``: debug, info (default), warning (or warn) or error.
        fast_path: ``TICKFLEET_EXPRESS``: ``off``: collectors do not use their compiled part, if they have one.
        metrics_port: ``TICKFLEET_METRICS_PORT``: the loopback port of the manager's figures; ``0`` or ``off`` for none.
        alert_webhook: ``TICKFLEET_ALERT_WEBHOOK``: where alerts go. It is a secret, because whoever knows it can write
            there.
        alert_webhook_file: ``TICKFLEET_ALERT_WEBHOOK_FILE``: a file with that address, readable only by its owner.
        collector, config_id: ``TICKFLEET_COLLECTOR``, ``TICKFLEET_CONFIG_ID``: a worker's id and the fingerprint of its
            configuration, from the manager; available even if the worker cannot read its configuration.
    """

    root: Path
    fleet_path: Path
    redis_url: str | None = None
    redis_password: str | None = None
    log_level: str = "info"
    fast_path: bool = True
    metrics_port: str = DEFAULT_METRICS_PORT
    alert_webhook: str | None = None
    alert_webhook_file: Path | None = None
    collector: str = ""
    config_id: str = ""

    def at_fit_place(self) -> "Environment":
        """The same environment, after a check that the fleet can be started there.

        Raises:
            InvalidConfigurationError: It cannot; the message says where it could.
        """
        if trouble := unfit(self.root):
            raise InvalidConfigurationError(f"{trouble}: {REMEDY}")
        return self

    @property
    def var(self) -> Path:
        """The folder that a run writes to."""
        return self.root / "var"

    @property
    def supervisor_socket(self) -> Path:
        """The unix socket that supervisord listens on."""
        return self.var / "supervisor.sock"

    @property
    def programs(self) -> Path:
        """Folder of the rendered program sections that supervisord includes."""
        return self.var / "programs"

    @property
    def applied(self) -> Path:
        """Folder with the collectors' configurations that the manager has applied, one file each."""
        return self.var / "applied"

    @property
    def logs(self) -> Path:
        """Folder of the processes' log files."""
        return self.var / "log"

    def __repr__(self) -> str:
        return f"Environment(root={str(self.root)!r}, fleet_path={str(self.fleet_path)!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("root", str(self.root)), ("fleet_path", str(self.fleet_path))]


def read_environment(env: Mapping[str, str] = os.environ) -> Environment:
    """The settings of this process; an empty variable counts as not set.

    A relative path starts at the current folder; under supervisord this is the folder where supervisord was started.

    Raises:
        InvalidConfigurationError: A path is relative, and the current folder is gone; or a variable has an unknown
            value.
    """
    given = env.get("TICKFLEET_ROOT")
    root = from_here(given, "TICKFLEET_ROOT") if given else _default_root()
    root = Path(os.path.normpath(root))  # supervisord spells it deploy/.., which is longer than a socket's path may be
    fleet, webhook_file = env.get("TICKFLEET_FLEET"), env.get("TICKFLEET_ALERT_WEBHOOK_FILE")
    redis_url, redis_password = read_redis_environment(env)
    return Environment(
        root=root,
        fleet_path=from_here(fleet, "TICKFLEET_FLEET") if fleet else root / "deploy" / "fleet.toml",
        redis_url=redis_url,
        redis_password=redis_password,
        log_level=_one_of(env, "TICKFLEET_LOG_LEVEL", "info", _LEVELS, {"warn": "warning"}),
        fast_path=_one_of(env, "TICKFLEET_EXPRESS", "on", ("on", "off", *_ON[1:], *_OFF[1:])) in _ON,
        metrics_port=(env.get("TICKFLEET_METRICS_PORT") or DEFAULT_METRICS_PORT).lower(),
        alert_webhook=env.get("TICKFLEET_ALERT_WEBHOOK") or None,
        alert_webhook_file=from_here(webhook_file, "TICKFLEET_ALERT_WEBHOOK_FILE") if webhook_file else None,
        collector=env.get("TICKFLEET_COLLECTOR", ""),
        config_id=env.get("TICKFLEET_CONFIG_ID", ""),
    )


def _one_of(
    env: Mapping[str, str], name: str, default: str, known: Sequence[str], aliases: Mapping[str, str] | None = None
) -> str:
    """The value of a variable with fixed values, in lower case; ``aliases`` are other names for values."""
    value = (env.get(name) or default).strip().lower()
    value = (aliases or {}).get(value, value)
    if value not in known:
        raise InvalidConfigurationError(f"{name}={value!r} is not one of its values{of_known(value, known)}")
    return value


def from_here(path: str | Path, name: str) -> Path:
    """The absolute path of a path relative to the current folder.

    Raises:
        InvalidConfigurationError: It is relative, and the current folder is gone. ``name`` is its name in messages.
    """
    try:
        return Path(path).absolute()
    except OSError as error:
        raise InvalidConfigurationError(
            f"{name} is {str(path)!r}, and the current folder is gone: spell it in full, or go to another folder"
        ) from error


def _default_root() -> Path:
    """The deployment at the current folder, if this folder can be read."""
    try:
        here = Path.cwd()
    except OSError:
        return _CHECKOUT
    there = os.path.isfile(here / "deploy" / "supervisord.conf")  # of a folder that we may not read it says no
    return here if there else _CHECKOUT
