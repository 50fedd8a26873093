"""What is really written is what the schemas allow, and what is broken is not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import asdict

from collector_worker.exchanges.adapter import BookFrame, Instrument
from deploy.contract.examples import INSTRUMENT, read
from deploy.contract.messages import MESSAGES
from manager.decide.overlays import OutageMark, Overlays
from manager.desired import overrides as desired
from manager.model.verdicts import summarise
from manager.report.heartbeat import Beat
from tests.support.clock import ManualClock
from tests.support.market_items import START_NS
from tests.support.pipeline_rig import PipelineRig
from tests.support.schema_check import faults
from tests.support.strategies import events, texts
from tests.support.stream_writer import BTC, beat
from tickfleet.contract import coverage
from tickfleet.contract.codec import encode
from tickfleet.contract.events import BookSnapshot, Event, Level
from tickfleet.contract.health import Heartbeat
from tickfleet.contract.identity import CollectorId, DataType

EXAMPLES = {name: message.example for name, message in MESSAGES.items() if message.example is not None}


def check(name: str, value: Any) -> list[str]:
    return faults(MESSAGES[name].schema, value)


def as_texts(fields: dict[str, Any]) -> dict[str, str]:
    return {name: part.decode() if isinstance(part, bytes) else str(part) for name, part in fields.items()}


@given(events)
def test_every_event_is_allowed(event: Event) -> None:
    entry = read(encode(event))
    assert check(entry["type"], entry) == []
    assert check(entry["type"], {**entry, "field_of_a_later_version": "?"}) == []
    others = set(EXAMPLES) & {"trade", "book_snapshot", "book_delta", "ticker", "candle", "gap", "feed_status"}
    assert [name for name in others if not check(name, entry)] == [entry["type"]]


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_allowed(name: str) -> None:
    assert check(name, EXAMPLES[name]) == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_lacks_a_field_is_refused(name: str) -> None:
    needed = MESSAGES[name].schema["required"]
    assert needed
    for field in needed:
        lacking = {key: part for key, part in EXAMPLES[name].items() if key != field}
        assert check(name, lacking) == [f"$: {field!r} is a required property"]


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("trade", "side", "Buy"),
        ("trade", "origin", ""),
        ("trade", "ts_event", "1.5"),
        ("trade", "ts_recv", "1e18"),
        ("trade", "price", 42219.9),
        ("book_snapshot", "bids", '[["42219.9"]]'),
        ("book_snapshot", "bids", '[["42219.9", 1.5]]'),
        ("book_delta", "asks", "[["),
        ("book_delta", "seq", ""),
        ("candle", "closed", "true"),
        ("candle", "open_time", "now"),
        ("feed_status", "state", "fine"),
        ("gap", "from_ts", "-"),
        ("ledger_entry", "kind", "lost"),
        ("ledger_entry", "at", "-1"),
        ("book", "stream_id", "12"),
        ("book", "state", ""),
        ("heartbeat", "state", "asleep"),
        ("heartbeat", "trade_count", "many"),
        ("fleet_event", "what", "nothing"),
    ],
)
def test_what_is_malformed_is_refused(name: str, field: str, value: object) -> None:
    (fault,) = check(name, {**EXAMPLES[name], field: value})
    assert field in fault


_ns = st.none() | st.integers(0, 2**63 - 1)
_ledger_entries = st.builds(
    dict,
    kind=st.sampled_from(coverage.LedgerKind),
    at=st.integers(0, 2**63 - 1),
    run_id=texts,
    data_type=st.sampled_from(DataType),
    interval=texts,
    from_ts=st.integers(0, 2**63 - 1),
    to_ts=st.integers(0, 2**63 - 1),
    from_id=st.none() | texts,
    to_id=st.none() | texts,
    reason=texts,
    continues=st.booleans(),
).map(lambda fields: coverage.LedgerEntry(**fields))


@given(_ledger_entries)
def test_every_ledger_entry_is_allowed(entry: coverage.LedgerEntry) -> None:
    assert check("ledger_entry", read(coverage.encode(entry))) == []


def test_a_heartbeat_is_allowed_and_has_no_field_unknown() -> None:
    full: Heartbeat = beat(exit_code=78, cpu_seconds=1e-05)
    fields = as_texts(full.to_fields())
    assert check("heartbeat", fields) == []
    assert set(fields) <= set(MESSAGES["heartbeat"].schema["properties"])


def test_the_book_hash_of_a_collector_is_allowed(clock: ManualClock) -> None:
    rig = PipelineRig(clock)
    snapshot = BookSnapshot(
        ts_event=START_NS, ts_recv=START_NS, bids=[Level("10", "1")], asks=[Level("11", "1")], reason=""
    )
    rig.pipeline.on_event(BookFrame(snapshot))
    rig.pipeline.write_book_hash()
    hashes = [as_texts(dict(fields)) for fields in (*rig.first_hashes, *rig.hashes())]
    assert [fields["state"] for fields in hashes] == ["syncing", "valid"]
    assert [check("book", fields) for fields in hashes] == [[], []]
    assert set(hashes[1]) == set(MESSAGES["book"].schema["properties"])


def test_the_facts_of_an_instrument_are_allowed() -> None:
    spot = Instrument(symbol="BTC-USDT", native="BTC-USDT", state="live", tick_size="0.1", lot_size="1", min_size="1")
    facts = {name: part for name, part in asdict(spot).items() if name != "crossed_is_legal"}
    assert check("instrument", facts) == []
    assert set(facts) == set(INSTRUMENT)


def test_the_managers_heartbeat_is_allowed_and_has_no_field_unknown() -> None:
    overlays = Overlays(outages={"okx": OutageMark(1, 2)}, stood_down=frozenset({"okx:A-B"}))
    parked = {CollectorId("okx", "BTC-USDT"): 3}
    fields = as_texts({**Beat(1, "f").fields(2, "trouble", summarise([]), parked, overlays), "metrics_port": "9464"})
    assert check("manager_heartbeat", fields) == []
    assert set(fields) == set(MESSAGES["manager_heartbeat"].schema["properties"])
    assert check("manager_heartbeat", {**fields, "parked": "[]"}) != []


def test_an_override_is_allowed() -> None:
    override = desired.Override(who="alice", at=1, state=desired.OverrideState.ENABLED, config={"exchange": "okx"})
    assert check("fleet_desired", {str(BTC): desired.encode(override)}) == []
    (fault,) = check("fleet_desired", {str(BTC): '{"who":"alice","at":1}'})
    assert fault == "okx:BTC-USDT: $: 'state' is a required property"
