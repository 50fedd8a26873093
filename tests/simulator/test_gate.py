from random import Random

import pytest

from tests.simulator import faults, faults_frames, faults_rest
from tests.simulator.faults import Fault
from tests.simulator.faults_dialect import Request
from tests.simulator.faults_okx import OkxDialect
from tests.simulator.faults_rest import Served
from tests.simulator.gate import Active, Gate
from tests.simulator.okx_channels import Arg
from tests.simulator.source import Answer, Frame, Kind, envelope

_NOW_MS = 1_790_000_000_000
_BOOKS = Arg("books", inst_id="BTC-USDT")
_UPDATE = Frame(b'{"u":1}', Kind.BOOK_UPDATE, _BOOKS, "BTC-USDT")
_OTHER = Frame(b'{"o":1}', Kind.BOOK_UPDATE, Arg("books", inst_id="ETH-USDT"), "ETH-USDT")
_DATA = Frame(b'{"d":1}', Kind.DATA, Arg("trades", inst_id="BTC-USDT"))
_REPLY = Frame(b'{"event":"subscribe"}', Kind.REPLY)
_PONG = Frame(b"pong", Kind.REPLY)
_RAW = Frame(b"{", Kind.RAW)
_ALL = (_UPDATE, _DATA, _REPLY, _PONG, _RAW)
_DIALECT = OkxDialect()
_TIME = Request("/api/v5/public/time", {}, _NOW_MS)


def _on_frames(gate: Gate, fault: Fault) -> Active:
    active = Active(fault, _NOW_MS, _NOW_MS + fault.length_ms)

    def build(conn_id: str) -> faults_frames.Effect:
        effect = faults_frames.effect_of(fault, _DIALECT, Random(conn_id))
        assert effect is not None
        return effect

    gate.change_frames(active, build)
    return active


def _on_rest(gate: Gate, fault: Fault) -> Active:
    active = Active(fault, _NOW_MS, _NOW_MS + fault.length_ms)
    effect = faults_rest.effect_of(fault, _DIALECT, Random(1), _true, active.from_ms, active.until_ms)
    assert effect is not None
    gate.change_answers(active, effect)
    return active


def _true(request: Request) -> Answer:
    return envelope([request.path])


def _passed(gate: Gate, conn_id: str, *frames: Frame, now_ms: int = _NOW_MS) -> list[Frame]:
    return [after for frame in frames for after in gate.frames(frame, conn_id, now_ms)]


def test_all_passes_without_faults() -> None:
    gate = Gate()
    assert gate.quiet
    assert _passed(gate, "a", *_ALL) == [*_ALL]
    assert gate.answer(_TIME, _true) == Served(_true(_TIME))
    assert (gate.refuses("/ws"), gate.drops("/ws"), gate.refusal("ping", "a")) == (None, False, None)
    assert (gate.due(_NOW_MS), gate.next_ms()) == ([], None)


def test_a_stall_stops_data_but_not_replies() -> None:
    gate = Gate()
    gate.stalled = True
    assert not gate.quiet
    assert _passed(gate, "a", *_ALL) == [_REPLY, _PONG, _RAW]


def test_each_connection_has_its_own_count_and_hits_are_counted() -> None:
    gate = Gate()
    active = _on_frames(gate, faults.SequenceGap(instrument="BTC-USDT", count=2))

    assert _passed(gate, "a", _UPDATE, _DATA, _OTHER, _UPDATE, _UPDATE) == [_DATA, _OTHER, _UPDATE]
    assert _passed(gate, "b", _UPDATE) == []
    assert active.hits == 3
    gate.forget("a")
    assert _passed(gate, "a", _UPDATE) == []  # the id is a new connection's
    gate.end(active)
    assert gate.quiet
    assert _passed(gate, "b", _UPDATE) == [_UPDATE]


def test_faults_are_applied_one_after_the_other() -> None:
    gate = Gate()
    twice = _on_frames(gate, faults.Duplicate(channel="trade", count=5))
    gap = _on_frames(gate, faults.TradeGap(count=1))

    assert _passed(gate, "a", _DATA, _DATA) == [_DATA, _DATA, _DATA]
    assert (twice.hits, gap.hits) == (2, 1)


def test_what_is_held_back_comes_when_the_fault_ends() -> None:
    gate = Gate()
    active = _on_frames(gate, faults.Reorder())
    assert _passed(gate, "a", _UPDATE) == []
    assert _passed(gate, "b", _UPDATE, _UPDATE) == [_UPDATE, _UPDATE]

    assert gate.end(active) == [("a", _UPDATE)]


def test_late_frames_are_due_in_order_and_never_after_the_fault() -> None:
    gate, calls = Gate(), []
    gate.on_late = lambda: calls.append(gate.next_ms())
    active = _on_frames(gate, faults.LateAck(for_ms=1_000, delay_ms=700))

    assert _passed(gate, "a", _REPLY, _PONG) == [_PONG]
    assert _passed(gate, "b", _REPLY, now_ms=_NOW_MS + 900) == []
    assert gate.end(active) == []
    assert calls == [_NOW_MS + 700, _NOW_MS + 700]
    assert gate.due(_NOW_MS + 699) == []
    assert gate.due(_NOW_MS + 700) == [("a", _REPLY)]
    assert gate.next_ms() == _NOW_MS + 1_000
    assert gate.due(_NOW_MS + 1_000) == [("b", _REPLY)]


def test_refused_requests() -> None:
    gate = Gate()
    active = Active(faults.RefuseSubscription(), _NOW_MS, _NOW_MS + 1_000)
    gate.refuse_requests(active, lambda text, conn_id: _DIALECT.refusal(text, conn_id, "60014"))

    assert gate.refusal("ping", "c1") is None
    assert gate.refusal('{"id":"7","op":"subscribe","args":[]}', "c1") == Frame(
        b'{"id":"7","event":"error","code":"60014","msg":"Requests too frequent","connId":"c1"}', Kind.REPLY
    )
    assert active.hits == 1
    gate.end(active)
    assert gate.refusal('{"op":"subscribe","args":[]}', "c1") is None


def test_rest_faults_lie_on_top_of_each_other() -> None:
    gate = Gate()
    slow = _on_rest(gate, faults.RestSlow(delay_ms=300))
    limited = _on_rest(gate, faults.Rest50011(page="market"))
    books = Request("/api/v5/market/books", {}, _NOW_MS)

    assert gate.answer(_TIME, _true) == Served(_true(_TIME), 300)
    assert gate.answer(books, _true) == Served(envelope([], "50011", "Too Many Requests"))
    assert (slow.hits, limited.hits) == (1, 1)
    gate.end(limited)
    assert gate.answer(books, _true) == Served(_true(books), 300)


def test_lost_trades_are_lost_below_everything_else() -> None:
    gate = Gate()
    request = Request("/api/v5/market/trades", {"instId": "A-B"}, _NOW_MS)
    _on_rest(gate, faults.ClockOff(shift_ms=1_000))
    lost = _on_rest(gate, faults.RestLost(for_ms=500))

    def trades(_: Request) -> Answer:
        return envelope([{"tradeId": str(n), "ts": str(_NOW_MS + 250 * n)} for n in (3, 2, 1, 0)])

    assert gate.answer(request, trades).answer == envelope(
        [{"tradeId": str(n), "ts": str(_NOW_MS + 1_000 + 250 * n)} for n in (3, 2)]
    )
    assert lost.hits == 1


@pytest.mark.parametrize(
    ("fault", "refused", "dropped"),
    [
        (faults.RefuseConnect(status=502), Answer(502, b"{}"), False),
        (faults.RefuseConnect(path="business"), None, False),
        (faults.DropOnAccept(path="public"), None, True),
        (faults.DropOnAccept(path="business"), None, False),
    ],
)
def test_doors(fault: Fault, refused: Answer | None, dropped: bool) -> None:
    gate = Gate()
    active = Active(fault, _NOW_MS, _NOW_MS + 1_000)
    gate.guard(active)

    assert (gate.refuses("/ws/v5/public"), gate.drops("/ws/v5/public")) == (refused, dropped)
    assert active.hits == int(refused is not None or dropped)
    gate.end(active)
    assert (gate.refuses("/ws/v5/public"), gate.drops("/ws/v5/public")) == (None, False)
