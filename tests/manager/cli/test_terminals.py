"""No command cuts an id, or leaves it to the terminal to break one, however narrow that is."""

import os
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from manager.cli import columns
from manager.cli.orders.results import _print_table
from manager.cli.orders.target import Result
from manager.desired.overrides import Override, OverrideState
from manager.desired.overrides import encode as encode_override
from manager.model.journal_entries import JournalEntry, What, to_fields
from tests.manager.cli.stage import CliStage
from tests.support.market_items import START_NS
from tests.support.processes import BIN
from tests.support.redis_server import RedisServer
from tests.support.terminal import shown
from tickfleet.contract import keys
from tickfleet.contract.codec import encode
from tickfleet.contract.coverage import LedgerEntry, LedgerKind
from tickfleet.contract.coverage import encode as encode_ledger
from tickfleet.contract.events import Ticker
from tickfleet.contract.health import WorkerState
from tickfleet.contract.identity import CollectorId, DataType

pytestmark = pytest.mark.long

SYMBOLS = ("BTC-USDT", "BTC-USDT-PERP", "BTC-USDT-261225", "1000000MOG-USDT-PERP", "1000000MOG-USDT-261225")
IDS = [
    *(CollectorId("okx", symbol) for symbol in SYMBOLS),
    CollectorId("okx", "BTC-USD_UM-261225"),
    CollectorId("binance", "币安人生-USDT"),
]
LONGEST = max(map(str, IDS), key=len)
FLEET = "".join(f'[[collectors]]\nexchange = "{one.exchange}"\nsymbol = "{one.symbol}"\n' for one in IDS)
FLEET = FLEET.replace(
    'symbol = "BTC-USDT"\n',
    'symbol = "BTC-USDT"\ncustom_params = { book_channel = "books5", trade_channel = "trades" }\n',
    1,
)
TRADE, END = DataType.TRADE, START_NS + 2 * 10**12
WHY = "moved to the machine in the other room until the end of the year, ask Alice before you start it"


def fill(client: Any) -> None:
    """A fleet with something to tell of: a change at run time, a journal, ledgers, tickers."""
    override = Override(who="alice", at=START_NS, why=WHY, state=OverrideState.STOPPED)
    client.hset(keys.FLEET_DESIRED, str(IDS[1]), encode_override(override))
    gone = {"from": "healthy", "to": "silent", "added": " ".join(map(str, IDS))}
    for collector in IDS:
        why = f"no trade of {LONGEST} for 95 s, although others of the exchange have some, as {IDS[0]} does"
        told = JournalEntry(
            at_ns=START_NS, who="manager", what=What.VERDICT_CHANGED, collector=str(collector), why=why, details=gone
        )
        client.xadd(keys.FLEET_EVENTS, to_fields(told))
        lost, middle = "the exchange keeps no trades that are older than three months", START_NS + 10**12
        between = LedgerEntry(
            at=END,
            kind=LedgerKind.GAP_LOST,
            data_type=TRADE,
            run_id="r1",
            from_ts=middle,
            to_ts=END,
            from_id="19605068733123",
            to_id="19605069220123",
            reason=lost,
        )
        for entry in (
            LedgerEntry(at=END, kind=LedgerKind.OPENED, data_type=TRADE, run_id="r1", from_ts=START_NS),
            LedgerEntry(at=END, kind=LedgerKind.COMPLETE, data_type=TRADE, run_id="r1", to_ts=middle),
            between,
        ):
            client.execute_command("XADD", keys.coverage(collector), "*", *encode_ledger(entry))
        price = "63999.12345678"
        ticker = Ticker(
            ts_event=START_NS, ts_recv=START_NS, last=price, last_size=price, bid=price, bid_size=price, ask=price
        )
        client.execute_command("XADD", keys.stream(collector, DataType.TICKER), "1-1", *encode(ticker))


# --- tables, in every width -------------------------------------------------------------------------------------------


@pytest.fixture
def stage(tmp_path: Path) -> CliStage:
    stage = CliStage(tmp_path)
    stage.fleet_path.write_text(FLEET)
    stage.supervisor.know(*(collector.program for collector in IDS))
    for collector in (IDS[0], IDS[2]):
        stage.supervisor.start(collector.program)
        stage.beat(collector, last_error="nothing", state=WorkerState.RUNNING)
    fill(stage.redis)
    return stage


@pytest.mark.parametrize("command", [("status",), ("list",), ("coverage", LONGEST)], ids=" ".join)
def test_tables_show_ids_whole_in_every_width(
    command: tuple[str, ...], stage: CliStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for width in [*range(len(LONGEST), 200, 3), 80, 100, 160]:
        monkeypatch.setattr(columns, "console", lambda width=width: Console(width=width, highlight=False))
        found = stage.run(*command).stdout
        if command[0] == "coverage":
            assert found.count("2026-01-01 00:00:00.000Z") >= 1, (width, found)
        else:
            begun = [line for line in found.splitlines() if line.startswith(("okx:", "binance:"))]
            assert [line.split()[0] for line in begun] == [str(one) for one in IDS], (width, found)
        assert "…" not in found.replace(" … ", " "), (width, found)
        assert all(cell_len(line) <= width for line in found.splitlines()), (width, found)


def test_results_of_orders_show_ids_whole_in_every_width(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for width in range(len(LONGEST), 140):
        monkeypatch.setattr(columns, "console", lambda width=width: Console(width=width, highlight=False))
        _print_table([Result(id=one, done=True, outcome=WHY) for one in IDS])
        begun = [
            line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith(("okx:", "binance:"))
        ]
        assert begun == [str(one) for one in IDS], width


# --- every command, in a terminal -------------------------------------------------------------------------------------


@pytest.fixture
def env(tmp_path: Path, redis_server: RedisServer) -> dict[str, str]:
    """That of a shell in which the commands find that fleet, and its Redis."""
    fleet = tmp_path / "fleet.toml"
    fleet.write_text(FLEET, encoding="utf-8")
    fill(redis_server.client)
    place = {"TICKFLEET_ROOT": str(tmp_path), "TICKFLEET_FLEET": str(fleet), "TICKFLEET_REDIS_URL": redis_server.url}
    return {**os.environ, **place}


EVERY: dict[tuple[str, ...], list[object]] = {
    ("status",): [*IDS],
    ("list",): [*IDS],
    ("coverage", LONGEST): [],
    ("events",): [*IDS],
    ("plan",): [*IDS],
    ("why", LONGEST): [LONGEST],
    ("doctor", "--offline"): [],
    ("tail", "all", "ticker", "--since", "oldest", "--count", str(len(IDS))): [*IDS],
    ("tail", "all", "coverage", "--since", "oldest", "--count", str(3 * len(IDS))): [*IDS],
}


@pytest.mark.parametrize("width", [80, 100, 160])
@pytest.mark.parametrize("command", EVERY, ids=lambda command: " ".join(command[:3:2] if len(command) > 2 else command))
def test_no_line_is_left_to_the_terminal_to_break(command: tuple[str, ...], width: int, env: dict[str, str]) -> None:
    lines = shown([str(BIN / "manager-cli"), *command], width, env)
    text = "\n".join(lines)
    assert [str(one) for one in EVERY[command] if not any(str(one) in line.split() for line in lines)] == [], text
    assert [line for line in lines if cell_len(line) > width and " " in line.strip()] == [], text
    assert "Traceback" not in text
