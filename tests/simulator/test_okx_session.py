import json
from typing import Any

import pytest

from tests.simulator.okx_channels import BUSINESS, PUBLIC, Arg
from tests.simulator.okx_requests import Requests
from tests.simulator.okx_session import OkxSession
from tests.simulator.source import Frame, Kind


class _Feed:
    """Counts subscribers and answers each new one with one frame."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Arg]] = []

    def want(self, arg: Arg) -> list[Frame]:
        self.calls.append(("want", arg))
        return [Frame(b'{"data":[]}', Kind.DATA, arg)]

    def unwant(self, arg: Arg) -> None:
        self.calls.append(("unwant", arg))


def _request(op: str, channel: str) -> str:
    return json.dumps({"op": op, "args": [{"channel": channel, "instId": "BTC-USDT"}]})


def _said(frames: list[Frame]) -> list[Any]:
    return [json.loads(frame.text).get("event", "data") for frame in frames]


@pytest.fixture
def feed() -> _Feed:
    return _Feed()


@pytest.fixture
def session(feed: _Feed) -> OkxSession:
    return OkxSession(Requests(PUBLIC, "c0", lambda _: True), feed)


@pytest.mark.parametrize("ping", ["ping", b"ping"])
def test_text_ping_gets_text_pong(session: OkxSession, ping: str | bytes) -> None:
    assert session.on_text(ping, 0) == [Frame(b"pong", Kind.REPLY)]


def test_ack_then_first_data_and_never_twice(session: OkxSession, feed: _Feed) -> None:
    books = Arg("books", inst_id="BTC-USDT")

    assert _said(session.on_text(_request("subscribe", "books"), 0)) == ["subscribe", "data"]
    assert _said(session.on_text(_request("subscribe", "books"), 0)) == ["subscribe"]
    assert list(session.topics) == [books]
    assert _said(session.on_text(_request("unsubscribe", "books"), 0)) == ["unsubscribe"]
    assert _said(session.on_text(_request("unsubscribe", "books"), 0)) == ["unsubscribe"]
    assert _said(session.on_text(_request("subscribe", "books"), 0)) == ["subscribe", "data"]
    assert feed.calls == [("want", books), ("unwant", books), ("want", books)]


def test_first_candle_comes_before_its_ack(feed: _Feed) -> None:
    session = OkxSession(Requests(BUSINESS, "c0", lambda _: True), feed)

    assert _said(session.on_text(_request("subscribe", "candle1m"), 0)) == ["data", "subscribe"]


def test_refusals_subscribe_nothing(session: OkxSession, feed: _Feed) -> None:
    assert _said(session.on_text(_request("subscribe", "nonsense"), 0)) == ["error"]
    assert feed.calls == []


def test_close_gives_back_what_was_wanted(session: OkxSession, feed: _Feed) -> None:
    session.on_text(_request("subscribe", "books"), 0)
    session.close()

    assert feed.calls[-1] == ("unwant", Arg("books", inst_id="BTC-USDT"))
    assert list(session.topics) == []


def test_has_no_timeline(session: OkxSession) -> None:
    assert (session.due(10**15), session.next_due_ms(), session.finished) == ([], None, None)
