"""What people copy from README and ``docs/`` works as it is there: types, programs, commands."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from manager.cli.app import app
from tests.support.documents import Fence, documents, fences, is_program, spans
from tests.support.node_packages import folder_with
from tests.support.ports import SLOW_POLL_S, wait_until
from tests.support.processes import BIN, ROOT, Process, SimulatorProcess, start_worker
from tests.support.redis_cli import path_with_redis_cli
from tests.support.redis_server import RedisServer
from tests.support.stream_writer import BTC
from tickfleet.contract import keys
from tickfleet.contract.identity import DataType

WITHIN_S = 40.0
PROGRAMS = [fence for fence in fences("python", "js", "sh") if is_program(fence)]
FOLLOWED = ("docs/deploy.md", "docs/tutorial.md")
"""Their blocks are followed as wholes by ``test_deploy.py`` and ``test_tutorial.py``."""

TYPED = [fence for fence in fences("sh") if not is_program(fence) and fence.document not in FOLLOWED]
COMMANDS = [command for fence in TYPED for command in fence.commands()]
ENTRY_ID = re.compile(r"\b[0-9]{13}-[0-9]+\b")
_LINE = re.compile(r"^(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?(manager-cli .*)$", re.MULTILINE)


def test_there_is_something_to_look_at() -> None:
    found = {(fence.document, fence.language) for fence in PROGRAMS}
    assert found >= {("README.md", "python"), *(("docs/reading.md", language) for language in ("python", "js", "sh"))}
    assert {command[0] for command in COMMANDS} >= {"make", "pip", "redis-cli", ".venv/bin/manager-cli"}


def test_every_python_program_passes_a_strict_type_checker(tmp_path: Path) -> None:
    files = [tmp_path / fence.name for fence in PROGRAMS if fence.language == "python"]
    for fence, file in zip((one for one in PROGRAMS if one.language == "python"), files, strict=True):
        file.write_text(fence.text, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", *map(str, files)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"Success: no issues found in {len(files)} source files\n")


# --- programs beside a collector that reconnects, is killed and comes back --------------------------------------------


class Feed:
    """A collector of a simulated exchange, with a Redis of its own."""

    def __init__(self, folder: Path, redis: RedisServer) -> None:
        self.redis = redis
        self._folder = folder
        self._simulator = SimulatorProcess("--seed", "11", "--trades-per-s", "20")
        self._fleet = folder / "fleet.toml"
        collector = '[[collectors]]\nexchange = "okx"\nsymbol = "BTC-USDT"\n'
        self._fleet.write_text(self._simulator.endpoints + collector, encoding="utf-8")
        self.env = {
            "TICKFLEET_ROOT": str(folder),
            "TICKFLEET_FLEET": str(self._fleet),
            "TICKFLEET_REDIS_URL": redis.url,
            "PYTHONUNBUFFERED": "1",
        }
        self._runs = list[Process]()

    def start(self) -> None:
        """Start a run, and wait for what it publishes live."""
        before, log = self.newest(), self._folder / f"worker-{len(self._runs)}.log"
        self._runs.append(start_worker("okx", "BTC-USDT", self._fleet, log, **self.env))
        wait_until(lambda: all(map(str.__ne__, self.newest(), before)), WITHIN_S, "it publishes", SLOW_POLL_S)

    def reconnect(self) -> None:
        """Cut its connections, and wait until it says that it is back."""
        said = self._said("connected")
        self._simulator.get("/sim/do/drop")
        wait_until(lambda: self._said("connected") > said, WITHIN_S, "it is connected again", SLOW_POLL_S)

    def kill(self) -> None:
        """SIGKILL the run."""
        self._runs[-1].signal(9)
        self._runs[-1].wait(10)
        self.redis.client.delete(keys.heartbeat(BTC))  # as its life does ten seconds later

    def newest(self) -> list[str]:
        """The last ids of trades and book."""
        rows = [self.redis.client.xrevrange(_key(kind), count=1) for kind in (DataType.TRADE, DataType.ORDERBOOK)]
        return [row[0][0] if row else "" for row in rows]

    def _said(self, state: str) -> int:
        rows = self.redis.client.xrange(_key(DataType.TRADE))
        return sum(fields.get("state") == state for _, fields in rows)

    def stop(self) -> None:
        """End all."""
        for run in self._runs:
            run.stop()
        self._simulator.stop()


def _key(data_type: DataType) -> str:
    return keys.stream(BTC, data_type)


@pytest.fixture
def feed(tmp_path: Path, own_redis: RedisServer) -> Iterator[Feed]:
    feed = Feed(tmp_path, own_redis)
    yield feed
    feed.stop()


@pytest.fixture
def started(tmp_path: Path, feed: Feed) -> Iterator[dict[str, Process]]:
    """The programs by name, as far as their languages are here; they end with the test."""
    running: dict[str, Process] = {}
    feed.start()
    for fence in PROGRAMS:
        if command := _command(fence, tmp_path):
            place, log = tmp_path / f"{fence.name}.position", tmp_path / f"{fence.name}.log"
            path = path_with_redis_cli(tmp_path, os.environ["PATH"])
            running[fence.name] = Process([*command, str(BTC), str(place)], log, {**feed.env, "PATH": path})
    yield running
    for process in running.values():
        process.stop()


def _command(fence: Fence, folder: Path) -> list[str]:
    """How it is run, as the text says; empty where its language is not on this machine."""
    if fence.language == "js":
        packages = json.loads((ROOT / "docs" / "snippets" / "package.json").read_text(encoding="utf-8"))
        try:
            folder = folder_with(packages["dependencies"])
        except pytest.skip.Exception:
            return []
    file = folder / fence.name
    file.write_text(fence.text, encoding="utf-8")
    return [{"python": sys.executable, "js": "node", "sh": "sh"}[fence.language], str(file)]


@pytest.mark.system
def test_every_program_goes_on_through_a_reconnect_and_a_killed_collector(
    feed: Feed, started: dict[str, Process]
) -> None:
    assert len(started) >= sum(fence.language in ("python", "sh") for fence in PROGRAMS)

    def ids(name: str) -> list[str]:
        """The entries that a program has told of: their ids, or the trades' own where it has nothing else."""
        said = started[name].text()
        if not has_trades_only(name):
            return ENTRY_ID.findall(said)
        rows = feed.redis.client.xrange(_key(DataType.TRADE))
        known = {fields["trade_id"]: entry_id for entry_id, fields in rows if fields["type"] == "trade"}
        return [known[number] for number in re.findall(r"\d+", said) if number in known]

    def all_read_on() -> None:
        """Each prints something of what is there now, or of what comes after it."""
        now = min(feed.newest(), key=_order)
        for name, process in started.items():
            what = f"{name} reads on:\n{process.text()[-2000:]}"
            wait_until(lambda name=name: any(_order(one) > _order(now) for one in ids(name)), WITHIN_S, what)  # type: ignore[misc]
            assert process.exit_code is None

    all_read_on()
    feed.reconnect()
    all_read_on()
    feed.kill()
    feed.start()
    all_read_on()
    feed.stop()
    rows = feed.redis.client.xrange(_key(DataType.TRADE))
    for name in (name for name in started if not is_of_books(name)):
        stream = [entry_id for entry_id, fields in rows if fields["type"] == "trade" or not has_trades_only(name)]
        wait_until(lambda name=name, last=stream[-1]: last in ids(name), WITHIN_S, f"{name} reads to the end")  # type: ignore[misc]
        read = ids(name)
        assert read == stream[stream.index(read[0]) :], name
    for name in filter(is_of_books, started):
        assert "feed disconnected" in started[name].text(), name
    assert not any("Traceback" in process.text() for process in started.values())


def is_of_books(name: str) -> bool:
    return "orderbook" in _source(name) or "LiveBook" in _source(name)


def has_trades_only(name: str) -> bool:
    """Whether a program loops over ``trades(...)``, which hands out trades without the entries they stand in."""
    return "in trades(" in _source(name)


def _source(name: str) -> str:
    return next(fence.text for fence in PROGRAMS if fence.name == name)


def _order(entry_id: str) -> tuple[int, ...]:
    return tuple(map(int, entry_id.split("-"))) if entry_id else ()


# --- commands to type -------------------------------------------------------------------------------------------------


@pytest.mark.system
def test_every_command_of_redis_cli_finds_what_it_is_for(feed: Feed) -> None:
    """By the words after ``redis-cli``, which are Redis' own: so they are tried where there is no such program."""
    feed.start()
    tried = [
        _redis_command(command[1:], feed)
        for command in COMMANDS
        if command[0] == "redis-cli" and "app:v1" not in str(command)
    ]
    assert len(tried) >= 5
    for command in tried:
        answer: Any = feed.redis.client.execute_command(*command)
        assert answer, command


@pytest.mark.system
def test_every_command_of_manager_cli_shows_what_it_is_for(feed: Feed, tmp_path: Path) -> None:
    """Those to type as they are; who follows what comes is ordered to end once something has come."""
    feed.start()
    feed.redis.client.xadd("app:v1:{okx:BTC-USDT}:bars:1m", {"type": "bar"})
    for number, command in enumerate(command for command in COMMANDS if command[0].endswith("manager-cli")):
        process = Process([str(BIN / "manager-cli"), *command[1:]], tmp_path / f"{number}.log", feed.env)
        shown = "trade_id" if {"tail", "XREVRANGE"} & set(command) else "okx:BTC-USDT"
        shown = "bar" if "app:v1" in str(command) else shown
        try:
            wait_until(lambda: shown in process.text(), WITHIN_S, f"{command} shows {shown}", SLOW_POLL_S)  # noqa: B023
            process.signal(signal.SIGINT)
        finally:
            process.stop()
        assert "Traceback" not in process.text()


def test_who_names_redis_cli_says_where_it_comes_from_or_what_does_without() -> None:
    for document, text in documents().items():
        assert "redis-cli" not in text or "redis-tools" in text or "manager-cli redis" in text, document
    typed = [(document, text) for document, text in spans("redis-cli") if document != "docs/reading.md"]
    assert [each for each in typed if each[1] != "redis-cli" and "SENTINEL" not in each[1]] == []  # it is no Redis


def _redis_command(command: list[str], feed: Feed) -> list[str]:
    """The command behind the options of redis-cli."""
    if command[0] == "--scan":
        return ["KEYS", command[command.index("--pattern") + 1]]
    return command


def _make() -> set[str]:
    typed = {fence_line for fence in fences("sh") for fence_line in re.findall("^make .*$", fence.text, re.MULTILINE)}
    return typed | {text for _, text in spans("make")}


@pytest.mark.parametrize("command", sorted(_make()))
def test_every_make_command_has_a_target(command: str) -> None:
    arguments = shlex.split(command, comments=True)
    done = subprocess.run(["make", "-n", *arguments[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_is_to_be_installed_from_here_is_the_library() -> None:
    places = {command[2] for command in COMMANDS if command[:2] == ["pip", "install"]}
    assert places == {"./tickfleet"}
    project = tomllib.loads((ROOT / "tickfleet" / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == "tickfleet"
    named = {extra for _, text in spans("pip") for extra in re.findall(r"tickfleet\[(\w+)\]", text)}
    assert named <= {*project["optional-dependencies"]}


def _manager_cli() -> list[tuple[str, str]]:
    typed = [(fence.document, line) for fence in fences("sh", "text") for line in _LINE.findall(fence.text)]
    return typed + spans("manager-cli")


def test_every_command_of_manager_cli_exists_with_its_options() -> None:
    known = {command.name: command for command in typer.main.get_group(app).commands.values()}
    wrong = []
    for document, text in _manager_cli():
        command = text.replace("[", " ").replace("]", " ").split()[1:]
        for name in command[0].split("|") if command else []:
            if name == "redis":  # what follows is Redis' own
                break
            options = {option for one in known[name].params for option in one.opts} if name in known else set()
            given = {word for word in command if re.fullmatch("--?[a-z-]+", word) and word != "--"}
            if name not in known or given - options - {"--fleet"}:
                wrong.append((document, text))
    assert wrong == []


def test_paths_of_programs_are_those_that_setup_makes() -> None:
    named = {word for command in COMMANDS for word in command if word.startswith(".venv/bin/")}
    assert [name for name in sorted(named) if not (BIN / Path(name).name).is_file()] == []
