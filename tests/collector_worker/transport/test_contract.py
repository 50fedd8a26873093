import pytest

from collector_worker.transport.contract import closed, host_of, turned_away, unreachable
from common.errors import InvalidConfigurationError


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
    assert [unreachable("h"), turned_away("h", 503), closed(4004), closed(0)] == [
        "h cannot be reached",
        "h turned the connection away (HTTP 503)",
        "the exchange closed the connection (code 4004)",
        "the exchange closed the connection (code 1005)",
    ]
