import pytest

from manager.decide.history import CollectorPast
from manager.decide.outage import Outage
from manager.decide.overlays import NO_OVERLAYS, OutageMark, Overlays, overlays_of, read_overlays
from manager.model.verdicts import Judgement, Verdict
from manager.observe.writes import NoWrites
from manager.settings import ManagerSettings
from tests.manager.fakes import NOW_NS, S, config

LIMITS = ManagerSettings()
OVERLAYS = Overlays(
    outages={"okx": OutageMark(NOW_NS, NOW_NS + 30 * S)},
    stood_down=frozenset({"okx:BTC-USDT", "binance:BTC-USDT"}),
)
LEFT_ALONE = "the restarts did not hold: left alone until a person restarts it"


def judgement_of(verdict: Verdict, symbol: str = "BTC-USDT") -> Judgement:
    return Judgement(config=config(symbol), verdict=verdict, why="because")


@pytest.mark.parametrize(
    ("verdict", "symbol", "overlays", "verdict_then", "why"),
    [
        (Verdict.SILENT, "BTC-USDT", NO_OVERLAYS, Verdict.SILENT, "because"),
        (
            Verdict.SILENT,
            "ETH-USDT",
            OVERLAYS,
            Verdict.EXCHANGE_OUTAGE,
            "okx has been out since 08:00:00 UTC, next probe at 08:00:30 UTC: because",
        ),
        (
            Verdict.SILENT,
            "BTC-USDT",
            OVERLAYS,
            Verdict.EXCHANGE_OUTAGE,
            f"okx has been out since 08:00:00 UTC, next probe at 08:00:30 UTC: because; {LEFT_ALONE}",
        ),
        (
            Verdict.SILENT,
            "BTC-USDT",
            Overlays(stood_down=frozenset({"okx:BTC-USDT"})),
            Verdict.SILENT,
            f"because; {LEFT_ALONE}",
        ),
        (
            Verdict.HUNG,
            "BTC-USDT",
            OVERLAYS,
            Verdict.HUNG,
            f"because; {LEFT_ALONE}",
        ),  # a fault of its own, outage or not
        (Verdict.HUNG, "ETH-USDT", OVERLAYS, Verdict.HUNG, "because"),
        *(
            (verdict, "BTC-USDT", OVERLAYS, verdict, "because")
            for verdict in Verdict
            if verdict not in (Verdict.SILENT, Verdict.HUNG)
        ),
    ],
)
def test_what_follows_from_the_marks(
    verdict: Verdict, symbol: str, overlays: Overlays, verdict_then: Verdict, why: str
) -> None:
    (judgement,) = overlays.applied([judgement_of(verdict, symbol)])
    assert (judgement.verdict, judgement.why) == (verdict_then, why)


def test_an_outage_of_one_exchange_is_none_of_another() -> None:
    overlays = Overlays(outages={"binance": OutageMark(NOW_NS, NOW_NS)})
    assert overlays.applied([judgement_of(Verdict.SILENT)]) == [judgement_of(Verdict.SILENT)]


def test_the_marks_follow_from_the_journal() -> None:
    outages = {"okx": Outage(began_ns=NOW_NS), "binance": Outage(began_ns=NOW_NS, ended_ns=NOW_NS + S)}
    history = {
        "okx:BTC-USDT": CollectorPast(stood_down_ns=NOW_NS),
        "okx:ETH-USDT": CollectorPast(stood_down_ns=NOW_NS, well_since_ns=NOW_NS - 600 * S),
        "okx:SOL-USDT": CollectorPast(),
    }
    assert overlays_of(outages, history, NOW_NS, LIMITS) == Overlays(
        outages={"okx": OutageMark(NOW_NS, NOW_NS + 30 * S)}, stood_down=frozenset({"okx:BTC-USDT"})
    )


def test_the_marks_in_the_heartbeat() -> None:
    fields = OVERLAYS.to_fields()
    assert fields == {
        "outages": f'{{"okx":{{"since_ns":{NOW_NS},"next_probe_ns":{NOW_NS + 30 * S}}}}}',
        "stood_down": '["binance:BTC-USDT","okx:BTC-USDT"]',
        "no_writes": "",
        "settling": "0",
    }
    assert read_overlays(fields) == OVERLAYS
    assert NO_OVERLAYS.to_fields() == {"outages": "{}", "stood_down": "[]", "no_writes": "", "settling": "0"}


def test_while_redis_refuses_writes_heartbeats_prove_nothing() -> None:
    """Neither one that is missing nor one that is there."""
    overlays = Overlays(stood_down=frozenset({"okx:BTC-USDT"}), no_writes=NoWrites("OOM", NOW_NS))
    hung = Judgement(config=config(), verdict=Verdict.HUNG, why="no heartbeat for 11 s", on_absence=True)
    alone = Judgement(config=config(), verdict=Verdict.DEAD, why="no heartbeat", on_absence=True)
    dead = judgement_of(Verdict.DEAD)
    silent, healthy, quiet = judgement_of(Verdict.SILENT), judgement_of(Verdict.HEALTHY), judgement_of(Verdict.QUIET)
    assert [(each.verdict, each.why) for each in overlays.applied([hung, alone, healthy, quiet, dead, silent])] == [
        (Verdict.UNKNOWN, "Redis takes no writes: OOM, since 08:00:00 UTC"),
        (Verdict.UNKNOWN, "Redis takes no writes: OOM, since 08:00:00 UTC"),
        (Verdict.UNKNOWN, "Redis takes no writes: OOM, since 08:00:00 UTC"),
        (Verdict.UNKNOWN, "Redis takes no writes: OOM, since 08:00:00 UTC"),
        (Verdict.DEAD, "because"),
        (Verdict.SILENT, f"because; {LEFT_ALONE}"),
    ]
    assert read_overlays(overlays.to_fields()) == overlays


def test_what_is_missing_just_after_redis_came_back_is_no_verdict() -> None:
    overlays = Overlays(settling=True)
    hung = Judgement(config=config(), verdict=Verdict.HUNG, why="no heartbeat for 11 s", on_absence=True)
    alone = Judgement(config=config(), verdict=Verdict.DEAD, why="no heartbeat", on_absence=True)
    starting = Judgement(config=config(), verdict=Verdict.STARTING, why="no heartbeat yet", on_absence=True)
    awaited = "its next heartbeat is awaited: Redis, or the manager, was not there until a moment ago"
    seen = [hung, alone, starting, *(judgement_of(verdict) for verdict in Verdict)]
    assert [(each.verdict, each.why) for each in overlays.applied(seen)] == [
        (Verdict.UNKNOWN, awaited),
        (Verdict.UNKNOWN, awaited),
        (Verdict.STARTING, "no heartbeat yet"),
        *((verdict, "because") for verdict in Verdict),
    ]
    assert [overlays.hide(each) for each in seen] == [True, True, False, *(False for _ in Verdict)]
    assert read_overlays(overlays.to_fields()) == overlays


@pytest.mark.parametrize("fields", [{}, {"outages": "nonsense"}, {"stood_down": "7"}, {"outages": '{"okx":{}}'}])
def test_what_is_no_mark_marks_nothing(fields: dict[str, str]) -> None:
    assert read_overlays(fields) == NO_OVERLAYS
