import json
from typing import Any

import pytest

from manager.cli.data import coverage_command
from tests.manager.cli.stage import BTC, ETH, CliStage
from tests.manager.fakes import NOW_NS, REDIS_AWAY, S
from tickfleet.contract import keys
from tickfleet.contract.coverage import LedgerEntry, LedgerKind, encode
from tickfleet.contract.identity import CollectorId, DataType

HOUR_NS = 3_600 * S
BEGIN_NS = NOW_NS - 2 * HOUR_NS


def note(stage: CliStage, kind: str, *, of: CollectorId = ETH, **facts: Any) -> None:
    """Append an entry to a ledger; of trades unless it says otherwise."""
    known = {"at": NOW_NS, "run_id": "a", "data_type": DataType.TRADE}
    entry = LedgerEntry(kind=LedgerKind(kind), **{**known, **facts})
    stage.redis.xadd(keys.coverage(of), _pairs(entry))
    if entry.kind is LedgerKind.OPENED:
        publish(stage, of, entry.data_type, entry.from_ts or 0, entry.interval)


def publish(stage: CliStage, of: CollectorId, data_type: DataType, at_ns: int, interval: str = "") -> None:
    """Append an item of data to its stream."""
    kind = "candle" if interval else data_type.value
    fields = {"type": kind, "ts_event": at_ns, "ts_recv": at_ns, "open_time": at_ns}
    stage.redis.xadd(keys.stream(of, data_type, interval), fields, f"{at_ns // 1_000_000}-0")


def _pairs(entry: LedgerEntry) -> dict[Any, Any]:
    fields = encode(entry)
    return dict(zip(fields[::2], fields[1::2], strict=True))


@pytest.fixture
def ledger(stage: CliStage) -> None:
    """Two hours of trades, up to ten seconds ago, with one minute fetched after the first hour."""
    fetched: dict[str, Any] = {
        "from_ts": BEGIN_NS + HOUR_NS,
        "to_ts": BEGIN_NS + HOUR_NS + 60 * S,
        "from_id": "50",
        "to_id": "60",
    }
    note(stage, "opened", from_ts=BEGIN_NS, from_id="1")
    note(stage, "gap_opened", **fetched)
    note(stage, "complete", to_ts=NOW_NS - 10 * S, to_id="99")
    note(stage, "gap_filled", **fetched)


@pytest.fixture
def lossy(stage: CliStage, ledger: None) -> None:
    """The same with half a minute that is lost for good, 30 minutes ago."""
    lost_ns = NOW_NS - HOUR_NS // 2
    note(stage, "gap_lost", from_ts=lost_ns, to_ts=lost_ns + 30 * S, from_id="70", to_id="80", reason="[b]too old[/b]")


def test_a_complete_ledger_is_exit_0(stage: CliStage, ledger: None) -> None:
    result = stage.run("coverage", "okx:ETH-USDT")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines == [
        "trade",
        "from to length state ids reason",
        "2027-01-15 06:00:00.000Z 2027-01-15 07:00:00.000Z 60 min complete 1 … 50",
        "2027-01-15 07:00:00.000Z 2027-01-15 07:01:00.000Z 60 s filled 51 … 59 fetched afterwards",
        "2027-01-15 07:01:00.000Z 2027-01-15 07:59:50.000Z 59 min complete 60 … 99",
        "complete up to 2027-01-15 07:59:50.000Z (10 s ago)",
        "",
        "complete",
    ]


def test_a_loss_is_exit_1(stage: CliStage, lossy: None) -> None:
    result = stage.run("coverage", "okx:ETH-USDT")
    assert (result.exit_code, result.stderr) == (1, "")
    assert "lost      71 … 79  [b]too old[/b]" in result.stdout, "text from a ledger is no markup"
    assert "not complete: trade" in result.stdout
    assert "complete up to 2027-01-15 07:59:50.000Z" in result.stdout, "a loss does not hold a reader back"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--from", "-20m"], 0),
        (["--from=-20m", "--to", "-1m"], 0),
        (["--to", "2027-01-15T07:30"], 0),
        (["--from", "2027-01-15T07:00", "--to", str(NOW_NS // S - 1_800)], 0),
        (["--from", "2027-01-15T07:30", "--to", "-20m"], 1),
        (["--from", "-20m", "--to", "now"], 1),
        (["--from", "-3h", "--to", "-1h"], 1),
        (["--from", "-5s"], 1),
        (["--from", "-20m", "--data", "trade"], 0),
        (["--from", "-20m", "--data", "trade,ticker"], 1),
        (["--from", "-20m", "--data", "trade", "--data", "ticker"], 1),
    ],
)
def test_the_asked_range_decides(stage: CliStage, lossy: None, arguments: list[str], code: int) -> None:
    for form in ([], ["--json"]):
        result = stage.run("coverage", "okx:ETH-USDT", *arguments, *form)
        assert (result.exit_code, result.stderr) == (code, "")


def test_json_is_the_whole_truth_and_nothing_else(stage: CliStage, lossy: None) -> None:
    result = stage.run("coverage", "okx:ETH-USDT", "--from", "-40m", "--to", "-20m", "--json")
    lost_ns = NOW_NS - HOUR_NS // 2
    intervals = [
        (NOW_NS - 2_400 * S, lost_ns, "complete", None, "70", ""),
        (lost_ns, lost_ns + 30 * S + 1, "lost", "70", "80", "[b]too old[/b]"),
        (lost_ns + 30 * S + 1, NOW_NS - 1_200 * S, "complete", "80", None, ""),
    ]
    names = ("from_ts", "to_ts", "state", "from_id", "to_id", "reason")
    assert (result.exit_code, result.stderr) == (1, "")
    assert json.loads(result.stdout) == {
        "id": "okx:ETH-USDT",
        "complete": False,
        "unreadable_entries": 0,
        "coverage": [
            {
                "data_type": "trade",
                "interval": "",
                "from_ts": NOW_NS - 2_400 * S,
                "to_ts": NOW_NS - 1_200 * S,
                "complete": False,
                "complete_up_to": NOW_NS - 10 * S,
                "intervals": [dict(zip(names, values, strict=True)) for values in intervals],
                "no_longer_kept": [],
            }
        ],
    }


def test_every_configured_data_type_is_asked_for(stage: CliStage) -> None:
    for data_type, interval in ((DataType.TRADE, ""), (DataType.CANDLES, "1m"), (DataType.CANDLES, "5m")):
        note(stage, "opened", of=BTC, from_ts=BEGIN_NS, data_type=data_type, interval=interval)
        note(stage, "complete", of=BTC, to_ts=NOW_NS, data_type=data_type, interval=interval)
    result = stage.run("coverage", "okx:BTC-USDT")
    assert (result.exit_code, result.stderr) == (1, "")
    assert "not complete: orderbook, ticker\n" in result.stdout
    assert "candles 1m" in result.stdout
    assert "candles 5m" not in result.stdout, "the fleet file does not ask for them"
    assert result.stdout.count("nothing is known yet") == 2


def test_a_long_ledger_is_read_in_pages(stage: CliStage, lossy: None, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = stage.run("coverage", "okx:ETH-USDT", "--json").stdout
    for page in range(1, 7):
        monkeypatch.setattr(coverage_command, "PAGE", page)
        assert stage.run("coverage", "okx:ETH-USDT", "--json").stdout == whole


FAR = str(2**63 - 1)
UNREADABLE = {
    "of a later version": {"kind": "gap_of_a_later_version"},
    "of the future": {
        "kind": "opened",
        "at": FAR,
        "run_id": "x",
        "data_type": "trade",
        "from_ts": FAR,
        "continues": "1",
    },
}


@pytest.mark.parametrize("fields", UNREADABLE.values(), ids=UNREADABLE)
def test_an_entry_that_cannot_be_read_may_tell_of_a_gap(stage: CliStage, ledger: None, fields: dict[str, str]) -> None:
    stage.redis.xadd(keys.coverage(ETH), fields)
    result = stage.run("coverage", "okx:ETH-USDT")
    assert (result.exit_code, result.stderr) == (1, "")
    assert "entries of the ledger that cannot be read, and may tell of gaps: 1" in result.stdout
    document = json.loads(stage.run("coverage", "okx:ETH-USDT", "--json").stdout)
    assert (document["complete"], document["unreadable_entries"]) == (False, 1)
    assert document["coverage"][0]["complete"] is True
    tomorrow = stage.run("coverage", "okx:ETH-USDT", "--from", "2027-01-01", "--to", "2027-01-02", "--json")
    assert (tomorrow.exit_code, json.loads(tomorrow.stdout)["coverage"][0]["complete"]) == (1, False)


@pytest.mark.parametrize("arguments", [[], ["--json"], ["--from", "-1h", "--data", "trade"]])
def test_no_ledger_yet_is_exit_1(stage: CliStage, arguments: list[str]) -> None:
    result = stage.run("coverage", "okx:BTC-USDT", *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (f"manager-cli: okx:BTC-USDT has no coverage ledger yet ({keys.coverage(BTC)})\n")


def test_a_foreign_value_in_the_key_is_exit_1(stage: CliStage) -> None:
    stage.redis.set(keys.coverage(BTC), "what?")
    result = stage.run("coverage", "okx:BTC-USDT")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"manager-cli: {keys.coverage(BTC)} does not hold a ledger (it is no stream)\n"


def test_a_collector_that_left_the_fleet_still_has_its_ledger(stage: CliStage, ledger: None) -> None:
    stage.fleet_path.write_text('[[collectors]]\nexchange = "okx"\nsymbol = "BTC-USDT"\n')
    result = stage.run("coverage", "okx:ETH-USDT")
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["okx:ETH-USDTT"], "there is no collector 'okx:ETH-USDTT'; did you mean 'okx:ETH-USDT'?"),
        (["okx-ETH-USDT"], "there is no collector 'okx-ETH-USDT'; did you mean 'okx:ETH-USDT'?"),
        (["nonsense"], "there is no collector 'nonsense' (manager-cli list shows them)"),
        (["okx:*"], "coverage is shown for one collector, not for a pattern"),
        (["all"], "coverage is shown for one collector, not for a pattern"),
        (
            ["okx:ETH-USDT", "--from", "yesterday"],
            "'yesterday' is not a time; did you mean '1d'? (known: 10m, -10m or 2h30m",
        ),
        (["okx:ETH-USDT", "--from", "-1h", "--to", "-1h"], "--from -1h is not before --to -1h"),
        (["okx:ETH-USDT", "--from", "-1h", "--to", "-2h"], "--from -1h is not before --to -2h"),
        (["okx:ETH-USDT", "--data", "trades"], "there is no data type 'trades'; did you mean 'trade'?"),
        (["okx:ETH-USDT", "--data", ""], "there is no data type ''"),
        ([], "Missing argument 'ID'."),
    ],
)
def test_wrong_usage_is_exit_2_and_one_line(stage: CliStage, ledger: None, arguments: list[str], message: str) -> None:
    result = stage.run("coverage", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"manager-cli: {message}")
    assert result.stderr.count("\n") == 1


def test_redis_away_is_exit_3(stage: CliStage) -> None:
    stage.server.connected = False
    for form in ([], ["--json"]):
        result = stage.run("coverage", "okx:BTC-USDT", *form)
        assert (result.exit_code, result.stdout) == (3, "")
        assert result.stderr == f"manager-cli: {REDIS_AWAY}\n"


def test_help_teaches(stage: CliStage) -> None:
    text = stage.run("coverage", "--help").stdout
    assert "manager-cli coverage okx:BTC-USDT --from -1h" in text
    assert "exit codes: 0 the range is complete for all that is asked for" in text


# --- what was published and is not kept -------------------------------------------------------------------------------

TRADES = keys.stream(ETH, DataType.TRADE)
GONE = "published, no longer kept from 2027-01-15 06:00:00.000Z to 2027-01-15 07:30:00.000Z"


@pytest.fixture
def half_an_hour(stage: CliStage, ledger: None) -> CliStage:
    """Somebody deletes the stream, and its collector begins it anew half an hour ago."""
    stage.redis.delete(TRADES)
    publish(stage, ETH, DataType.TRADE, NOW_NS - HOUR_NS // 2)
    return stage


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 1),
        (["--from", "-1h"], 1),
        (["--from", "-40m", "--to", "-20m"], 1),
        (["--from", "-30m", "--to", "-20m"], 0),
        (["--data", "trade", "--from", "2027-01-15T06:00", "--to", "2027-01-15T07:00"], 1),
    ],
)
def test_a_range_that_somebody_deleted_is_exit_1(half_an_hour: CliStage, arguments: list[str], code: int) -> None:
    result = half_an_hour.run("coverage", "okx:ETH-USDT", *arguments)
    assert (result.exit_code, result.stderr) == (code, "")
    assert ("published, no longer kept from " in result.stdout) is bool(code)
    assert (GONE in result.stdout) is (not arguments)


def test_a_stream_that_is_gone_keeps_nothing(stage: CliStage, ledger: None) -> None:
    stage.redis.delete(TRADES)
    result = stage.run("coverage", "okx:ETH-USDT", "--json")
    span = {"from_ts": BEGIN_NS, "to_ts": NOW_NS - 10 * S, "whole": True}
    assert result.exit_code == 1
    assert [one["no_longer_kept"] for one in json.loads(result.stdout)["coverage"]] == [[span]]


def test_data_behind_many_markers_is_kept(stage: CliStage, ledger: None) -> None:
    stage.redis.delete(TRADES)
    for n in range(250):
        marker = {"type": "feed_status", "ts_event": BEGIN_NS, "ts_recv": BEGIN_NS}
        stage.redis.xadd(TRADES, marker, f"{BEGIN_NS // 1_000_000 - 1}-{n}")
    publish(stage, ETH, DataType.TRADE, BEGIN_NS)
    result = stage.run("coverage", "okx:ETH-USDT")
    assert (result.exit_code, "no longer kept" in result.stdout) == (0, False)


def test_what_retention_removed_is_told_and_belongs_to_no_open_range(half_an_hour: CliStage) -> None:
    with half_an_hour.fleet_path.open("a", encoding="utf-8") as file:
        file.write("\n[redis.maxlen]\ntrade = 1\n")
    result = half_an_hour.run("coverage", "okx:ETH-USDT")
    assert (result.exit_code, GONE in result.stdout) == (0, True)
    assert half_an_hour.run("coverage", "okx:ETH-USDT", "--from", "-1h").exit_code == 1
