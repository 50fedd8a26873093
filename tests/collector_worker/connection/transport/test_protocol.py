import pytest

from collector_worker.connection.transport.protocol import closed, host_of, turned_away, unreachable
from tickfleet.errors import InvalidConfigurationError


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("wss://ws.okx.com/ws/v5/public", "ws.okx.com"),
        ("ws://127.0.0.1:1/", "127.0.0.1"),
        ("ws://[::1]:7777", "::1"),
        ("wss://user:secret@exchange.test/stream?streams=a/b", "exchange.test"),
    ],
)
def test_the_host_of_an_address(url: str, host: str) -> None:
    assert host_of(url) == host


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("", ""),
        ("ws://", "ws://"),
        ("ws:///path", "ws://"),
        ("http://exchange.test/", "http://exchange.test"),
        ("ws://exchange.test#part", "ws://exchange.test#part"),
        ("ws://user:secret@127.0.0.1:99999/path?key=secret", "ws://127.0.0.1:99999"),
        ("ws://127.0.0.1:port/", "ws://127.0.0.1:port"),
        ("ws://[::1", "ws://[::1"),
    ],
)
def test_what_is_no_address_is_shown_without_secrets(url: str, shown: str) -> None:
    with pytest.raises(InvalidConfigurationError) as refused:
        host_of(url)
    assert str(refused.value) == f"{shown} is not the address of a WebSocket"


def test_words() -> None:
    assert [closed(4004), closed(0)] == [
        "the exchange closed the connection (code 4004)",
        "the exchange closed the connection (code 1005)",
    ]
    silent = TimeoutError()
    assert [unreachable("h", silent, connected=connected) for connected in (False, True)] == [
        "h cannot be reached: no answer in time (TimeoutError)",
        "h cannot be reached: it connects, but does not answer in time (TimeoutError)",
    ]


AWAY: dict[str, tuple[int, dict[str, str], tuple[str, float | None, str]]] = {
    "trouble": (503, {}, ("h turned the connection away (HTTP 503)", None, "")),
    "no such path": (404, {}, ("h turned the connection away (HTTP 404)", None, "")),
    "a web site": (200, {}, ("h turned the connection away (HTTP 200)", None, "")),
    "too many": (429, {"Retry-After": "7"}, ("h turned us away for 7 s (HTTP 429)", 7.0, "")),
    "banned": (418, {"retry-after": "x"}, ("h turned us away for 120 s (HTTP 418)", 120.0, "")),
    "a firewall": (
        403, {}, ("h forbids us to ask, as a firewall does; we stay away for 300 s (HTTP 403)", 300.0, "")
    ),
    "moved": (301, {"LOCATION": "wss://i/new?a=b"}, ("h has moved to wss://i (HTTP 301)", None, "wss://i/new?a=b")),
    "another path": (307, {"Location": "/new"}, ("h has moved to wss://h (HTTP 307)", None, "wss://h/new")),
    "a page": (302, {"Location": "https://status.i/x"}, ("h has moved to https://status.i (HTTP 302)", None, "")),
    "without TLS": (302, {"Location": "ws://i/"}, ("h has moved to ws://i (HTTP 302)", None, "")),
    "nowhere": (302, {"Location": "ws://[i"}, ("h has moved to nowhere (HTTP 302)", None, "")),
    "without a word": (302, {}, ("h has moved to nowhere (HTTP 302)", None, "")),
}  # fmt: skip


@pytest.mark.parametrize(("status", "headers", "says"), AWAY.values(), ids=AWAY)
def test_a_handshake_that_is_answered_with_a_status(
    status: int, headers: dict[str, str], says: tuple[str, float | None, str]
) -> None:
    away = turned_away("wss://h/ws", status, headers)
    assert not away.final
    assert (str(away), away.ban_s, away.moved_to) == says


def test_a_place_that_is_not_served_is_told_as_final() -> None:
    away = turned_away("wss://h/ws", 451, {})
    assert (away.final, away.ban_s, away.moved_to) == (True, None, "")
    assert str(away).startswith("h does not serve the place that this machine calls from (HTTP 451)")
