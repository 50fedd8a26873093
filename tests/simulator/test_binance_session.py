import json
from collections import Counter

from tests.simulator.binance_requests import Requests
from tests.simulator.binance_session import BinanceSession
from tests.simulator.binance_streams import Stream
from tests.simulator.source import Frame, Kind


class _Feed:
    """Remembers what is wanted."""

    def __init__(self) -> None:
        self.wanted: Counter[Stream] = Counter()
        self.gone: list[str] = []

    def want(self, stream: Stream) -> None:
        self.wanted[stream] += 1

    def unwant(self, stream: Stream) -> None:
        self.wanted[stream] -= 1

    def left(self, conn_id: str) -> None:
        self.gone.append(conn_id)

    @property
    def now(self) -> set[Stream]:
        assert set(self.wanted.values()) <= {0, 1}
        return {stream for stream, count in self.wanted.items() if count}


def _session(*streams: str, combined: bool = False) -> tuple[BinanceSession, _Feed]:
    feed = _Feed()
    return BinanceSession(Requests(streams, combined=combined), feed, "c0"), feed


def _ask(session: BinanceSession, method: str, *params: object) -> list[Frame]:
    return session.on_text(json.dumps({"method": method, "params": params, "id": 1}), 0)


def test_streams_of_the_url_are_wanted_from_the_start() -> None:
    session, feed = _session("a@trade", "b@depth", combined=True)

    assert feed.now == set(session.topics) == {Stream("a@trade", combined=True), Stream("b@depth", combined=True)}


def test_requests_change_what_is_wanted_and_nothing_past_is_sent() -> None:
    session, feed = _session("a@trade")
    reply = [Frame(b'{"result":null,"id":1}', Kind.REPLY)]

    assert _ask(session, "SUBSCRIBE", "b@trade", "a@trade") == reply
    assert feed.now == {Stream("a@trade"), Stream("b@trade")}
    assert _ask(session, "UNSUBSCRIBE", "a@trade") == reply
    assert feed.now == set(session.topics) == {Stream("b@trade")}
    assert (session.due(10**15), session.next_due_ms(), session.finished) == ([], None, None)


def test_the_form_of_the_frames_can_be_changed() -> None:
    session, feed = _session("a@trade")
    _ask(session, "SET_PROPERTY", "combined", True)

    assert (feed.now, session.combined) == ({Stream("a@trade", combined=True)}, True)


def test_the_end_leaves_nothing_wanted() -> None:
    session, feed = _session("a@trade", "b@trade")
    session.close()

    assert (feed.now, feed.gone) == (set(), ["c0"])
