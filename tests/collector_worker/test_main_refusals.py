"""How ``collector-worker`` refuses to start: one clear line, an exit code that says what to do, no secret."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from collector_worker import __main__ as entry
from collector_worker.app import RunLimits, Worker
from collector_worker.settings import WorkerSettings
from tests.support.ports import free_port, wait_until
from tests.support.processes import BIN, SimulatorProcess
from tests.support.redis_server import RedisServer
from tests.support.waiting import PATIENCE_S
from tickfleet.contract.health import WorkerState, read_heartbeat

SECRET = "hunter2-and-more"  # noqa: S105 - made up


@pytest.fixture(scope="module")
def exchange() -> Iterator[SimulatorProcess]:
    process = SimulatorProcess("--instruments", "BTC-USDT", "--warmup-s", "1")
    yield process
    assert process.stop() == 0


@pytest.fixture
def fleet(tmp_path: Path, exchange: SimulatorProcess, redis_server: RedisServer) -> Path:
    return written(tmp_path, f'[redis]\nurl = "{redis_server.url}"\n{exchange.endpoints}')


def written(folder: Path, text: str) -> Path:
    path = folder / "fleet.toml"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [str(BIN / "collector-worker"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)


def for_symbol(symbol: str, fleet: Path) -> subprocess.CompletedProcess[str]:
    return run("--exchange", "okx", "--symbol", symbol, "--fleet", fleet)


Here = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str]) -> Iterator[Here]:
    """Does what ``for_symbol`` does, in this process: it costs far less."""

    def run(symbol: str, fleet: Path, exchange: str = "okx") -> subprocess.CompletedProcess[str]:
        code = entry.main(["--exchange", exchange, "--symbol", symbol, "--fleet", str(fleet)])
        return subprocess.CompletedProcess([], code, *capsys.readouterr())

    yield run
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def test_unknown_symbol_stays_readable_in_the_heartbeat(fleet: Path, redis_server: RedisServer) -> None:
    done = for_symbol("NOPE-USDT", fleet)
    assert (done.returncode, done.stderr) == (
        78,
        "collector-worker: OKX lists no instrument for symbol NOPE-USDT\n",
    )
    key = "md:v1:{okx:NOPE-USDT}:heartbeat"
    beat = read_heartbeat(redis_server.client.hgetall(key))
    assert beat is not None
    assert (beat.state, beat.exit_code) == (WorkerState.ERROR, 78)
    assert beat.last_error == "OKX lists no instrument for symbol NOPE-USDT"
    assert 86_000 < redis_server.client.ttl(key) <= 86_400
    assert redis_server.client.keys("*trade*") == []
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert (lines[-1]["event"], lines[-1]["exit_code"]) == ("collector_failed", 78)


@pytest.mark.parametrize(
    ("exchange_name", "symbol", "says"),
    [
        ("okkx", "BTC-USDT", "exchange 'okkx' is not supported; did you mean 'okx'? (supported: binance, okx)"),
        (
            "okx",
            "btcusdt",
            "symbol 'btcusdt' is not spelt BASE-QUOTE, BASE-QUOTE-PERP or BASE-QUOTE-YYMMDD in capitals;"
            " did you mean 'BTC-USDT'?",
        ),
    ],
)
def test_what_cannot_be_meant(here: Here, fleet: Path, exchange_name: str, symbol: str, says: str) -> None:
    done = here(symbol, fleet, exchange_name)
    assert done.returncode == 78
    assert done.stderr.startswith("collector-worker: ")
    assert done.stderr.endswith(f"{says}\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[redis]\nurll = 1\n", "redis: unknown key 'urll'; did you mean 'url'?"),
        ("[redis\n", "not valid TOML"),
        ("[defaults]\ndata_types = []\n", "data_types must name at least one data type"),
        (f'[redis]\nurl = "redis://:{SECRET}@127.0.0.1:port/0"\n', "redis.url"),
    ],
)
def test_a_fleet_file_that_cannot_be_used(here: Here, tmp_path: Path, text: str, says: str) -> None:
    path = written(tmp_path, text)
    done = here("BTC-USDT", path)
    assert done.returncode == 78
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert SECRET not in done.stderr + done.stdout
    if "data_types" not in text:
        assert str(path) in done.stderr


def test_no_fleet_file(tmp_path: Path) -> None:
    done = for_symbol("BTC-USDT", tmp_path / "none.toml")
    assert (done.returncode, done.stderr) == (
        78,
        f"collector-worker: {tmp_path}/none.toml: there is no such file\n",
    )


@pytest.mark.parametrize("arguments", [[], ["--exchange", "okx"], ["--exchange", "okx", "--symbol", "A-B", "--loud"]])
def test_wrong_usage(arguments: list[str]) -> None:
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: collector-worker ")
    assert done.stdout == ""


def test_help_explains_exit_codes() -> None:
    done = run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "78 the configuration cannot work" in done.stdout


# --- in this process, where waiting can be cut short ---------------------------------------------------------------


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def worker(settings: WorkerSettings) -> Worker:
        return Worker(settings, limits=RunLimits(redis_wait_s=0.0, flush_s=0.2))

    monkeypatch.setattr(entry, "Worker", worker)
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.mark.usefixtures("_impatient")
def test_no_redis(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    path = written(tmp_path, f'[redis]\nurl = "redis://:{SECRET}@127.0.0.1:{port}/0"\n')
    code = entry.main(["--exchange", "okx", "--symbol", "BTC-USDT", "--fleet", str(path)])
    written_text = capsys.readouterr()
    why = "it refuses the connection (ConnectionRefusedError, ECONNREFUSED)"
    assert (code, written_text.err) == (3, f"collector-worker: Redis at 127.0.0.1:{port} cannot be reached: {why}\n")
    assert SECRET not in written_text.out


@pytest.mark.usefixtures("_impatient")
def test_redis_that_wants_no_password(
    fleet: Path, redis_server: RedisServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TICKFLEET_REDIS_PASSWORD", SECRET)
    code = entry.main(["--exchange", "okx", "--symbol", "BTC-USDT", "--fleet", str(fleet)])
    written_text = capsys.readouterr()
    address = f"127.0.0.1:{redis_server.port}"
    assert (code, written_text.err) == (
        3,
        f"collector-worker: Redis at {address} asks for no password, and we have one for it\n",
    )
    assert SECRET not in written_text.out


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent has died")
def test_it_does_not_outlive_its_supervisord(fleet: Path, redis_server: RedisServer) -> None:
    """Else the next supervisord would start a second copy beside it."""
    command = [str(BIN / "collector-worker"), "--exchange", "okx", "--symbol", "BTC-USDT", "--fleet", str(fleet)]
    parent = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess; subprocess.call({command!r})"],
        env={**os.environ, "SUPERVISOR_ENABLED": "1"},
        stdout=subprocess.DEVNULL,
    )
    key = "md:v1:{okx:BTC-USDT}:heartbeat"
    try:
        wait_until(lambda: redis_server.client.hget(key, "state") == "running", 15, "the worker runs")
    finally:
        parent.kill()
        parent.wait(timeout=PATIENCE_S)
    try:
        wait_until(lambda: redis_server.client.hget(key, "state") == "stopped", 5, "it stops, everything published")
    except AssertionError:
        os.kill(int(redis_server.client.hget(key, "pid")), signal.SIGKILL)
        raise
