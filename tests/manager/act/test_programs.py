import configparser
import shlex
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from supervisor.options import ProcessConfig, ServerOptions, UnhosedConfigParser

from common.config.environment import Environment
from manager.act.programs import Launch, launch_from, render
from tests.manager.fakes import config
from tickfleet.errors import InvalidConfigurationError
from tickfleet.redis.config import MaxLen, RedisConfig

LAUNCH = Launch(
    command=("/opt/venv/bin/collector-worker",),
    applied=Path("/srv/fleet/var/applied"),
    root=Path("/srv/fleet"),
    logs=Path("/srv/fleet/var/log"),
    redis_id="0123456789ab",
)


def as_supervisord_reads(text: str, logs: Path) -> ProcessConfig:
    """The program as supervisord's own parser understands the section; the logs' folder has to exist."""
    logs.mkdir(parents=True, exist_ok=True)
    options = ServerOptions()
    options.here = "/nowhere"
    parser = UnhosedConfigParser()
    parser.read_string(text)
    parser.expand_here("/nowhere")
    (section,) = parser.sections()
    (program,) = options.processes_from_section(parser, section, section.partition(":")[2])
    return program


def test_the_section_whole() -> None:
    of = config()
    assert render(of, LAUNCH) == (
        "; written by the manager: changes are lost\n"
        "[program:collector-okx-BTC-USDT]\n"
        "command=/opt/venv/bin/collector-worker --config /srv/fleet/var/applied/collector-okx-BTC-USDT.json\n"
        'environment=TICKFLEET_ROOT="/srv/fleet",TICKFLEET_COLLECTOR="okx:BTC-USDT",'
        f'TICKFLEET_CONFIG_ID="{of.fingerprint()}",TICKFLEET_REDIS_ID="0123456789ab",PYTHONSAFEPATH="1",PYTHONUNBUFFERED="1"\n'
        "autostart=false\n"
        "autorestart=unexpected\n"
        "exitcodes=0,78\n"
        "startsecs=5\n"
        "startretries=0\n"
        "umask=077\n"
        "stopsignal=TERM\n"
        "stopwaitsecs=8\n"
        "killasgroup=true\n"
        "redirect_stderr=true\n"
        "stdout_logfile=/srv/fleet/var/log/collector-okx-BTC-USDT.log\n"
        "stdout_logfile_maxbytes=10MB\n"
        "stdout_logfile_backups=3\n"
    )


def test_a_changed_configuration_is_a_changed_section() -> None:
    assert render(config(), LAUNCH) != render(config(health_check_interval=31.0), LAUNCH)


def test_enabling_does_not_change_the_section() -> None:
    assert render(config(), LAUNCH) == render(config(enabled=False), LAUNCH)


def test_supervisord_restarts_nothing_that_must_not_be_restarted() -> None:
    text = render(config(auto_restart=False), LAUNCH)
    parser = configparser.RawConfigParser()
    parser.read_string(text)
    assert parser["program:collector-okx-BTC-USDT"]["autorestart"] == "false"


@given(st.text(st.sampled_from(string.ascii_letters + "%% ;#$\\,=()é-."), min_size=1, max_size=20))
def test_supervisord_reads_every_path_back_as_it_was(tmp_path_factory: Any, name: str) -> None:
    root = tmp_path_factory.mktemp("root") / f"x{name}x"
    paths = Launch(
        command=(str(root / "bin" / "worker"),), applied=root / "applied", root=root, logs=root / "log", redis_id="1"
    )
    try:
        text = render(config(), paths)
    except InvalidConfigurationError:
        assert any(part in name for part in (" ;", " #", "%("))
        return
    program = as_supervisord_reads(text, paths.logs)
    assert shlex.split(program.command) == [
        *paths.command, "--config", str(paths.applied / "collector-okx-BTC-USDT.json"),
    ]  # fmt: skip
    assert program.environment == {
        "TICKFLEET_ROOT": str(root),
        "TICKFLEET_COLLECTOR": "okx:BTC-USDT",
        "TICKFLEET_CONFIG_ID": config().fingerprint(),
        "TICKFLEET_REDIS_ID": "1",
        "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1",
    }
    assert program.stdout_logfile == str(paths.logs / "collector-okx-BTC-USDT.log")


@pytest.mark.parametrize("name", ['a"b', "a'b", "a\nb", "a%(here)sb", "a ;b", "a #b"])
def test_a_path_that_supervisord_cannot_read_is_refused(name: str) -> None:
    bad = Launch(command=("/w",), applied=Path("/a"), root=Path("/") / name, logs=Path("/l"), redis_id="1")
    with pytest.raises(InvalidConfigurationError, match="which supervisord's files cannot hold"):
        render(config(), bad)


def test_a_section_has_no_secret_and_the_redis_address_only_as_a_digest(tmp_path: Path) -> None:
    environment = Environment(root=tmp_path, fleet_path=tmp_path / "f.toml")
    secret = RedisConfig(url="redis://user@host.example/0", password="hunter2")  # noqa: S106 - made up
    text = render(config(), launch_from(environment, secret))
    assert "hunter2" not in text
    assert "host.example" not in text


def test_the_digest_of_redis_follows_what_a_worker_depends_on(tmp_path: Path) -> None:
    environment = Environment(root=tmp_path, fleet_path=tmp_path / "f.toml")

    def digest(redis: RedisConfig) -> str:
        return launch_from(environment, redis).redis_id

    plain = digest(RedisConfig())
    assert digest(RedisConfig(password="x")) == plain  # noqa: S106 - made up
    assert digest(RedisConfig(url="redis://127.0.0.1:7000/0")) != plain
    assert digest(RedisConfig(maxlen=MaxLen(trade=7))) != plain


def test_a_root_spelt_otherwise_gives_the_same_launch(tmp_path: Path) -> None:
    (tmp_path / "deploy").mkdir()
    plain = Environment(root=tmp_path, fleet_path=tmp_path / "f.toml")
    crooked = Environment(root=tmp_path / "deploy" / "..", fleet_path=tmp_path / "f.toml")
    assert launch_from(plain, RedisConfig()) == launch_from(crooked, RedisConfig())
