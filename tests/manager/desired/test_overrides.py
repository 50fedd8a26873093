import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from common.config.collector import ExchangeCollectorConfig
from common.config.exchanges import PROFILES
from common.config.fleet_file import Fleet
from manager.desired.overrides import Desired, Override, OverrideState, Stamp, encode, merge
from manager.model.verdicts import Judgement, Verdict
from tests.manager.fakes import config
from tickfleet.contract.identity import CollectorId
from tickfleet.redis.config import RedisConfig

AT_NS = 1_774_778_400_000_000_000  # 2026-03-29 10:00:00 UTC
BTC, ETH = config(), config("ETH-USDT")
OFF = config("SOL-USDT", enabled=False)
FILE = Fleet(redis=RedisConfig(), collectors=(BTC, ETH, OFF))
NEW = CollectorId("okx", "XRP-USDT")
TABLE: dict[str, Any] = {"exchange": "okx", "symbol": "XRP-USDT", "data_types": ["trade"]}
ADDED = ExchangeCollectorConfig("okx", "XRP-USDT", FILE.resolve(TABLE).data_types)


def override(state: str, **more: Any) -> Override:
    return Override(**{"state": OverrideState(state), "who": "alice", "at": AT_NS, **more})


def merged(**entries: Override) -> Desired:
    """The fleet with overrides by symbol, ``-`` written ``_``."""
    return merge(FILE, {f"okx:{name.replace('_', '-')}": encode(each) for name, each in entries.items()})


def test_without_run_time_changes_it_is_the_file() -> None:
    assert merge(FILE, {}) == Desired(fleet=FILE, in_file={BTC.id: BTC, ETH.id: ETH, OFF.id: OFF})


@pytest.mark.parametrize("state", ["disabled", "stopped"])
def test_what_is_disabled_or_stopped_is_not_to_run(state: str) -> None:
    desired = merged(BTC_USDT=override(state, why="maintenance"))
    assert desired.fleet.collectors == (replace(BTC, enabled=False), ETH, OFF)
    assert desired.why_idle(BTC.id) == f"{state} by alice at 2026-03-29 10:00 UTC: maintenance"
    assert (desired.why_idle(ETH.id), desired.why_idle(OFF.id)) == ("", "disabled in the fleet file")


def test_what_the_file_disables_may_be_enabled() -> None:
    desired = merged(SOL_USDT=override("enabled"))
    assert desired.fleet.collectors == (BTC, ETH, replace(OFF, enabled=True))
    assert desired.why_idle(OFF.id) == ""


def test_what_is_removed_is_not_there() -> None:
    desired = merged(BTC_USDT=override("removed"))
    assert desired.fleet.collectors == (ETH, OFF)
    assert desired.removed == {BTC.id: override("removed")}


def test_what_is_added_comes_after_the_files_in_the_order_of_its_coming() -> None:
    table = {"exchange": "okx", "symbol": "ADA-USDT", "data_types": ["trade"]}
    desired = merged(
        XRP_USDT=override("enabled", config=TABLE), ADA_USDT=override("enabled", config=table, at=AT_NS + 1)
    )
    assert desired.fleet.collectors == (BTC, ETH, OFF, ADDED, replace(ADDED, symbol="ADA-USDT"))
    assert desired.troubles == ()


def test_what_is_added_may_be_stopped_and_its_settings_are_kept() -> None:
    alice, stopped = Stamp(who="alice", at=AT_NS), override("stopped", who="bob", config=TABLE)
    desired = merged(XRP_USDT=replace(stopped, added=alice))
    assert desired.fleet.collectors == (BTC, ETH, OFF, replace(ADDED, enabled=False))
    assert desired.why_idle(NEW) == "stopped by bob at 2026-03-29 10:00 UTC"
    assert desired.overrides[NEW].origin == alice


def test_what_is_added_takes_the_defaults_of_the_file_as_it_is() -> None:
    ground = replace(FILE.ground, defaults=replace(FILE.ground.defaults, health_check_interval=7.0))
    desired = merge(replace(FILE, ground=ground), {str(NEW): encode(override("enabled", config=TABLE))})
    assert desired.fleet.find(NEW) == replace(ADDED, health_check_interval=7.0)


@pytest.mark.parametrize(
    ("given", "left", "there"),
    [
        (override("enabled", config={**TABLE, "symbol": "BTC-USDT"}), None, BTC),
        (override("enabled"), None, BTC),
        (
            override("stopped", config={**TABLE, "symbol": "BTC-USDT"}, added=Stamp(who="bob", at=1)),
            override("stopped"),
            replace(BTC, enabled=False),
        ),
    ],
    ids=["added", "enabled", "added and stopped"],
)
def test_what_the_file_lists_by_now_has_the_files_settings(
    given: Override, left: Override | None, there: ExchangeCollectorConfig
) -> None:
    desired = merged(BTC_USDT=given)
    assert desired.fleet.find(BTC.id) == there
    assert desired.spent == {"okx:BTC-USDT": left}
    assert desired.overrides == ({} if left is None else {BTC.id: left})


def test_an_override_of_what_the_file_no_longer_lists_rests() -> None:
    desired = merged(GONE_USDT=override("disabled"), LEFT_USDT=override("removed"))
    assert (desired.fleet, desired.overrides, desired.spent, desired.troubles) == (FILE, {}, {}, ())


@pytest.mark.parametrize(
    ("field", "text", "why"),
    [
        ("nonsense", encode(override("disabled")), "collector id 'nonsense' is not spelt exchange:SYMBOL"),
        ("okx:BTC-USDT", "{", "its entry is not one that this version knows"),
        ("okx:BTC-USDT", "[" * 100_000, "its entry is not one that this version knows"),
        ("okx:BTC-USDT", '{"state":"frozen","who":"a","at":1}', "its entry is not one that this version knows"),
        ("okx:BTC-USDT", '{"state":"stopped","who":"a","at":-1}', "its entry is not one that this version knows"),
        ("okx:ADA-USDT", encode(override("enabled", config=TABLE)), "its entry is about another collector"),
        (
            "okx:XRP-USDT",
            encode(override("enabled", config={**TABLE, "data_types": ["trad"]})),
            "data_types[0] is 'trad'; did you mean 'trade'? (known: trade, orderbook, ticker, candles)",
        ),
    ],
)
def test_an_entry_that_makes_no_sense_is_told_and_ignored(field: str, text: str, why: str) -> None:
    desired = merge(FILE, {field: text, "okx:ETH-USDT": encode(override("removed"))})
    assert desired.troubles == (f"the run-time change of {field} is ignored: {why}",)
    assert desired.fleet.collectors == (BTC, OFF)


def test_a_disabled_collector_is_explained_and_no_other() -> None:
    desired = merged(BTC_USDT=override("stopped"))
    judgements = [
        Judgement(config=BTC, verdict=Verdict.DISABLED, why="disabled in the fleet file"),
        Judgement(config=ETH, verdict=Verdict.HEALTHY, why="data flows"),
    ]
    assert [each.why for each in desired.explained(judgements)] == [
        "stopped by alice at 2026-03-29 10:00 UTC",
        "data flows",
    ]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (override("enabled", config=TABLE), "added by alice at 2026-03-29 10:00 UTC"),
        (override("enabled", config=TABLE, added=Stamp(who="bob", at=1)), "enabled by alice at 2026-03-29 10:00 UTC"),
        (override("removed", who="a\nb", why="\x1b[31m"), "removed by a b at 2026-03-29 10:00 UTC: [31m"),
    ],
)
def test_an_override_as_a_sentence(given: Override, told: str) -> None:
    assert given.sentence() == told


symbols = st.sampled_from(["BTC-USDT", "ETH-USDT", "SOL-USDT", "XRP-USDT", "ADA-USDT"])
tables = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {"exchange": st.sampled_from([*PROFILES, "okex"]), "symbol": symbols},
        optional={
            "data_types": st.lists(st.sampled_from(["trade", "ticker", "?"])),
            "enabled": st.booleans(),
            "unknown": st.none(),
        },
    ),
)
overrides = st.builds(
    Override,
    state=st.sampled_from(OverrideState),
    who=st.text(max_size=5),
    at=st.integers(0, 2**63 - 1),
    why=st.text(max_size=5),
    config=tables,
    added=st.one_of(st.none(), st.builds(Stamp, who=st.just("bob"), at=st.just(1))),
)
ids = st.builds(lambda exchange, symbol: f"{exchange}:{symbol}", st.sampled_from([*PROFILES, "okex"]), symbols)
json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
entries = st.dictionaries(
    ids | st.text(max_size=12), overrides.map(encode) | st.text(max_size=20) | json_values.map(json.dumps), max_size=6
)


@given(entries)
def test_any_hash_of_overrides_yields_a_fleet_and_each_entry_has_an_effect(
    found: dict[str, str],
) -> None:
    """Each entry counts, is reported, or waits for its collector."""
    desired = merge(FILE, found)
    names = [str(each.id) for each in desired.fleet.collectors]
    listed = [str(each.id) for each in FILE.collectors]
    assert len(set(names)) == len(names)
    untouched = [each for each in FILE.collectors if str(each.id) not in found]
    assert [each for each in desired.fleet.collectors if each in untouched] == untouched
    assert set(listed) - set(names) == {str(name) for name in desired.removed}
    assert {str(name) for name in desired.overrides} <= found.keys()
    assert len(desired.troubles) <= len(found)
    for each in desired.fleet.collectors:
        assert bool(desired.why_idle(each.id)) != each.enabled


@given(entries)
def test_tidying_up_what_is_spent_changes_nothing_more(found: dict[str, str]) -> None:
    desired = merge(FILE, found)
    tidied = {field: text for field, text in found.items() if field not in desired.spent}
    tidied |= {field: encode(left) for field, left in desired.spent.items() if left is not None}
    again = merge(FILE, tidied)
    assert (again.fleet, again.overrides, again.troubles) == (desired.fleet, desired.overrides, desired.troubles)
    assert again.spent == {}
