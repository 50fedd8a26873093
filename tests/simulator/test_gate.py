from tests.simulator.gate import Gate
from tests.simulator.source import Answer, Frame, Kind

_UPDATE = Frame(b"u", Kind.BOOK_UPDATE, "books", "BTC-USDT")
_OTHER = Frame(b"o", Kind.BOOK_UPDATE, "books", "ETH-USDT")
_DATA = Frame(b"d", Kind.DATA, "trades")
_REPLY = Frame(b"pong", Kind.REPLY)
_RAW = Frame(b"{", Kind.RAW)


def test_all_passes_without_faults() -> None:
    gate = Gate()
    for frame in (_UPDATE, _DATA, _REPLY, _RAW):
        assert gate.frames(frame) == (frame,)
    assert gate.answer("/x", Answer(200, b"{}")) == Answer(200, b"{}")


def test_gap_swallows_updates_of_one_instrument() -> None:
    gate = Gate()
    gate.gap("BTC-USDT", 2)

    passed = [bool(gate.frames(frame)) for frame in (_UPDATE, _DATA, _OTHER, _UPDATE, _UPDATE)]
    assert passed == [False, True, True, False, True]


def test_mute_stops_data_but_not_replies() -> None:
    gate = Gate()
    gate.muted = True

    assert [bool(gate.frames(frame)) for frame in (_UPDATE, _DATA, _REPLY, _RAW)] == [False, False, True, True]
    gate.muted = False
    assert gate.frames(_DATA) == (_DATA,)
