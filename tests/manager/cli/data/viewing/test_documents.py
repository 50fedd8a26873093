import json

from hypothesis import given

from manager.cli.data.viewing.documents import entry_json, ledger_json
from manager.cli.data.viewing.ledgers import LedgerRow
from tests.support import strategies
from tests.support.stream_writer import BTC, BTC_TRADES, trade
from tickfleet.contract.codec import encode
from tickfleet.contract.coverage import LedgerEntry, LedgerKind
from tickfleet.contract.events import Event, Gap, Ticker
from tickfleet.contract.identity import DataType
from tickfleet.reading.entries import Entry, Missed
from tickfleet.reading.selection import StreamName


@given(strategies.events)
def test_it_says_what_the_entry_says(event: Event) -> None:
    text = entry_json(Entry(StreamName(BTC, DataType.CANDLES, "1m"), "1-7", event))
    found = json.loads(text)
    assert "\n" not in text
    assert [found.pop(name) for name in ("collector", "stream", "id")] == ["okx:BTC-USDT", "candles:1m", "1-7"]
    fields = encode(event)
    said = {str(name): value for name, value in zip(fields[::2], fields[1::2], strict=True)}
    expected = {name: json.loads(v) if name in ("bids", "asks") else v for name, v in said.items()}  # type: ignore[arg-type]
    assert found == expected


def test_a_line_as_a_person_sees_it() -> None:
    assert entry_json(Entry(BTC_TRADES, "1000-7", trade(7))) == (
        '{"collector":"okx:BTC-USDT","stream":"trade","id":"1000-7","type":"trade","ts_event":1767225600000000007,'
        '"ts_recv":1767225600000000007,"trade_id":"7","price":"42219.9","size":"0.5","side":"buy","origin":"live"}'
    )
    assert "bid" not in entry_json(Entry(BTC_TRADES, "1-1", Ticker(ts_event=1, ts_recv=2, last="1")))
    told = Missed(ts_event=1, ts_recv=2, count=3, after_id="1-1", before_id="1-5", reason="trimmed")
    assert json.loads(entry_json(Entry(BTC_TRADES, "1-1", told)))["type"] == "missed"


def test_a_ledger() -> None:
    entry = LedgerEntry(kind=LedgerKind.COMPLETE, at=1, run_id="r", data_type=DataType.TRADE, to_ts=9)
    assert json.loads(ledger_json(LedgerRow(BTC, "1-1", entry))) == {
        "collector": "okx:BTC-USDT", "stream": "coverage", "id": "1-1", "type": "coverage", "kind": "complete", "at": 1,
        "run_id": "r", "data_type": "trade", "interval": "", "to_ts": 9, "reason": "", "continues": False,
    }  # fmt: skip


def test_what_a_terminal_obeys_is_escaped_as_json_has_it() -> None:
    reason = "\x1b[2J\x7f\u009b2J\u202e币"
    text = entry_json(Entry(BTC_TRADES, "1-1", Gap(ts_event=1, ts_recv=2, reason=reason)))
    assert text.isprintable()
    assert json.loads(text)["reason"] == reason
