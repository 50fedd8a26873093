from typing import Any

import pytest

from common.config.fleet_file import Fleet
from manager.cli.orders.orders import Change, Order, addition, change, choose
from manager.desired.overrides import Desired, Override, OverrideState, Stamp, encode, merge
from tests.manager.fakes import config
from tickfleet.contract.identity import CollectorId
from tickfleet.errors import UsageError
from tickfleet.redis.config import RedisConfig

FILE = Fleet(redis=RedisConfig(), collectors=(config(), config("ETH-USDT"), config("SOL-USDT", enabled=False)))
BTC, SOL, XRP = (CollectorId("okx", symbol) for symbol in ("BTC-USDT", "SOL-USDT", "XRP-USDT"))
TABLE: dict[str, Any] = {"exchange": "okx", "symbol": "XRP-USDT"}
BOB, ALICE = Stamp(who="bob", at=2, why="because"), Stamp(who="alice", at=1)


def override(state: str, by: Stamp = ALICE, **more: Any) -> Override:
    return Override(who=by.who, at=by.at, why=by.why, state=OverrideState(state), **more)


def fleet(**entries: Override) -> Desired:
    return merge(FILE, {f"okx:{name}-USDT": encode(each) for name, each in entries.items()})


ADDED = override("enabled", config=TABLE)


@pytest.mark.parametrize(
    ("collector", "before", "order", "after"),
    [
        (BTC, None, "stop", override("stopped", BOB)),
        (BTC, None, "disable", override("disabled", BOB)),
        (BTC, None, "start", "keeps"),
        (BTC, None, "enable", "keeps"),
        (BTC, None, "remove", override("removed", BOB)),
        (BTC, override("stopped"), "start", None),
        (BTC, override("stopped"), "enable", None),
        (BTC, override("stopped"), "stop", "keeps"),
        (BTC, override("stopped"), "disable", override("disabled", BOB)),
        (BTC, override("stopped"), "remove", override("removed", BOB)),
        (BTC, override("disabled"), "enable", None),
        (BTC, override("disabled"), "stop", "keeps"),
        (BTC, override("disabled"), "disable", "keeps"),
        (BTC, override("removed"), "enable", None),
        (SOL, None, "enable", override("enabled", BOB)),
        (SOL, None, "stop", "keeps"),
        (SOL, None, "disable", "keeps"),
        (SOL, None, "remove", override("removed", BOB)),
        (SOL, override("enabled"), "enable", "keeps"),
        (SOL, override("enabled"), "stop", override("stopped", BOB)),
        (SOL, override("enabled"), "disable", override("disabled", BOB)),
        (SOL, override("stopped"), "start", override("enabled", BOB)),
        (SOL, override("removed"), "enable", override("enabled", BOB)),
        (XRP, ADDED, "enable", "keeps"),
        (XRP, ADDED, "stop", override("stopped", BOB, config=TABLE, added=ALICE)),
        (XRP, ADDED, "remove", None),
        (
            XRP,
            override("stopped", config=TABLE, added=ALICE),
            "start",
            override("enabled", BOB, config=TABLE, added=ALICE),
        ),
        (XRP, override("disabled", config=TABLE, added=ALICE), "remove", None),
    ],
)
def test_what_an_order_changes(
    collector: CollectorId, before: Override | None, order: str, after: Override | str | None
) -> None:
    desired = fleet(**({collector.symbol.partition("-")[0]: before} if before else {}))
    found = change(desired, Order(order), collector, BOB)
    if after == "keeps":
        assert (found.keeps, found.override) == (True, before)
    else:
        assert found == Change(id=collector, override=after)  # type: ignore[arg-type]  # a text only for "keeps"


@pytest.mark.parametrize(
    ("order", "names", "chosen"),
    [
        ("stop", ["all"], ["BTC", "ETH", "SOL"]),
        ("start", ["all"], ["BTC", "ETH"]),
        (None, ["all"], ["ETH"]),
        ("enable", ["okx:XRP-USDT", "okx:E*", "okx:XRP-USDT"], ["ETH", "XRP"]),
        ("enable", ["all"], ["BTC", "ETH", "SOL"]),
        ("remove", ["okx:SOL-USDT", "okx:BTC-USDT"], ["BTC", "SOL"]),
    ],
)
def test_whom_an_order_is_for(order: str | None, names: list[str], chosen: list[str]) -> None:
    extended = Fleet(redis=RedisConfig(), collectors=(*FILE.collectors, config("XRP-USDT")))
    entries = {"okx:BTC-USDT": encode(override("stopped")), "okx:XRP-USDT": encode(override("removed"))}
    found = choose(merge(extended, entries), names, Order(order) if order else None)
    assert [each.symbol.partition("-")[0] for each in found] == chosen


@pytest.mark.parametrize(
    ("order", "names", "why"),
    [
        (
            "start",
            ["okx:BTC-USDT"],
            "okx:BTC-USDT is disabled by alice at 1970-01-01 00:00 UTC (manager-cli enable okx:BTC",
        ),
        ("start", ["okx:S*"], "all collectors that okx:S* names are disabled or stopped"),
        (None, ["okx:ETH-USDT"], "okx:ETH-USDT is stopped by alice at 1970-01-01 00:00 UTC (manager-cli start okx:ETH"),
        (
            "stop",
            ["okx:XRP-USDT"],
            "okx:XRP-USDT is removed by alice at 1970-01-01 00:00 UTC (manager-cli enable okx:XRP",
        ),
        ("disable", ["okx:X*"], "no collector matches 'okx:X*' (manager-cli list shows them)"),
        ("remove", ["okx:*"], "remove wants the IDs of collectors, not a pattern as 'okx:*'"),
    ],
)
def test_whom_an_order_is_not_for(order: str | None, names: list[str], why: str) -> None:
    extended = Fleet(redis=RedisConfig(), collectors=(*FILE.collectors, config("XRP-USDT")))
    states = {"BTC": "disabled", "ETH": "stopped", "XRP": "removed"}
    entries = {f"okx:{name}-USDT": encode(override(state)) for name, state in states.items()}
    with pytest.raises(UsageError) as caught:
        choose(merge(extended, entries), names, Order(order) if order else None)
    assert str(caught.value).startswith(why)


@pytest.mark.parametrize(("order", "left"), [("enable", None), ("start", None), ("stop", override("stopped", BOB))])
def test_an_entry_that_does_not_count_is_replaced(order: str, left: Override | None) -> None:
    desired = merge(FILE, {"okx:BTC-USDT": "{"})
    assert change(desired, Order(order), BTC, BOB) == Change(id=BTC, override=left)


def test_an_addition_keeps_its_table() -> None:
    assert addition(fleet(), TABLE, BOB) == Change(id=XRP, override=override("enabled", BOB, config=TABLE))


@pytest.mark.parametrize(
    ("symbol", "state", "why"),
    [
        ("XRP", ADDED, "okx:XRP-USDT is in the fleet already"),
        (
            "XRP",
            override("stopped", config=TABLE),
            "okx:XRP-USDT is in the fleet already, stopped by alice at 1970-01-01 00:00 UTC (manager-cli enable ",
        ),
    ],
)
def test_an_addition_of_what_is_there_is_refused(symbol: str, state: Override, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        addition(fleet(**{symbol: state}), TABLE, BOB)
    assert str(caught.value).startswith(why)
