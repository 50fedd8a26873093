import csv
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from manager.cli.data.export import copying
from tests.manager.cli.redis_stage import RedisStage
from tests.manager.cli.stage import BTC, CliStage
from tests.support.market_items import START_NS
from tests.support.stream_writer import BTC_BOOK, BTC_TRADES, snapshot, write
from tickfleet.contract import keys
from tickfleet.contract.coverage import LedgerEntry, LedgerKind, encode
from tickfleet.contract.events import Candle, FeedState, FeedStatus, Gap, Trade
from tickfleet.contract.identity import DataType
from tickfleet.reading.selection import StreamName
from tickfleet.reading.subscriber import Subscriber

S = 1_000_000_000
HOUR_S = 3_600
SUMMARY = "{}: 3,600 entries (3,600 trade), 2026-01-01 00:00:00.000Z … 2026-01-01 00:59:59.000Z\n"


def trade(number: int) -> Trade:
    """One a second."""
    at_ns = START_NS + number * S
    return Trade(at_ns, at_ns, str(number), f"{number}.50", "0.1", "buy")


def entry_id(number: int) -> str:
    return f"{trade(number).ts_event // 1_000_000}-{number}"


def write_trades(stage: RedisStage, count: int) -> None:
    for number in range(count):
        write(stage.client, BTC_TRADES, entry_id(number), trade(number))


def note(stage: RedisStage, kind: LedgerKind, **facts: Any) -> None:
    entry = LedgerEntry(kind=kind, at=START_NS + 10 * HOUR_S * S, run_id="r", data_type=DataType.TRADE, **facts)
    fields: list[Any] = encode(entry)
    stage.client.xadd(keys.coverage(BTC), dict(zip(fields[::2], fields[1::2], strict=True)))


@pytest.fixture
def two_hours(streams: RedisStage) -> RedisStage:
    """Trades of two hours, and a ledger that confirms them."""
    with streams.client.pipeline(transaction=False) as pipe:
        for number in range(2 * HOUR_S):
            write(pipe, BTC_TRADES, entry_id(number), trade(number))
        pipe.execute()
    note(streams, LedgerKind.OPENED, from_ts=START_NS - 60 * S)
    note(streams, LedgerKind.COMPLETE, to_ts=START_NS + 2 * HOUR_S * S)
    streams.clock.advance(2 * HOUR_S)
    return streams


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [*csv.DictReader(file)]


FIRST_HOUR = ("--from", "2026-01-01T00:00", "--to", "2026-01-01T01:00")


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_every_entry_of_the_range_once_and_no_other(two_hours: RedisStage, suffix: str) -> None:
    ids, seen = list[str](), list[str]()
    for number, (start, end) in enumerate([("00:00", "00:20:00.5"), ("00:20:00.5", "01:10"), ("01:10", "02:00")]):
        file = two_hours.folder / f"{number}{suffix}"
        span = ("--from", f"2026-01-01T{start}", "--to", f"2026-01-01T{end}")
        result = two_hours.run("export", "okx:BTC-USDT", "trade", *span, "--strict", str(file))
        assert (result.exit_code, result.stderr) == (0, "")
        rows = pyarrow.parquet.read_table(file).to_pylist() if suffix == ".parquet" else rows_of(file)
        ids += [row["entry_id"] for row in rows]
        seen += [row["price"] for row in rows]
    assert ids == [entry_id(number) for number in range(2 * HOUR_S)]
    assert seen == [trade(number).price for number in range(2 * HOUR_S)]
    assert [path.suffix for path in sorted(two_hours.folder.iterdir())].count(".part") == 0


def test_what_it_says(two_hours: RedisStage) -> None:
    file = two_hours.folder / "x.csv"
    result = two_hours.run("export", "okx:BTC-USDT", "trade", *FIRST_HOUR, str(file))
    assert (result.exit_code, result.output) == (0, SUMMARY.format(file))


def test_decimals_as_numbers(two_hours: RedisStage) -> None:
    for decimals, price in (("decimal", Decimal("1.5")), ("float", 1.5), ("text", "1.50")):
        file = two_hours.folder / f"{decimals}.parquet"
        arguments = ("--to", "2026-01-01T00:00:02", "--decimals", decimals, str(file))
        assert two_hours.run("export", "okx:BTC-USDT", "trade", *arguments).exit_code == 0
        assert pyarrow.parquet.read_table(file)["price"].to_pylist()[1] == price


def test_a_book(streams: RedisStage) -> None:
    write(streams.client, BTC_BOOK, "1767225600000-0", snapshot(7))
    file = streams.folder / "x.parquet"
    assert streams.run("export", "okx:BTC-USDT", "orderbook", "--to", "2026-01-02", str(file)).exit_code == 0
    (row,) = pyarrow.parquet.read_table(file).to_pylist()
    assert row["asks"] == [{"price": "101", "size": "7"}, {"price": "102", "size": "2"}]


def test_bars_have_the_time_that_they_opened(streams: RedisStage) -> None:
    name = StreamName(BTC, DataType.CANDLES, "1m")
    prices = dict.fromkeys(("open", "high", "low", "close", "volume"), "1")
    for minute in range(20):
        at_ns = START_NS + minute * 60 * S
        bar = Candle(ts_event=at_ns, ts_recv=at_ns, interval="1m", open_time=at_ns, close_time=at_ns + 60 * S, **prices)  # type: ignore[arg-type]  # the prices are texts
        write(streams.client, name, f"{at_ns // 1_000_000 + 59_000}-0", bar)
    streams.clock.advance(1_200)
    file = streams.folder / "x.csv"
    span = ("--from", "2026-01-01T00:05", "--to", "2026-01-01T00:10")
    assert streams.run("export", "okx:BTC-USDT", "candles:1m", *span, str(file)).exit_code == 0
    opened = [(int(row["open_time"]) - START_NS) // (60 * S) for row in rows_of(file)]
    assert opened == [5, 6, 7, 8, 9]


# --- what may be missing ----------------------------------------------------------------------------------------------


def test_gaps_are_rows_and_are_told(two_hours: RedisStage) -> None:
    place = START_NS // 1_000_000 + 2 * HOUR_S * 1_000
    write(two_hours.client, BTC_TRADES, f"{place}-0", Gap(ts_event=place * 1_000_000, ts_recv=1, reason="too old"))
    two_hours.client.xadd(BTC_TRADES.key, {"type": "of_a_later_version"}, f"{place}-1")
    file = two_hours.folder / "x.csv"
    span = ("--from", "2026-01-01T01:59:59", "--to", "2026-01-01T02:00")
    for strict, code in (((), 0), (("--strict",), 1)):
        result = two_hours.run("export", "okx:BTC-USDT", "trade", *span, "--force", *strict, str(file))
        assert (result.exit_code, [row["type"] for row in rows_of(file)]) == (code, ["trade", "gap", "unreadable"])
        assert result.stderr.splitlines() == [
            "manager-cli: warning: the collector marked 1 gaps: data that is missing for good (type gap)",
            "manager-cli: warning: 1 entries cannot be read by this version: only their ids are there",
            "manager-cli: manager-cli coverage okx:BTC-USDT --data trade tells what is known of it",
        ]


def test_a_beginning_that_was_removed_is_told(two_hours: RedisStage) -> None:
    two_hours.client.xtrim(BTC_TRADES.key, minid=entry_id(1_800), approximate=False)
    file = two_hours.folder / "x.csv"
    result = two_hours.run("export", "okx:BTC-USDT", "trade", *FIRST_HOUR, "--strict", str(file))
    assert (result.exit_code, len(rows_of(file))) == (1, 1_800)
    assert "retention had removed what the stream held before 2026-01-01 00:30:00.000Z" in result.stderr
    later = ("--from", "2026-01-01T00:30:00.001", "--to", "2026-01-01T01:00", "--strict", "--force")
    assert two_hours.run("export", "okx:BTC-USDT", "trade", *later, str(file)).exit_code == 0


def test_what_is_removed_while_it_is_read_is_told(two_hours: RedisStage, monkeypatch: pytest.MonkeyPatch) -> None:
    class Trimming(Subscriber):
        """Retention is faster than the reader, once."""

        async def _fetch(self, wait_s: float) -> None:
            await super()._fetch(wait_s)
            two_hours.client.xtrim(BTC_TRADES.key, minid=entry_id(2_000), approximate=False)

    monkeypatch.setattr(copying, "Subscriber", Trimming)
    file = two_hours.folder / "x.csv"
    result = two_hours.run("export", "okx:BTC-USDT", "trade", *FIRST_HOUR, str(file))
    rows = [row for row in rows_of(file) if row["type"] == "missed"]
    assert [(row["entry_id"], row["missed"]) for row in rows] == [(entry_id(999), "1000")]
    assert "retention removed entries before they could be read, at 1 places" in result.stderr


def test_a_stream_that_is_deleted_meanwhile_has_an_end(two_hours: RedisStage, monkeypatch: pytest.MonkeyPatch) -> None:
    class Deleting(Subscriber):
        """Somebody deletes the stream after its first batch."""

        async def _fetch(self, wait_s: float) -> None:
            await super()._fetch(wait_s)
            two_hours.client.delete(BTC_TRADES.key)

    monkeypatch.setattr(copying, "Subscriber", Deleting)
    monkeypatch.setattr(copying, "PATIENCE_S", 0.3)
    monkeypatch.setattr(copying, "_TURN_S", 0.1)
    file = two_hours.folder / "x.csv"
    result = two_hours.run("export", "okx:BTC-USDT", "trade", *FIRST_HOUR, "--strict", str(file))
    assert (result.exit_code, len(rows_of(file))) == (1, 1_000)
    assert "the stream was deleted or trimmed meanwhile: its end is missing" in result.stderr


def test_a_redis_that_comes_back_older_meanwhile_is_told(
    two_hours: RedisStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    come_back = iter([True])

    class Rewinding(Subscriber):
        """After its first batch Redis comes back from a backup that ends with the 501st trade."""

        async def _fetch(self, wait_s: float) -> None:
            await super()._fetch(wait_s)
            if next(come_back, False):
                two_hours.client.flushall()
                write_trades(two_hours, 501)
                two_hours.client.client_kill_filter(_type="normal", skipme=True)

    monkeypatch.setattr(copying, "Subscriber", Rewinding)
    monkeypatch.setattr(copying, "PATIENCE_S", 2.0)
    monkeypatch.setattr(copying, "_TURN_S", 0.1)
    file = two_hours.folder / "x.csv"
    result = two_hours.run("export", "okx:BTC-USDT", "trade", *FIRST_HOUR, "--strict", str(file))
    *data, told = rows_of(file)
    assert [row["entry_id"] for row in data] == [entry_id(number) for number in range(1_000)]
    assert (told["type"], told["entry_id"]) == ("rewound", entry_id(500))
    assert result.exit_code == 1
    assert "warning: Redis came back older while it was read" in result.stderr
    assert "1,001 entries (1,000 trade, 1 rewound), 2026-01-01 00:00:00.000Z … 2026-01-01 00:16:39" in result.stdout


def test_what_the_ledger_does_not_confirm_is_told(two_hours: RedisStage) -> None:
    arguments = ("export", "okx:BTC-USDT", "trade", "--from", "2026-01-01T00:00", "--force")
    result = two_hours.run(*arguments, "--to", "2026-01-01T03:00", str(two_hours.folder / "x.csv"))
    assert "complete by the coverage ledger only up to 2026-01-01 02:00:00.000Z" in result.stderr
    note(two_hours, LedgerKind.GAP_LOST, from_ts=START_NS + S, to_ts=START_NS + 9 * S, reason="too old")
    result = two_hours.run(*arguments, "--to", "2026-01-01T01:00", str(two_hours.folder / "x.csv"))
    assert "the coverage ledger does not confirm the whole range (too old)" in result.stderr


def test_a_stream_that_was_deleted_and_begun_anew_lacks_its_beginning(two_hours: RedisStage) -> None:
    two_hours.client.delete(BTC_TRADES.key)
    for number in range(1_800, 2 * HOUR_S, 60):
        write(two_hours.client, BTC_TRADES, entry_id(number), trade(number))
    result = two_hours.run("export", "okx:BTC-USDT", "trade", *FIRST_HOUR, "--strict", str(two_hours.folder / "x.csv"))
    says = "warning: published, no longer kept from 2026-01-01 00:00:00.000Z to 2026-01-01 00:30:00.000Z\n"
    assert (result.exit_code, says in result.stderr) == (1, True)


def test_data_behind_many_markers_is_kept(two_hours: RedisStage) -> None:
    status = FeedStatus(ts_event=START_NS - S, ts_recv=START_NS - S, state=FeedState.CONNECTED, reason="x")
    two_hours.client.delete(BTC_TRADES.key)
    with two_hours.client.pipeline(transaction=False) as pipe:
        for n in range(250):
            write(pipe, BTC_TRADES, f"{START_NS // 1_000_000 - 1}-{n}", status)
        for number in range(HOUR_S + 400):
            write(pipe, BTC_TRADES, entry_id(number), trade(number))
        pipe.execute()
    result = two_hours.run("export", "okx:BTC-USDT", "trade", *FIRST_HOUR, "--strict", str(two_hours.folder / "x.csv"))
    assert (result.exit_code, result.stderr) == (0, "")


def test_trades_that_somebody_deleted_are_told_by_their_numbers(two_hours: RedisStage) -> None:
    two_hours.client.xdel(BTC_TRADES.key, *map(entry_id, (100, 101, 200)))
    file = two_hours.folder / "x.csv"
    result = two_hours.run("export", "okx:BTC-USDT", "trade", *FIRST_HOUR, "--strict", str(file))
    assert (result.exit_code, len(rows_of(file))) == (1, 3_597)
    assert (
        "warning: 3 trades are not in the stream, by their numbers, at 2 places (the first behind 99)" in result.stderr
    )
    later = ("--from", "2026-01-01T00:30", "--to", "2026-01-01T01:00", "--strict", "--force")
    assert two_hours.run("export", "okx:BTC-USDT", "trade", *later, str(file)).exit_code == 0


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_what_exists_is_kept_without_force(two_hours: RedisStage) -> None:
    file = two_hours.folder / "x.csv"
    file.write_text("mine")
    result = two_hours.run("export", "okx:BTC-USDT", "trade", *FIRST_HOUR, str(file))
    assert (result.exit_code, result.stderr) == (2, f"manager-cli: {file} exists already; --force replaces it\n")
    assert file.read_text() == "mine"
    assert two_hours.run("export", "okx:BTC-USDT", "trade", *FIRST_HOUR, str(file), "--force").exit_code == 0
    assert len(rows_of(file)) == HOUR_S


@pytest.mark.parametrize(
    "error", [ValueError("no number"), OSError(28, "No space left on device"), KeyboardInterrupt()]
)
def test_what_fails_leaves_nothing(
    two_hours: RedisStage, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(*_: object) -> None:
        raise error

    file = two_hours.folder / "x.csv"
    monkeypatch.setattr("manager.cli.data.export.csv_file.CsvFile.write", fail)
    before = {*two_hours.folder.iterdir()}
    result = two_hours.run("export", "okx:BTC-USDT", "trade", *FIRST_HOUR, str(file))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1
    assert str(file) in result.stderr
    assert {*two_hours.folder.iterdir()} == before


def test_without_pyarrow_it_says_how_to_get_it(two_hours: RedisStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    result = two_hours.run("export", "okx:BTC-USDT", "trade", str(two_hours.folder / "x.parquet"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == ("manager-cli: pyarrow is not installed; it comes with: pip install 'tickfleet[parquet]'\n")
    assert two_hours.run("export", "okx:BTC-USDT", "trade", str(two_hours.folder / "x.csv")).exit_code == 0


def test_a_stream_that_is_not_there_yet(streams: RedisStage) -> None:
    result = streams.run("export", "okx:BTC-USDT", "trade", str(streams.folder / "x.csv"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"manager-cli: okx:BTC-USDT has no stream of this type yet ({BTC_TRADES.key})\n"


def test_a_key_that_holds_something_else(streams: RedisStage) -> None:
    streams.server.client.set(BTC_TRADES.key, "somebody's")
    result = streams.run("export", "okx:BTC-USDT", "trade", str(streams.folder / "x.csv"))
    assert (result.exit_code, result.stdout) == (1, "")
    says = f"{BTC_TRADES.key} cannot be read: its key holds something that is no stream"
    assert result.stderr == f"manager-cli: {says}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["okx:BTC-USTD", "trade", "x.csv"], "there is no collector 'okx:BTC-USTD'; did you mean 'okx:BTC-USDT'?"),
        (["okx:*", "trade", "x.csv"], "export is of one collector, not of a pattern"),
        (["okx:ETH-USDT", "ticker", "x.csv"], "okx:ETH-USDT does not collect ticker; it collects trade"),
        (["okx:BTC-USDT", "trades", "x.csv"], "there is no type 'trades'; did you mean 'trade'?"),
        (["okx:BTC-USDT", "coverage", "x.csv"], "the coverage ledger is no data"),
        (["okx:BTC-USDT", "candles", "x.csv"], "candles have one stream per interval: name one"),
        (["okx:BTC-USDT", "trade", "x.xls"], "FILE 'x.xls' ends neither in .parquet nor in .csv"),
        (["okx:BTC-USDT", "trade", "/no/such/x.csv"], "there is no folder '/no/such'"),
        (["okx:BTC-USDT", "trade", "x.csv", "--from", "-1h", "--to", "-2h"], "--from -1h is not before --to -2h"),
        (["okx:BTC-USDT", "trade", "x.csv", "--from", "then"], "'then' is not a time"),
        (["okx:BTC-USDT", "trade"], "Missing argument 'FILE'."),
    ],
)
def test_wrong_usage_is_exit_2_and_one_line(stage: CliStage, arguments: list[str], message: str) -> None:
    result = stage.run("export", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"manager-cli: {message}")
    assert result.stderr.count("\n") == 1


def test_redis_away_is_exit_3(stage: CliStage) -> None:
    stage.server.connected = False
    assert stage.run("export", "okx:BTC-USDT", "trade", str(stage.folder / "x.csv")).exit_code == 3


def test_help_teaches(stage: CliStage) -> None:
    text = stage.run("export", "--help").stdout
    assert "manager-cli export okx:BTC-USDT trade --from -1h btc.parquet" in text
