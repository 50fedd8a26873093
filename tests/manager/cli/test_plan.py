from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from common.config.collector import ExchangeCollectorConfig
from common.config.worker_file import WorkerFile
from manager.cli.plan import Difference, Effect, Plan, Touched, lines, make_plan
from tests.manager.fakes import config
from tickfleet.redis.config import MaxLen

BTC, ETH = config(), config("ETH-USDT")


def content(of: ExchangeCollectorConfig = BTC, **more: Any) -> WorkerFile:
    return WorkerFile(**{"collector": of, "redis_url": "redis://db/0", "maxlen": MaxLen(), **more})


def touched(before: WorkerFile, after: WorkerFile) -> tuple[list[tuple[str, str, str]], Effect]:
    (each,) = make_plan([after], {BTC.id: before}).changed
    return [(d.key, d.before, d.after) for d in each.differences], each.effect


@pytest.mark.parametrize(
    ("before", "after", "differences", "effect"),
    [
        (BTC, replace(BTC, enabled=False), [("enabled", "true", "false")], Effect.STOPPED),
        (replace(BTC, enabled=False), BTC, [("enabled", "false", "true")], Effect.STARTED),
        (BTC, replace(BTC, auto_restart=False), [("auto_restart", "true", "false")], Effect.REPLACED),
        (BTC, replace(BTC, health_check_interval=9.5), [("health_check_interval", "30", "9.5")], Effect.REPLACED),
        (
            BTC,
            replace(BTC, custom_params={"book_channel": "books5"}),
            [("custom_params.book_channel", "default", "books5")],
            Effect.REPLACED,
        ),
        (
            replace(BTC, enabled=False),
            replace(BTC, enabled=False, store_raw_data=True),
            [("store_raw_data", "false", "true")],
            Effect.NONE,
        ),
        (
            BTC,
            replace(BTC, enabled=False, candle_intervals=("5m",)),
            [("candle_intervals", "1m", "5m"), ("enabled", "true", "false")],
            Effect.STOPPED,
        ),
    ],
)
def test_what_becomes_of_a_changed_collector(
    before: ExchangeCollectorConfig,
    after: ExchangeCollectorConfig,
    differences: list[tuple[str, str, str]],
    effect: Effect,
) -> None:
    assert touched(content(before), content(after)) == (differences, effect)


@pytest.mark.parametrize(
    ("change", "difference", "effect"),
    [
        ({"maxlen": MaxLen(trade=7)}, ("redis.maxlen.trade", "200000", "7"), Effect.REPLACED),
        ({"redis_url": "redis://db/1"}, ("redis.url", "redis://db/0", "redis://db/1"), Effect.REPLACED),
        ({"password_file": "/secret"}, ("redis.password_file", "default", "/secret"), Effect.NONE),
    ],
)
def test_what_becomes_of_all_when_redis_changes(
    change: dict[str, Any], difference: tuple[str, str, str], effect: Effect
) -> None:
    assert touched(content(), content(**change)) == ([difference], effect)


def test_a_whole_plan_as_people_read_it() -> None:
    off = config("OFF-USDT", enabled=False)
    plan = make_plan(
        [content(replace(BTC, store_raw_data=True)), content(ETH), content(config("NEW-USDT")), content(off)],
        {BTC.id: content(), ETH.id: content(ETH), config("OLD-USDT").id: None},
    )
    raw = Difference(key="store_raw_data", before="false", after="true")
    assert plan == Plan(
        added={config("NEW-USDT").id: Effect.STARTED, off.id: Effect.NONE},
        changed=(Touched(id=BTC.id, differences=(raw,), effect=Effect.REPLACED),),
        removed=(config("OLD-USDT").id,),
        unchanged=1,
    )
    assert lines(plan) == [
        "+ okx:NEW-USDT  starts",
        "+ okx:OFF-USDT  disabled",
        "~ okx:BTC-USDT  store_raw_data: false -> true  (the process is replaced)",
        "- okx:OLD-USDT  leaves the fleet, its streams stay",
        "4 to change, 1 as they should be",
    ]


symbols = st.sampled_from(["A-USDT", "B-USDT", "C-USDT", "D-USDT"])
fleets: st.SearchStrategy[dict[str, dict[str, Any]]] = st.dictionaries(
    symbols, st.builds(dict, enabled=st.booleans(), health_check_interval=st.sampled_from([5.0, 30.0]))
)


@given(fleets, fleets)
def test_a_plan_names_each_collector_once_and_is_empty_when_all_is_applied(
    wanted: dict[str, dict[str, Any]], applied: dict[str, dict[str, Any]]
) -> None:
    after = [content(config(symbol, **settings)) for symbol, settings in wanted.items()]
    before = {each.collector.id: each for each in (content(config(s, **settings)) for s, settings in applied.items())}
    plan = make_plan(after, before)
    named = [*plan.added, *(each.id for each in plan.changed), *plan.removed]
    assert len(set(named)) == len(named)
    assert len(named) + plan.unchanged == len(wanted.keys() | applied.keys())
    assert plan.nothing == (wanted == applied)
    assert make_plan(after, {each.collector.id: each for each in after}).nothing
