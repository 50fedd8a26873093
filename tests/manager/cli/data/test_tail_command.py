import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from manager.cli.data.viewing import output
from tests.manager.cli.redis_stage import RedisStage
from tests.manager.cli.stage import BTC, CliStage, nothing
from tests.manager.fakes import REDIS_AWAY
from tests.support.market_items import START_NS
from tests.support.stream_writer import (
    BTC_BOOK,
    BTC_TRADES,
    ETH_TRADES,
    beat,
    delta,
    snapshot,
    write,
    write_beat,
    write_book_hash,
    write_trades,
)
from tests.support.waiting import PATIENCE_S
from tickfleet.contract import keys
from tickfleet.contract.coverage import LedgerEntry, LedgerKind, encode
from tickfleet.contract.events import FeedState, FeedStatus, Gap
from tickfleet.contract.identity import DataType
from tickfleet.reading.selection import StreamName
from tickfleet.reading.subscriber import Subscriber

TIMES: dict[str, Any] = {"ts_event": START_NS, "ts_recv": START_NS}


def documents(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody looks."""
    monkeypatch.setattr("manager.cli.data.tail_command.is_terminal", lambda: True)


# --- data -------------------------------------------------------------------------------------------------------------


def test_all_that_there_is_as_json(streams: RedisStage) -> None:
    write_trades(streams.client, 1, 3)
    write(streams.client, BTC_TRADES, "2000-0", Gap(**TIMES, reason="too old", from_id="3"))
    result = streams.run("tail", "okx:BTC-USDT", "trade", "--since", "oldest", "--count", "4")
    assert (result.exit_code, result.stderr) == (0, "")
    found = documents(result.stdout)
    assert [(line["id"], line["type"]) for line in found] == [
        ("1000-1", "trade"), ("1000-2", "trade"), ("1000-3", "trade"), ("2000-0", "gap"),
    ]  # fmt: skip
    assert (found[0]["price"], found[0]["ts_event"], found[3]["from_id"]) == ("42219.9", START_NS + 1, "3")


@pytest.mark.parametrize(("since", "first"), [("1000-7", "1000-8"), ("1970-01-01T00:00:01", "1000-1")])
def test_from_a_place_on(streams: RedisStage, since: str, first: str) -> None:
    write_trades(streams.client, 1, 9)
    result = streams.run("tail", "okx:BTC-USDT", "trade", "--since", since, "--count", "1")
    assert [line["id"] for line in documents(result.stdout)] == [first]


def test_lines_for_a_terminal(streams: RedisStage, terminal: None) -> None:
    write_trades(streams.client, 1, 1)
    write(streams.client, BTC_TRADES, "2000-0", FeedStatus(**TIMES, state=FeedState.STALE, reason="no data"))
    result = streams.run("tail", "okx:BTC-USDT", "trade", "--since", "oldest", "--count", "2")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        f"\x1b[32m2026-01-01 00:00:00.000Z  buy         42219.9{'0.5':>17}  id 1\x1b[0m",
        "\x1b[33m\x1b[1m2026-01-01 00:00:00.000Z  ━━ feed stale: no data\x1b[0m",
    ]
    assert documents(streams.run("tail", "okx:BTC-USDT", "trade", "--since", "oldest", "--count", "1", "--json").stdout)


def test_several_collectors(streams: RedisStage, terminal: None) -> None:
    write_trades(streams.client, 1, 1)
    write_trades(streams.client, 2, 2, ETH_TRADES)
    result = streams.run("tail", "okx:*", "trade", "--since", "oldest", "--count", "2")
    assert sorted(line.split()[2] for line in result.stdout.splitlines()) == ["okx:BTC-USDT", "okx:ETH-USDT"]
    assert result.stderr == "manager-cli: okx:SOL-USDT trade is not there yet; waiting for it\n"


def test_candles_of_every_interval(streams: RedisStage) -> None:
    for interval in ("1m", "5m"):
        name = StreamName(BTC, DataType.CANDLES, interval)
        write(streams.client, name, "1000-1", FeedStatus(**TIMES, state=FeedState.CONNECTED, reason="ok"))
    result = streams.run("tail", "okx:BTC-USDT", "candles", "--since", "oldest", "--count", "2")
    assert sorted(line["stream"] for line in documents(result.stdout)) == ["candles:1m", "candles:5m"]


def test_what_cannot_be_read_is_told(streams: RedisStage) -> None:
    streams.client.xadd(BTC_TRADES.key, {"type": "of_a_later_version"}, "1-1")
    write_trades(streams.client, 1, 1)
    result = streams.run("tail", "okx:BTC-USDT", "trade", "--since", "oldest", "--count", "1")
    assert len(documents(result.stdout)) == 1
    assert result.stderr == "manager-cli: 1 entries cannot be read by this version and were passed over\n"


def test_what_retention_has_removed_is_told_in_its_place(streams: RedisStage) -> None:
    write_trades(streams.client, 1, 9)
    streams.client.xtrim(BTC_TRADES.key, minid="1000-5", approximate=False)
    result = streams.run("tail", "okx:BTC-USDT", "trade", "--since", "1000-2", "--count", "2")
    found = documents(result.stdout)
    assert [(line["type"], line.get("reason"), line["id"]) for line in found] == [
        ("missed", "trimmed", "1000-2"), ("trade", None, "1000-5"),
    ]  # fmt: skip


@pytest.mark.parametrize("looks", [False, True])
def test_a_redis_that_comes_back_older_is_told(
    streams: RedisStage, looks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_trades(streams.client, 1, 9)
    come_back = iter([True])

    class Rewinding(Subscriber):
        """After its first batch Redis comes back from a backup that ends with the 6th trade."""

        async def _fetch(self, wait_s: float) -> None:
            await super()._fetch(wait_s)
            if next(come_back, False):
                streams.client.flushall()
                write_trades(streams.client, 1, 6)
                streams.client.client_kill_filter(_type="normal", skipme=True)

    monkeypatch.setattr("tickfleet.reading.subscriber.Subscriber", Rewinding)
    monkeypatch.setattr("manager.cli.data.tail_command.is_terminal", lambda: looks)
    result = streams.run("tail", "okx:BTC-USDT", "trade", "--since", "oldest", "--count", "10")
    if looks:
        told = result.stdout.splitlines()[-1]
        assert "━━ REWOUND  Redis came back older: 3 entries that were read are not in the stream any more" in told
    else:
        *data, rewound = documents(result.stdout)
        assert [line["id"] for line in data] == [f"1000-{number}" for number in range(1, 10)]
        assert {name: rewound[name] for name in ("type", "count", "after_id", "read_to")} == {
            "type": "rewound", "count": 3, "after_id": "1000-6", "read_to": "1000-9",
        }  # fmt: skip


# --- a book -----------------------------------------------------------------------------------------------------------


def test_the_book_of_one_collector_is_a_ladder(streams: RedisStage, terminal: None) -> None:
    write(streams.client, BTC_BOOK, "1-7", snapshot(7))
    write_book_hash(streams.client, "1-7", snapshot(7))
    write_beat(streams.client, beat())
    result = streams.run("tail", "okx:BTC-USDT", "orderbook", "--levels", "1", "--count", "1")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "okx:BTC-USDT orderbook" in result.stdout
    assert "VALID" in result.stdout
    assert "── spread 2   mid 100 ──" in result.stdout
    assert "102" not in result.stdout, "one level was asked for"


def test_the_entries_of_a_book_from_a_place_on(streams: RedisStage, terminal: None) -> None:
    write(streams.client, BTC_BOOK, "1-7", snapshot(7))
    write(streams.client, BTC_BOOK, "1-8", delta(8, 7))
    result = streams.run("tail", "okx:BTC-USDT", "orderbook", "--since", "oldest", "--count", "2")
    assert ["snapshot (subscribe)" in line for line in result.stdout.splitlines()] == [True, False]
    result = streams.run("tail", "okx:BTC-USDT", "orderbook", "--json", "--since", "oldest", "--count", "2")
    assert [line["bids"] for line in documents(result.stdout)] == [[["99", "7"], ["98", "2"]], [["99", "8"]]]


# --- the end ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def running(streams: RedisStage) -> Any:
    """The command as a process; it has printed one trade and waits for others."""
    write_trades(streams.client, 1, 1)
    command = [sys.executable, "-m", "manager.cli", "--fleet", str(streams.fleet_path)]
    process = subprocess.Popen(
        [*command, "tail", "okx:BTC-USDT", "trade", "--since", "oldest"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TICKFLEET_REDIS_URL": streams.server.url},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert b'"1000-1"' in process.stdout.readline()
    yield process
    process.kill()
    process.wait(timeout=PATIENCE_S)
    process.stdout.close()
    process.stderr.close()


def test_it_ends_when_nobody_reads_any_more(running: subprocess.Popen[bytes]) -> None:
    assert running.stdout is not None
    assert running.stderr is not None
    running.stdout.close()
    assert (running.wait(timeout=PATIENCE_S), running.stderr.read()) == (0, b"")


def test_it_ends_by_ctrl_c(running: subprocess.Popen[bytes]) -> None:
    running.send_signal(signal.SIGINT)
    assert running.communicate(timeout=PATIENCE_S) == (b"", b"")
    assert running.returncode == 0


def test_a_pipe_that_breaks_while_it_is_written_is_no_error(stage: CliStage, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[bool] = []

    def broken(*_: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(output.Printer, "show", broken)
    monkeypatch.setattr("manager.cli.app._leave_output", lambda: left.append(True))
    result = stage.run("tail", "okx:BTC-USDT", "coverage")
    assert (result.exit_code, result.output, left) == (0, "", [True])


# --- ledgers ----------------------------------------------------------------------------------------------------------


def note(stage: CliStage, to_ts: int) -> None:
    entry = LedgerEntry(kind=LedgerKind.COMPLETE, at=START_NS, run_id="r", data_type=DataType.TRADE, to_ts=to_ts)
    fields: list[Any] = encode(entry)
    stage.redis.xadd(keys.coverage(BTC), dict(zip(fields[::2], fields[1::2], strict=True)), f"{to_ts}-0")


def test_a_ledger_is_followed_through_a_redis_that_is_away(stage: CliStage) -> None:
    def away() -> None:
        stage.server.connected = False

    def back() -> None:
        stage.server.connected = True
        note(stage, 3)
        stage.redis.xadd(keys.coverage(BTC), {"kind": "of_a_later_version"}, "4-0")

    note(stage, 1)
    stage.on_wait = [lambda: note(stage, 2), away, back, nothing]
    result = stage.run("tail", "okx:BTC-USDT", "coverage")
    assert result.exit_code == 0
    assert [(line["id"], line["kind"], line["to_ts"]) for line in documents(result.stdout)] == [
        ("2-0", "complete", 2), ("3-0", "complete", 3),
    ]  # fmt: skip
    assert result.stderr.splitlines() == [
        f"manager-cli: {REDIS_AWAY}",
        "manager-cli: 1 entries cannot be read by this version and were passed over",
    ]


@pytest.mark.parametrize(
    ("since", "ids"),
    [("oldest", ["1-0", "2-0", "3-0"]), ("2-0", ["3-0"]), ("1970-01-01T00:00:00.002", ["2-0", "3-0"]), ("new", [])],
)
def test_a_ledger_from_a_place_on(stage: CliStage, since: str, ids: list[str]) -> None:
    for number in (1, 2, 3):
        note(stage, number)
    found = documents(stage.run("tail", "okx:BTC-USDT", "coverage", "--since", since).stdout)
    assert [line["id"] for line in found] == ids


def test_a_ledger_for_a_terminal(stage: CliStage, terminal: None) -> None:
    note(stage, START_NS)
    result = stage.run("tail", "all", "coverage", "--since", "oldest", "--count", "1")
    assert (
        result.stdout
        == "2026-01-01 00:00:00.000Z  okx:BTC-USDT  trade        complete    to 2026-01-01 00:00:00.000Z\n"
    )


def test_what_is_no_ledger_is_told(stage: CliStage) -> None:
    stage.redis.set(keys.coverage(BTC), "what?")
    result = stage.run("tail", "okx:BTC-USDT", "coverage")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"manager-cli: {keys.coverage(BTC)} does not hold a ledger (it is no stream)\n"


# --- wrong usage ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["okx:BTC-USTD", "trade"], "there is no collector 'okx:BTC-USTD'; did you mean 'okx:BTC-USDT'?"),
        (["okx:BTC-USDT", "trades"], "there is no type 'trades'; did you mean 'trade'?"),
        (["okx:ETH-USDT", "orderbook"], "okx:ETH-USDT does not collect orderbook; it collects trade"),
        (["okx:BTC-USDT", "trade", "--since", "then"], "'then' is not a time (known: 10m, -10m or 2h30m"),
        (["okx:BTC-USDT", "trade", "--count", "0"], "Invalid value for '--count'"),
        (["okx:BTC-USDT"], "Missing argument 'TYPE'."),
    ],
)
def test_wrong_usage_is_exit_2_and_one_line(stage: CliStage, arguments: list[str], message: str) -> None:
    result = stage.run("tail", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"manager-cli: {message}")
    assert result.stderr.count("\n") == 1


def test_redis_away_is_exit_3(stage: CliStage) -> None:
    stage.server.connected = False
    for kind in ("trade", "coverage"):
        result = stage.run("tail", "okx:BTC-USDT", kind)
        assert (result.exit_code, result.stdout) == (3, "")


def test_help_teaches(stage: CliStage) -> None:
    text = stage.run("tail", "--help").stdout
    assert "manager-cli tail okx:BTC-USDT trade --json --count 100 | jq -r .price" in text
