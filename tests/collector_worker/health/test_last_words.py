"""A run that cannot begin says why where the manager looks for it."""

import asyncio
import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from structlog.testing import capture_logs

from collector_worker import __main__ as entry
from collector_worker.exchanges import ExchangeFactory
from collector_worker.health.last_words import REDIS_WAIT_S, leave
from common.config.collector import ExchangeCollectorConfig
from common.config.environment import Environment
from common.config.fleet_file import load_fleet
from common.config.taken_file import write_taken
from common.config.worker_file import encode, worker_file
from common.process.machine import machine_id
from manager.act.programs import START_S
from tests.support.ports import free_port
from tests.support.processes import BIN
from tests.support.redis_server import RedisServer
from tests.support.waiting import PATIENCE_S
from tickfleet.contract.health import Heartbeat, WorkerState, read_heartbeat
from tickfleet.errors import InvalidConfigurationError
from tickfleet.version import VERSION

KEY = "md:v1:{okx:BTC-USDT}:heartbeat"
MEND = "(manager-cli apply writes it anew; then start the collector)"


@pytest.fixture
def applied(tmp_path: Path, redis_server: RedisServer) -> Environment:
    """A deployment whose manager has applied a fleet of one collector."""
    context = Environment(
        root=tmp_path, fleet_path=tmp_path / "fleet.toml", collector="okx:BTC-USDT", config_id="0123456789ab"
    )
    context.fleet_path.write_text(
        f'[redis]\nurl = "{redis_server.url}"\n[[collectors]]\nexchange = "okx"\nsymbol = "BTC-USDT"\n'
    )
    fleet = load_fleet(context.fleet_path, context)
    write_taken(fleet, context)
    file_of(context).write_text(encode(worker_file(fleet.collectors[0], fleet.redis, context)))
    return context


def file_of(context: Environment) -> Path:
    return context.applied / "collector-okx-BTC-USDT.json"


def edited(change: Callable[[dict[str, object]], object]) -> Callable[[Path], None]:
    """A file whose collector is another one, as after an upgrade that knows less, or more."""

    def edit(file: Path) -> None:
        content = msgspec.json.decode(file.read_bytes())
        change(content["collector"])
        file.write_bytes(msgspec.json.encode(content))

    return edit


def start(context: Environment) -> subprocess.CompletedProcess[str]:
    """Run the worker as supervisord does, to its end."""
    env = {**os.environ, **told(context)}
    return subprocess.run(command(context), env=env, capture_output=True, text=True, check=False, timeout=PATIENCE_S)


def told(context: Environment) -> dict[str, str]:
    """What its section in supervisord's settings gives to it."""
    return {
        "SUPERVISOR_ENABLED": "1",
        "TICKFLEET_ROOT": str(context.root),
        "TICKFLEET_FLEET": str(context.fleet_path),
        "TICKFLEET_COLLECTOR": context.collector,
        "TICKFLEET_CONFIG_ID": context.config_id,
    }


def command(context: Environment) -> list[str]:
    return [str(BIN / "collector-worker"), "--config", str(file_of(context))]


@pytest.fixture
def here(
    applied: Environment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[], tuple[int, str]]:
    """Does what ``start`` does in this process, which costs far less; the exit code, and what it wrote to stderr."""
    for name, value in told(applied).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(entry, "die_with_parent", lambda: None)
    monkeypatch.setattr(entry, "configure_logging", lambda *_, **__: None)

    def run() -> tuple[int, str]:
        with capture_logs():
            code = entry.main(command(applied)[1:])
        return code, capsys.readouterr().err

    return run


def said(redis: RedisServer) -> Heartbeat:
    """The heartbeat, without what differs from run to run."""
    beat = read_heartbeat(redis.client.hgetall(KEY))
    assert beat is not None
    assert (beat.pid > 0, len(beat.run_id), beat.started_at == beat.beat_at) == (True, 12, True)
    assert 0 < time.time_ns() - beat.beat_at < 60 * 10**9
    assert 86_000 < redis.client.ttl(KEY) <= 86_400
    return msgspec.structs.replace(beat, pid=0, run_id="", started_at=0, beat_at=0)


def last_words(why: str) -> Heartbeat:
    return Heartbeat(
        collector="okx:BTC-USDT",
        pid=0,
        host=socket.gethostname(),
        machine=machine_id(),
        run_id="",
        config_id="0123456789ab",
        version=VERSION,
        started_at=0,
        beats=1,
        state=WorkerState.ERROR,
        last_error=why,
        exit_code=78,
    )


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda file: file.write_text("{"), f"not a configuration as the manager writes it {MEND}"),
        (lambda file: (file.unlink(), file.mkdir()), f"the file cannot be read {MEND}"),
        (edited(lambda of: of.pop("data_types")), f"not a configuration as the manager writes it {MEND}"),
        (
            edited(lambda of: of.update(custom_params={"trade_chanel": "trades"})),
            "custom_params: OKX has no parameter 'trade_chanel'; did you mean 'trade_channel'?",
        ),
        (
            edited(lambda of: of.update(exchange="okkx")),
            "exchange 'okkx' is not supported; did you mean 'okx'? (supported: binance, okx)",
        ),
        (
            edited(lambda of: of.update(symbol="btcusdt")),
            "symbol 'btcusdt' is not spelt BASE-QUOTE, BASE-QUOTE-PERP or BASE-QUOTE-YYMMDD in capitals;"
            " did you mean 'BTC-USDT'?",
        ),
    ],
)
def test_a_configuration_that_cannot_be_used_is_told_in_the_heartbeat(
    applied: Environment,
    redis_server: RedisServer,
    here: Callable[[], tuple[int, str]],
    spoil: Callable[[Path], None],
    why: str,
) -> None:
    spoil(file_of(applied))
    code, err = here()
    assert (code, err.count("\n")) == (78, 1)
    found = said(redis_server)
    assert found.last_error.startswith(f"{file_of(applied)}: {why}")
    assert err == f"collector-worker: {found.last_error}\n"
    assert found == last_words(found.last_error)


def test_a_process_of_supervisord_s_tells_it(applied: Environment, redis_server: RedisServer) -> None:
    file_of(applied).write_text("{")
    done = start(applied)
    found = said(redis_server)
    assert (done.returncode, done.stderr) == (78, f"collector-worker: {found.last_error}\n")
    assert found == last_words(f"{file_of(applied)}: not a configuration as the manager writes it {MEND}")


def test_nothing_but_the_fleet_file_is_left(
    applied: Environment, redis_server: RedisServer, here: Callable[[], tuple[int, str]]
) -> None:
    for file in applied.applied.iterdir():
        file.unlink()
    file_of(applied).write_text("{")
    assert here()[0] == 78
    assert said(redis_server) == last_words(f"{file_of(applied)}: not a configuration as the manager writes it {MEND}")


def test_a_file_that_is_not_there_will_be_again_and_is_no_refusal(
    applied: Environment, redis_server: RedisServer, here: Callable[[], tuple[int, str]]
) -> None:
    file_of(applied).unlink()
    assert here()[0] == 1
    assert not redis_server.client.exists(KEY)


def test_an_exchange_s_half_that_cannot_be_built(
    redis_server: RedisServer, here: Callable[[], tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_config: ExchangeCollectorConfig) -> None:
        raise InvalidConfigurationError("OKX trades no such product")

    monkeypatch.setattr(ExchangeFactory, "create_collector", refuse)
    assert here() == (78, "collector-worker: OKX trades no such product\n")
    assert said(redis_server) == last_words("OKX trades no such product")


def test_who_is_not_started_by_the_manager_says_it_to_the_terminal_alone(
    applied: Environment,
    redis_server: RedisServer,
    here: Callable[[], tuple[int, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file_of(applied).write_text("{")
    for name in ("SUPERVISOR_ENABLED", "TICKFLEET_COLLECTOR"):
        with monkeypatch.context() as changed:
            changed.setenv(name, "")
            assert here()[0] == 78
    assert redis_server.client.keys("*") == []


async def test_a_run_that_was_forgotten_does_not_speak_after_it(
    applied: Environment, redis_server: RedisServer
) -> None:
    redis_server.client.set("md:v1:{okx:BTC-USDT}:writer", 5)
    redis_server.client.hset(KEY, mapping={"state": "running", "progress": "of another run"})
    await leave(applied, InvalidConfigurationError("no"))
    assert int(redis_server.client.get("md:v1:{okx:BTC-USDT}:writer")) > 5
    assert said(redis_server) == last_words("no")


@pytest.mark.parametrize("known", [True, False])
async def test_without_redis_the_run_outlasts_the_start_time_of_supervisord(tmp_path: Path, known: bool) -> None:
    context = Environment(root=tmp_path, fleet_path=tmp_path / "fleet.toml", collector="okx:BTC-USDT")
    if known:
        context.fleet_path.write_text(f'[redis]\nurl = "redis://127.0.0.1:{free_port()}"\n')
    began_s = asyncio.get_running_loop().time()
    with capture_logs() as logs:
        await leave(context, InvalidConfigurationError("no"), wait_s=0.5)
    assert asyncio.get_running_loop().time() - began_s >= 0.5
    assert [(line["event"], line["why"]) for line in logs] == [
        ("last_words_lost", "Redis cannot be reached within 0.5 s")
    ]
    assert REDIS_WAIT_S > START_S
