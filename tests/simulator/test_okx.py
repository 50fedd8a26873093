import itertools
import json
from typing import Any

import pytest

from tests.simulator.okx import OkxOptions, OkxSource
from tests.simulator.okx_channels import BUSINESS, PUBLIC, Arg
from tests.simulator.source import Frame, Kind

_START_MS = 1_790_000_000_000
_BTC = "BTC-USDT"


def _source(seed: int = 1, trades_per_s: float = 5.0, books_per_s: float = 10.0, *, snapshot: bool = True) -> OkxSource:
    options = OkxOptions(
        instruments=(_BTC, "BTC-USDT-SWAP"),
        seed=seed,
        trades_per_s=trades_per_s,
        books_per_s=books_per_s,
        warmup_ms=2_000,
        book_snapshot=snapshot,
    )
    return OkxSource(options, _START_MS)


def _subscribe(source: OkxSource, path: str, *args: dict[str, str]) -> list[Any]:
    session = source.open_session(path, "c0")
    frames = session.on_text(json.dumps({"op": "subscribe", "args": args}), _START_MS)
    return [json.loads(frame.text) for frame in frames]


def _rows(frames: list[Frame], channel: str, inst_id: str = _BTC) -> list[Any]:
    return [json.loads(f.text)["data"][0] for f in frames if f.topic == Arg(channel, inst_id=inst_id)]


def test_frames_do_not_depend_on_how_time_is_cut() -> None:
    args = [{"channel": channel, "instId": _BTC} for channel in ("trades", "books", "books5", "bbo-tbt", "tickers")]
    cut, whole = _source(), _source()
    assert _subscribe(cut, PUBLIC, *args) == _subscribe(whole, PUBLIC, *args)
    frames: list[Frame] = []
    for now_ms in itertools.accumulate((3, 7, 100, 250, 1, 1_639), initial=_START_MS):
        frames += cut.advance(now_ms)

    assert frames == list(whole.advance(_START_MS + 2_000))
    assert len(frames) > 60


def test_all_connections_see_one_series_of_numbers() -> None:
    source = _source()
    first = _subscribe(source, PUBLIC, {"channel": "books", "instId": _BTC})[1]
    frames = list(source.advance(_START_MS + 1_050))
    second = _subscribe(source, PUBLIC, {"channel": "books", "instId": _BTC})[1]
    frames += source.advance(_START_MS + 2_000)

    updates = _rows(frames, "books")
    chain = [(row["prevSeqId"], row["seqId"]) for row in updates]
    assert chain[0][0] == first["data"][0]["seqId"]
    assert all(before[1] == after[0] for before, after in itertools.pairwise(chain))
    assert second["data"][0]["seqId"] in {seq for _, seq in chain}
    assert len(updates) == 20


@pytest.mark.parametrize(("books_per_s", "pushes"), [(1.0, 2), (10.0, 20), (20.0, 40), (100.0, 150)])
def test_rate_of_book_pushes(books_per_s: float, pushes: int) -> None:
    source = _source(books_per_s=books_per_s)
    _subscribe(source, PUBLIC, {"channel": "books", "instId": _BTC})

    count = len(_rows(source.advance(_START_MS + 2_000), "books"))
    assert count == pushes if books_per_s < 100 else count > pushes


def test_without_snapshot_only_updates_come() -> None:
    source = _source(snapshot=False)

    assert len(_subscribe(source, PUBLIC, {"channel": "books", "instId": _BTC})) == 1
    frames = [json.loads(frame.text) for frame in source.advance(_START_MS + 300)]
    assert {frame["action"] for frame in frames} == {"update"}


def test_latest_trade_is_pushed_on_subscribe() -> None:
    source = _source()
    ack, first = _subscribe(source, PUBLIC, {"channel": "trades", "instId": _BTC})

    assert ack["event"] == "subscribe"
    assert first["data"][0]["tradeId"] == source.ledger.trades(_BTC)[-1]["id"]
    assert int(first["data"][0]["ts"]) <= _START_MS


def test_status_and_instruments_channels() -> None:
    source = _source()
    answers = _subscribe(source, PUBLIC, {"channel": "status"}, {"channel": "instruments", "instType": "SWAP"})
    assert [answer.get("event") for answer in answers] == ["subscribe", None, "subscribe"]
    assert answers[1]["data"][0]["state"] == "completed"

    source.set_state("BTC-USDT-SWAP", "suspend")
    (frame,) = source.advance(_START_MS)
    assert (frame.topic, frame.kind) == (Arg("instruments", inst_type="SWAP"), Kind.DATA)
    (row,) = json.loads(frame.text)["data"]
    assert (row["instId"], row["state"]) == ("BTC-USDT-SWAP", "suspend")
    listed = source.rest("/api/v5/public/instruments", {"instType": "SWAP"}, 0)
    assert json.loads(listed.body)["data"] == [row]
    assert json.loads(source.set_state("NO-SUCH", "live").body)["code"] == "51001"


def test_expired_instrument_no_longer_exists() -> None:
    source = _source()
    source.set_state(_BTC, "expired")

    (answer,) = _subscribe(source, PUBLIC, {"channel": "trades", "instId": _BTC})
    assert answer["code"] == "60018"
    rest = source.rest("/api/v5/market/trades", {"instId": _BTC}, 0)
    assert json.loads(rest.body)["code"] == "51001"


def test_nothing_is_made_after_the_last_unsubscribe() -> None:
    source = _source()
    session = source.open_session(BUSINESS, "c0")
    session.on_text(json.dumps({"op": "subscribe", "args": [{"channel": "candle1s", "instId": _BTC}]}), 0)
    assert source.advance(_START_MS + 3_000) != []
    session.close()

    assert source.advance(_START_MS + 6_000) == []
