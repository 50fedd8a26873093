import pytest

from manager.cli.doctor.exchange_checks import Visit, check_exchanges
from manager.cli.doctor.findings import Level, bad, ok, skipped


def visit(**changes: object) -> Visit:
    return Visit(**{"exchange": "okx", "address": "https://www.okx.com", "took_s": 0.12, "ahead_s": 0.3, **changes})  # type: ignore[arg-type]


def test_reached() -> None:
    assert check_exchanges([visit(), visit(address="wss://ws.okx.com", ahead_s=None)]) == [
        ok("reach okx", "https://www.okx.com in 120 ms"),
        ok("reach okx", "wss://ws.okx.com in 120 ms"),
        ok("clock", "agrees with the exchanges to the second"),
    ]


def test_not_reached_says_how_to_mend_it() -> None:
    assert check_exchanges([visit(trouble="its name cannot be resolved", ahead_s=None)]) == [
        bad(
            "reach okx",
            "https://www.okx.com: its name cannot be resolved",
            "see network, DNS and firewall; [exchanges.okx] in the fleet file names other hosts",
        ),
        skipped("clock", "no exchange told its time"),
    ]


@pytest.mark.parametrize(
    ("ahead", "level", "found"),
    [
        ([1.5], Level.OK, "agrees with the exchanges to the second"),
        ([-7.0], Level.WARNING, "7 s behind the exchanges"),
        ([240.0, 241.0], Level.BAD, "240 s ahead of the exchanges"),
        ([240.0, 0.2], Level.OK, "agrees with the exchanges to the second"),  # one of the others is wrong
    ],
)
def test_the_clock(ahead: list[float], level: Level, found: str) -> None:
    finding = check_exchanges([visit(ahead_s=each) for each in ahead])[-1]
    assert (finding.level, finding.found) == (level, found)
