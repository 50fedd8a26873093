import json
from collections.abc import Hashable

from tests.simulator.binance_replay_session import ReplaySession
from tests.simulator.binance_requests import Requests
from tests.simulator.binance_streams import Stream
from tests.simulator.source import Frame, Kind
from tests.simulator.timeline import Recorded, Timeline

_MS = 1_000_000
_TRADE = b'{"stream":"ethusdt@trade", "data":{"e" : "trade", "p":"1.50000000"} }'
_DIFF = b'{"stream":"ethusdt@depth@100ms","data":{"e":"depthUpdate"}}'


def _session(*streams: str, combined: bool) -> tuple[ReplaySession, list[str]]:
    frames: dict[Hashable, list[Recorded]] = {
        "ethusdt@trade": [Recorded(0, 0, _TRADE), Recorded(2, 9 * _MS, _TRADE)],
        "ethusdt@depth@100ms": [Recorded(1, 5 * _MS, _DIFF)],
    }
    gone: list[str] = []
    requests = Requests(streams, combined=combined)
    return ReplaySession(requests, Timeline(frames, 1.0), lambda: gone.append("gone")), gone


def test_streams_of_the_url_start_with_the_first_question() -> None:
    session, gone = _session("ethusdt@trade", combined=True)
    topic = Stream("ethusdt@trade", combined=True)
    assert (session.finished, session.topics) == (False, [topic])

    assert session.due(1_000) == [Frame(_TRADE, Kind.DATA, topic)]
    assert (session.next_due_ms(), session.finished) == (1_009, False)
    assert session.due(1_009) == [Frame(_TRADE, Kind.DATA, topic)]
    assert (session.finished, session.now_ms, gone) == (True, 1_009, [])
    session.close()
    assert gone == ["gone"]


def test_raw_connections_get_the_data_without_the_wrapper() -> None:
    session, _ = _session(combined=False)
    assert session.due(1_000) == []
    (reply,) = session.on_text('{"method":"SUBSCRIBE","params":["ethusdt@depth@100ms","ethusdt@trade"],"id":1}', 2_000)
    assert (json.loads(reply.text), reply.kind) == ({"result": None, "id": 1}, Kind.REPLY)

    assert session.due(2_005) == [
        Frame(b'{"e" : "trade", "p":"1.50000000"}', Kind.DATA, Stream("ethusdt@trade")),
        Frame(b'{"e":"depthUpdate"}', Kind.BOOK_UPDATE, Stream("ethusdt@depth@100ms"), "ETHUSDT"),
    ]


def test_unsubscribed_stream_stops() -> None:
    session, _ = _session("ethusdt@trade", combined=True)
    session.due(1_000)
    session.on_text('{"method":"UNSUBSCRIBE","params":["ethusdt@trade"],"id":1}', 1_001)

    assert (session.due(9_999), session.finished) == ([], True)
