"""The programs of ``docs/snippets`` do what ``docs/reading.md`` says, each in its own language."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.market_items import START_NS
from tests.support.node_packages import folder_with
from tests.support.ports import wait_until
from tests.support.processes import ROOT, Process
from tests.support.redis_cli import path_with_redis_cli
from tests.support.redis_server import RedisServer
from tests.support.stream_writer import (
    BTC,
    BTC_BOOK,
    BTC_TRADES,
    beat,
    delta,
    snapshot,
    trade,
    write,
    write_beat,
    write_book_hash,
    write_trades,
)
from tickfleet.contract import keys
from tickfleet.contract.codec import encode
from tickfleet.contract.events import FeedState, FeedStatus, Gap

SNIPPETS = ROOT / "docs" / "snippets"
WITHIN_S = 20
LOST = Gap(ts_event=START_NS, ts_recv=START_NS, reason="not_available", from_id="2", to_id="4")
STALE = FeedStatus(ts_event=START_NS, ts_recv=START_NS, state=FeedState.STALE, reason="checksum")


def _python(name: str) -> list[str]:
    return [sys.executable, str(SNIPPETS / f"{name}.py")]


def _node(name: str) -> list[str]:
    """Node.js looks for packages beside the program, so it runs from a copy."""
    folder = folder_with(json.loads((SNIPPETS / "package.json").read_text(encoding="utf-8"))["dependencies"])
    return ["node", str(shutil.copy(SNIPPETS / f"{name}.mjs", folder))]


def _shell(name: str) -> list[str]:
    return ["sh", str(SNIPPETS / f"{name}.sh")]


WAYS: dict[str, Callable[[str], list[str]]] = {"python": _python, "node": _node, "shell": _shell}


class Reader:
    """Runs of one program, one after the other."""

    def __init__(self, command: list[str], folder: Path, server: RedisServer) -> None:
        self._command = command
        self._folder = folder
        self._server = server
        self._runs: list[Process] = []

    def start(self, *arguments: str) -> None:
        """Start it for okx:BTC-USDT."""
        log = self._folder / f"{len(self._runs)}.log"
        command = [*self._command, str(BTC), *arguments]
        env = {"TICKFLEET_REDIS_URL": self._server.url, "PATH": path_with_redis_cli(self._folder, os.environ["PATH"])}
        self._runs.append(Process(command, log, env))

    def says(self, *lines: str) -> None:
        """Wait until the present run has written just these lines."""
        wanted, log = list(lines), self._runs[-1]
        wait_until(lambda: len(log.text().splitlines()) >= len(wanted), WITHIN_S, f"{wanted}")
        assert log.text().splitlines() == wanted

    def waits(self) -> None:
        """Wait until it waits for entries."""
        wait_until(lambda: self._blocked() == 1, WITHIN_S, "it waits for entries")

    def stop(self) -> None:
        """End the present run, with what it has started itself."""
        if self._runs:
            self._runs[-1].stop()
            self._server.client.client_kill_filter(_type="normal", skipme=True)
            wait_until(lambda: self._blocked() == 0, WITHIN_S, "it is gone")

    def _blocked(self) -> int:
        """How many clients of the server wait for entries."""
        return int(self._server.client.info("clients")["blocked_clients"])


@pytest.fixture
def way(request: pytest.FixtureRequest) -> str:
    """The language; given by the test."""
    return str(request.param)


@pytest.fixture
def reader(way: str, request: pytest.FixtureRequest, tmp_path: Path, own_redis: RedisServer) -> Iterator[Reader]:
    """The program of the test's name in that language."""
    program = "trades" if "trades" in request.node.name else "book"
    reader = Reader(WAYS[way](program), tmp_path, own_redis)
    yield reader
    reader.stop()


def said(way: str, fields: dict[str, Any]) -> str:
    """A line of a program; the shell's has no names in it."""
    if way == "node":
        return json.dumps(fields, separators=(",", ":"))
    if way == "python":
        return json.dumps(fields)
    values = [part for value in fields.values() for part in (value.values() if isinstance(value, dict) else [value])]
    return " ".join(values)


def trade_line(way: str, number: int) -> str:
    return said(way, {"id": f"1000-{number}", "side": "buy", "size": "0.5", "price": "42219.9"})


@pytest.mark.parametrize("way", WAYS, indirect=True)
def test_trades_are_followed_and_the_place_is_kept(
    way: str, reader: Reader, tmp_path: Path, own_redis: RedisServer
) -> None:
    client, place = own_redis.client, tmp_path / "place"
    write_trades(client, 1, 2)
    reader.start(str(place))
    reader.waits()
    write(client, BTC_TRADES, "1000-3", LOST)
    client.xadd(BTC_TRADES.key, {"type": "of a later version", "name": "x"}, "1000-4")
    write_trades(client, 5, 5)
    write(client, BTC_TRADES, "1000-6", STALE)
    gap = {"from_id": "2", "to_id": "4"}
    missing: dict[str, Any] = {"id": "1000-3", "missing": gap, "reason": "not_available"}
    if way == "shell":
        missing = {"id": "1000-3", "what": "missing", **gap, "reason": "not_available"}
    feed: dict[str, Any] = {"id": "1000-6", "feed": "stale", "reason": "checksum"}
    if way == "shell":
        feed = {"id": "1000-6", "what": "feed", "state": "stale", "reason": "checksum"}
    reader.says(said(way, missing), trade_line(way, 5), said(way, feed))
    wait_until(lambda: place.read_text(encoding="utf-8").strip() == "1000-6", WITHIN_S, "the place is saved")
    reader.stop()

    write_trades(client, 7, 8)
    reader.start(str(place))
    reader.says(trade_line(way, 7), trade_line(way, 8))
    wait_until(lambda: place.read_text(encoding="utf-8").strip() == "1000-8", WITHIN_S, "the place is saved")
    reader.stop()
    if way == "shell":
        return

    write_trades(client, 9, 10)
    client.xtrim(BTC_TRADES.key, maxlen=1, approximate=False)
    reader.start(str(place))
    reader.says(said(way, {"missed_behind": "1000-8"}), trade_line(way, 10))


@pytest.mark.parametrize("way", ["python", "node"], indirect=True)
def test_a_book_is_joined_and_followed(way: str, reader: Reader, own_redis: RedisServer) -> None:
    client = own_redis.client

    def best(entry_id: str, seq: int) -> str:
        return said(way, {"id": entry_id, "bid": ["99", str(seq)], "ask": ["101", str(seq)]})

    def doubt_line(entry_id: str, reason: str) -> str:
        return said(way, {"id": entry_id, "doubt": reason})

    write_beat(client, beat())
    write(client, BTC_BOOK, "1-1", snapshot(1))
    write(client, BTC_BOOK, "2-1", delta(2, 1))
    write_book_hash(client, "2-1", snapshot(2))
    write(client, BTC_BOOK, "3-1", delta(3, 2))
    lines = [best("2-1", 2), best("3-1", 3)]
    reader.start()
    reader.says(*lines)

    write(client, BTC_BOOK, "4-1", delta(5, 4))
    write(client, BTC_BOOK, "5-1", delta(6, 5))
    write(client, BTC_BOOK, "6-1", snapshot(7))
    write(client, BTC_BOOK, "7-1", STALE)
    lines += [doubt_line("4-1", "sequence gap"), best("6-1", 7), doubt_line("7-1", "feed stale")]
    reader.says(*lines)

    write(client, BTC_BOOK, "8-1", delta(8, 7))
    write_book_hash(client, "8-1", snapshot(8))
    lines += [best("8-1", 8)]
    reader.says(*lines)

    client.delete(keys.heartbeat(BTC))
    lines += [doubt_line("8-1", "no heartbeat")]
    reader.says(*lines)


def test_the_projects_own_reader(tmp_path: Path, own_redis: RedisServer) -> None:
    write_trades(own_redis.client, 1, 2)
    process = Process(_python("subscriber"), tmp_path / "log", {"TICKFLEET_REDIS_URL": own_redis.url})
    try:
        wait_until(lambda: len(process.text().splitlines()) == 2, WITHIN_S, "it has read both")
    finally:
        process.stop()
    assert process.text().splitlines() == [f"okx:BTC-USDT 1000-{number} {trade(number)}" for number in (1, 2)]


def test_the_go_program_is_in_its_form() -> None:
    if shutil.which("gofmt") is None:
        pytest.skip("Go is not on this machine")
    done = subprocess.run(["gofmt", "-l", str(SNIPPETS / "trades.go")], capture_output=True, text=True, check=True)
    assert done.stdout == ""


def test_the_go_program_compiles(tmp_path: Path) -> None:
    """With what the machine has: nothing is downloaded."""
    if shutil.which("go") is None:
        pytest.skip("Go is not on this machine")
    shutil.copy(SNIPPETS / "trades.go", tmp_path)

    def go(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        local = {**os.environ, "GOFLAGS": "-mod=mod", "GOSUMDB": "off", "GOTOOLCHAIN": "local", **env}
        return subprocess.run(["go", *arguments], cwd=tmp_path, env=local, capture_output=True, text=True, check=False)

    modules = go("env", "GOMODCACHE").stdout.strip()
    go("mod", "init", "reader")
    if go("get", "github.com/redis/go-redis/v9", GOPROXY=f"file://{modules}/cache/download").returncode:
        pytest.skip("the module go-redis is not on this machine")
    done = go("vet", ".", GOPROXY="off")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_programs_take_the_fields_that_are_written() -> None:
    """Also of those programs that are not run here."""
    spans = Gap(ts_event=START_NS, ts_recv=START_NS, reason="", from_ts=1, to_ts=2)
    names = {str(name) for event in (trade(1), LOST, spans, STALE) for name in encode(event)[::2]}
    names -= {"ts_event", "ts_recv", "trade_id", "origin"}
    for program in ("trades.sh", "trades.py", "trades.mjs", "trades.go"):
        source = (SNIPPETS / program).read_text(encoding="utf-8")
        assert [name for name in sorted(names) if name not in source] == [], program
