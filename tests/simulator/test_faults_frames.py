import json
from collections.abc import Sequence
from random import Random

import pytest

from tests.simulator import faults
from tests.simulator.faults import Fault
from tests.simulator.faults_frames import Effect, effect_of
from tests.simulator.faults_okx import OkxDialect
from tests.simulator.okx_channels import Arg
from tests.simulator.source import Frame, Kind

_BTC, _ETH = "BTC-USDT", "ETH-USDT"


def _frame(channel: str, mark: str, inst_id: str = _BTC, kind: Kind = Kind.DATA) -> Frame:
    text = json.dumps({"arg": {"channel": channel, "instId": inst_id}, "data": [{"mark": mark}]}).encode()
    return Frame(text, kind, Arg(channel, inst_id=inst_id), inst_id if kind is Kind.BOOK_UPDATE else "")


_SNAPSHOT = _frame("books", "s")
_U1, _U2, _U3 = (_frame("books", f"u{n}", kind=Kind.BOOK_UPDATE) for n in (1, 2, 3))
_ETH_U = _frame("books", "e", _ETH, Kind.BOOK_UPDATE)
_T1, _T2 = _frame("trades", "t1"), _frame("trades-all", "t2")
_ETH_T = _frame("trades", "te", _ETH)
_TICKER, _CANDLE = _frame("tickers", "k"), _frame("candle1m", "c")
_ACK, _PONG = Frame(b'{"event":"subscribe"}', Kind.REPLY), Frame(b"pong", Kind.REPLY)
_ALL = (_ACK, _SNAPSHOT, _U1, _T1, _TICKER, _U2, _PONG, _ETH_U, _T2, _ETH_T, _CANDLE, _U3)


def _effect(fault: Fault, seed: int = 1) -> Effect:
    effect = effect_of(fault, OkxDialect(), Random(seed))
    assert effect is not None
    return effect


def _through(fault: Fault, frames: Sequence[Frame]) -> list[Frame]:
    effect = _effect(fault)
    passed = [passed for frame in frames for passed in effect.on_frame(frame)]
    assert all(one.delay_ms == 0 for one in passed)
    return [one.frame for one in passed] + [*effect.held()]


def _without(*gone: Frame) -> list[Frame]:
    return [frame for frame in _ALL if frame not in gone]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (faults.StalledChannel(channel="trade"), _without(_T1, _T2, _ETH_T)),
        (faults.StalledChannel(channel="trades-all"), _without(_T2)),
        (faults.StalledChannel(channel="orderbook", instrument=_BTC), _without(_SNAPSHOT, _U1, _U2, _U3)),
        (faults.StalledChannel(channel="ticker"), _without(_TICKER)),
        (faults.StalledChannel(channel="candle"), _without(_CANDLE)),
        (faults.StalledChannel(channel="", instrument=_ETH), _without(_ETH_U, _ETH_T)),
        (faults.StalledSocket(), [_PONG]),
        (faults.SequenceGap(count=2), _without(_U1, _U2)),
        (faults.SequenceGap(instrument=_ETH, count=9), _without(_ETH_U)),
        (faults.TradeGap(count=2), _without(_T1, _T2)),
        (faults.TradeGap(instrument=_ETH), _without(_ETH_T)),
    ],
)
def test_what_is_swallowed(fault: Fault, expected: list[Frame]) -> None:
    assert _through(fault, _ALL) == expected


@pytest.mark.parametrize(
    ("fault", "frames", "expected"),
    [
        (faults.Duplicate(), [_ACK, _T1, _U1], [_ACK, _T1, _T1, _U1]),
        (faults.Duplicate(channel="orderbook", count=2), [_T1, _U1, _U2, _U3], [_T1, _U1, _U1, _U2, _U2, _U3]),
        (faults.Reorder(), [_ACK, _U1, _T1, _U2, _U3], [_ACK, _T1, _U2, _U1, _U3]),
        (faults.Reorder(channel="trade"), [_U1, _T1, _U2, _ETH_T, _T1], [_U1, _U2, _ETH_T, _T1, _T1]),
        (faults.Reorder(count=2), [_U1, _U2, _U3], [_U2, _U1, _U3]),
    ],
)
def test_order(fault: Fault, frames: list[Frame], expected: list[Frame]) -> None:
    assert _through(fault, frames) == expected


def test_a_frame_waits_until_the_fault_ends() -> None:
    effect = _effect(faults.Reorder())
    assert list(effect.on_frame(_U1)) == []
    assert list(effect.held()) == [_U1]


def test_truncated_is_the_first_half() -> None:
    half = _T1._replace(text=_T1.text[: len(_T1.text) // 2])
    assert _through(faults.Malformed(style="truncated"), [_ACK, _T1, _T2]) == [_ACK, half, _T2]


@pytest.mark.parametrize(("style", "kind"), [("garbage", Kind.RAW), ("binary", Kind.BINARY), ("random", Kind.RAW)])
def test_unreadable_frames_come_in_addition(style: faults.Malformation, kind: Kind) -> None:
    fault = faults.Malformed(style=style, count=2)
    first, one, second, two, last = _through(fault, [_T1, _U1, _T2])

    assert (one, two, last) == (_T1, _U1, _T2)
    for made_up in (first, second):
        assert (made_up.kind, made_up.topic) == (kind, None)
        with pytest.raises(ValueError, match=r".*"):
            json.loads(made_up.text)
    assert _through(fault, [_T1])[0] == first  # by the seed


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("event", {"event": "channel-weather", "channel": "trades", "forecast": "12", "connId": "00000000"}),
        (
            "channel",
            {
                "arg": {"channel": "books-weather", "instId": "BTC-USDT"},
                "data": [{"px": "1", "kind": 7, "more": [[]]}],
            },
        ),
    ],
)
def test_unknown_messages_come_in_addition(style: faults.Novelty, expected: object) -> None:
    ack, unknown, frame, last = _through(faults.UnknownMessage(style=style), [_ACK, _T1, _U1])
    assert (ack, frame, last) == (_ACK, _T1, _U1)
    assert json.loads(unknown.text) == expected


def test_unknown_fields_are_added() -> None:
    ack, changed, last = _through(faults.UnknownMessage(style="fields"), [_ACK, _T1, _U1])
    assert (ack, last) == (_ACK, _U1)
    assert json.loads(changed.text) == {
        "arg": {"channel": "trades", "instId": _BTC},
        "data": [{"mark": "t1", "tide": "3"}],
        "seal": {"of": ["nothing", None]},
    }
    assert changed._replace(text=_T1.text) == _T1


def test_acks_are_late() -> None:
    effect = _effect(faults.LateAck(delay_ms=700))
    passed = [(one.frame, one.delay_ms) for frame in (_ACK, _PONG, _T1) for one in effect.on_frame(frame)]
    assert passed == [(_ACK, 700), (_PONG, 0), (_T1, 0)]


def test_clock_is_off_in_all_data() -> None:
    row = b'{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"px":"1790000000000","ts":"1790000000000"}]}'
    trade = Frame(row, Kind.DATA, Arg("trades", inst_id=_BTC))
    shifted = row.replace(b'"ts":"1790000000000"', b'"ts":"1789999940000"')
    assert _through(faults.ClockOff(shift_ms=-60_000), [trade, _ACK, trade]) == [
        trade._replace(text=shifted),
        _ACK,
        trade._replace(text=shifted),
    ]


@pytest.mark.parametrize(
    "kind",
    [
        kind
        for kind in faults.KINDS
        if kind.startswith(("rest_", "false_"))
        or kind in ("cut", "slow_reader_closed", "drop_on_accept", "refuse_connect", "half_open", "planned_cut")
        or kind in ("notice", "refuse_subscription")
    ],
)
def test_others_leave_frames_alone(kind: str) -> None:
    assert effect_of(faults.TYPES[kind](), OkxDialect(), Random(1)) is None
