from typing import Any

import pytest

from manager.cli.doctor.exchange_checks import Visit, check_exchanges, trouble_of
from manager.cli.doctor.exchange_places import Place, others
from manager.cli.doctor.findings import Severity, bad, ok, skipped

REST = Place(exchange="okx", field="rest", url="https://www.okx.com", probe="/api/v5/public/time")
OLD = Place(exchange="okx", field="ws_public", url="wss://ws.okx.com:8443/ws/v5/public", probe="")
PROXY = Place(exchange="okx", field="rest", url="http://proxy:8000", probe="/api/v5/public/time")


def visit(**changes: Any) -> Visit:
    return Visit(**{"place": REST, "took_s": 0.12, "ahead_s": 0.3, **changes})


def test_reached() -> None:
    assert check_exchanges([visit(), visit(place=OLD, ahead_s=None)]) == [
        ok("reach okx", "https://www.okx.com in 120 ms"),
        ok("reach okx", "wss://ws.okx.com:8443/ws/v5/public in 120 ms"),
        ok("clock", "agrees with the exchanges to the second"),
    ]


def test_not_reached_says_which_address_answers_instead() -> None:
    other = others(OLD)[0]
    found = check_exchanges([visit(place=OLD, trouble="port 8443 refuses the connection", ahead_s=None, instead=other)])
    source = "https://www.okx.com/docs-v5/log_en/ (entry of 2026-09-30) and /docs-v5/en/ (overview, production)"
    assert found == [
        bad(
            "reach okx",
            "wss://ws.okx.com:8443/ws/v5/public: port 8443 refuses the connection",
            'under [exchanges.okx] write ws_public = "wss://ws.okx.com/ws/v5/public": that one answers'
            f" (as of 2026-11: {source})",
        ),
        skipped("clock", "no exchange told its time"),
    ]


def test_not_reached_nor_any_other() -> None:
    assert check_exchanges([visit(trouble="its name cannot be resolved"), visit(place=PROXY, trouble="HTTP 502")]) == [
        bad(
            "reach okx",
            "https://www.okx.com: its name cannot be resolved",
            "see network, DNS and firewall; no other address of the exchange answers either"
            " (https://eea.okx.com, https://us.okx.com)",
        ),
        bad(
            "reach okx",
            "http://proxy:8000: HTTP 502",
            "see network, DNS and firewall; the exchange's own address is https://www.okx.com",
        ),
        ok("clock", "agrees with the exchanges to the second"),
    ]


@pytest.mark.parametrize(
    ("status", "location", "trouble"),
    [
        (200, "", ""),
        (204, "", ""),
        (101, "", "HTTP 101: it does not do what a collector asks"),
        (301, "https://www.okx.com/x", "HTTP 301: it has moved to https://www.okx.com"),
        (302, "/login", "HTTP 302: it has moved to https://h"),
        (302, "http://[::1", "HTTP 302: it has moved to nowhere"),
        (400, "", "HTTP 400: it does not do what a collector asks"),
        (403, "", "HTTP 403: it forbids us to ask, as a firewall does"),
        (404, "", "HTTP 404: it has nothing at this path"),
        (418, "", "HTTP 418: it turned us away"),
        (429, "", "HTTP 429: it turned us away"),
        (451, "", "HTTP 451: it does not serve the place that this machine calls from"),
        (503, "", "HTTP 503: it has trouble of its own"),
    ],
)
def test_a_status_is_told_with_what_it_means(status: int, location: str, trouble: str) -> None:
    assert trouble_of(status, range(200, 300), "https://h/x", location) == trouble


@pytest.mark.parametrize(
    ("ahead", "level", "found"),
    [
        ([1.5], Severity.OK, "agrees with the exchanges to the second"),
        ([-7.0], Severity.WARNING, "7 s behind the exchanges"),
        ([240.0, 241.0], Severity.BAD, "240 s ahead of the exchanges"),
        ([240.0, 0.2], Severity.OK, "agrees with the exchanges to the second"),  # one of the others is wrong
    ],
)
def test_the_clock(ahead: list[float], level: Severity, found: str) -> None:
    finding = check_exchanges([visit(ahead_s=each) for each in ahead])[-1]
    assert (finding.level, finding.found) == (level, found)
