import json

import pytest

from tests.simulator.binance_streams import Stream, is_socket, name, of_target, wrap


@pytest.mark.parametrize(
    ("target", "streams", "combined"),
    [
        ("/ws", [], False),
        ("/ws/", [], False),
        ("/ws/btcusdt@trade", ["btcusdt@trade"], False),
        ("/ws/a@trade/b@depth@100ms/a@trade", ["a@trade", "b@depth@100ms"], False),
        ("/ws/a%40trade?timeUnit=x", ["a@trade"], False),
        ("/stream", [], True),
        ("/stream?streams=a@trade/b@depth", ["a@trade", "b@depth"], True),
        ("/stream?x=1&streams=a%40trade%2Fb@kline_1d@+08:00", ["a@trade", "b@kline_1d@+08:00"], True),
    ],
)
def test_targets(target: str, streams: list[str], combined: bool) -> None:
    assert is_socket(target)
    assert of_target(target) == (streams, combined)


@pytest.mark.parametrize("target", ["/", "/wss", "/stream/a@trade", "/api/v3/time", "/sim/stats"])
def test_elsewhere_is_no_socket(target: str) -> None:
    assert not is_socket(target)


def test_names_and_topics() -> None:
    assert name("BTCUSDT", "depth@100ms") == "btcusdt@depth@100ms"
    assert Stream("a") != Stream("a", combined=True)


def test_wrapper_leaves_the_frame_as_it_is() -> None:
    wrapped = wrap("a@trade", b'{"p": "1.00000000"}')

    assert wrapped == b'{"stream":"a@trade","data":{"p": "1.00000000"}}'
    assert json.loads(wrapped)["data"] == {"p": "1.00000000"}
