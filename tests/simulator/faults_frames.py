"""What a fault makes of the frames of one connection: frame in, frames out. Pure; there is nothing else they do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple, Protocol

from tests.simulator import faults
from tests.simulator.faults_dialect import Dialect, in_place
from tests.simulator.source import Frame, Kind

Wanted = Callable[[Frame], bool]


class Passed(NamedTuple):
    """A frame that continues.

    Attributes:
        frame: The frame.
        delay_ms: How much later.
    """

    frame: Frame
    delay_ms: int = 0


class Effect(Protocol):
    """One fault on one connection."""

    def on_frame(self, frame: Frame) -> Sequence[Passed]:
        """What continues in place of a frame."""

    def held(self) -> Sequence[Frame]:
        """What is held back and continues when the fault ends."""


class Silence:
    """Swallows frames: all that are wanted, or the first few."""

    def __init__(self, wanted: Wanted, count: int | None = None) -> None:
        self._wanted = wanted
        self._left = count

    def on_frame(self, frame: Frame) -> Sequence[Passed]:
        """See Effect."""
        if self._left == 0 or not self._wanted(frame):
            return (Passed(frame),)
        if self._left is not None:
            self._left -= 1
        return ()

    def held(self) -> Sequence[Frame]:
        """Nothing."""
        return ()


class Repeat:
    """Sends the first few frames twice."""

    def __init__(self, wanted: Wanted, count: int) -> None:
        self._wanted = wanted
        self._left = count

    def on_frame(self, frame: Frame) -> Sequence[Passed]:
        """See Effect."""
        if not self._left or not self._wanted(frame):
            return (Passed(frame),)
        self._left -= 1
        return Passed(frame), Passed(frame)

    def held(self) -> Sequence[Frame]:
        """Nothing."""
        return ()


class Swap:
    """Lets a frame wait for the next one of its topic, and go after it; a few times."""

    def __init__(self, wanted: Wanted, count: int) -> None:
        self._wanted = wanted
        self._left = count
        self._waiting: Frame | None = None

    def on_frame(self, frame: Frame) -> Sequence[Passed]:
        """See Effect."""
        waiting = self._waiting
        if waiting is not None and frame.topic == waiting.topic:
            self._waiting = None
            return Passed(frame), Passed(waiting)
        if waiting is not None or not self._left or not self._wanted(frame):
            return (Passed(frame),)
        self._left -= 1
        self._waiting = frame
        return ()

    def held(self) -> Sequence[Frame]:
        """The frame that waits in vain."""
        return () if self._waiting is None else (self._waiting,)


class Insert:
    """Sends something before each of the first few frames."""

    def __init__(self, wanted: Wanted, count: int, make: Callable[[], Frame]) -> None:
        self._wanted = wanted
        self._left = count
        self._make = make

    def on_frame(self, frame: Frame) -> Sequence[Passed]:
        """See Effect."""
        if not self._left or not self._wanted(frame):
            return (Passed(frame),)
        self._left -= 1
        return Passed(self._make()), Passed(frame)

    def held(self) -> Sequence[Frame]:
        """Nothing."""
        return ()


class Rewrite:
    """Sends other texts instead: of all frames that are wanted, or of the first few."""

    def __init__(self, wanted: Wanted, count: int | None, change: Callable[[bytes], bytes]) -> None:
        self._wanted = wanted
        self._left = count
        self._change = change

    def on_frame(self, frame: Frame) -> Sequence[Passed]:
        """See Effect."""
        if self._left == 0 or not self._wanted(frame):
            return (Passed(frame),)
        if self._left is not None:
            self._left -= 1
        return (Passed(frame._replace(text=self._change(frame.text))),)

    def held(self) -> Sequence[Frame]:
        """Nothing."""
        return ()


class Delay:
    """Sends frames later."""

    def __init__(self, wanted: Wanted, delay_ms: int) -> None:
        self._wanted = wanted
        self._delay_ms = delay_ms

    def on_frame(self, frame: Frame) -> Sequence[Passed]:
        """See Effect."""
        return (Passed(frame, self._delay_ms if self._wanted(frame) else 0),)

    def held(self) -> Sequence[Frame]:
        """Nothing: what is late is on its way."""
        return ()


def effect_of(fault: faults.Fault, dialect: Dialect, rng: Random) -> Effect | None:
    """What a fault does to the frames of one connection; None if nothing.

    Args:
        fault: Any fault.
        dialect: How the exchange speaks.
        rng: Source of chance of this connection.
    """
    match fault:
        case faults.StalledChannel():
            return Silence(data_of(dialect, fault.channel, fault.instrument))
        case faults.StalledSocket():
            return Silence(lambda frame: not dialect.is_pong(frame))
        case faults.SequenceGap():
            return Silence(_updates_of(dialect, fault.instrument), fault.count)
        case faults.TradeGap():
            return Silence(data_of(dialect, "trade", fault.instrument), fault.count)
        case faults.Duplicate():
            return Repeat(data_of(dialect, fault.channel, fault.instrument), fault.count)
        case faults.Reorder():
            return Swap(data_of(dialect, fault.channel, fault.instrument), fault.count)
        case faults.Malformed(style="truncated"):
            return Rewrite(is_data, fault.count, lambda text: text[: len(text) // 2])
        case faults.Malformed():
            return Insert(is_data, fault.count, lambda: _unreadable(fault.style, rng))
        case faults.UnknownMessage(style="fields"):
            return Rewrite(is_data, fault.count, dialect.with_extra)
        case faults.UnknownMessage():
            return Insert(is_data, fault.count, lambda: Frame(dialect.unknown(fault.style), Kind.RAW))
        case faults.LateAck():
            return Delay(lambda frame: frame.kind is Kind.REPLY and not dialect.is_pong(frame), fault.delay_ms)
        case faults.ClockOff():
            return Rewrite(is_data, None, lambda text: dialect.shifted(text, fault.shift_ms))
    return None


def is_data(frame: Frame) -> bool:
    """Whether a frame is what somebody has subscribed to."""
    return frame.kind in (Kind.DATA, Kind.BOOK_UPDATE)


def data_of(dialect: Dialect, channel: str, instrument: str) -> Wanted:
    """Wants data of a channel and an instrument; empty names mean any."""
    return lambda frame: is_data(frame) and in_place(dialect.place(frame.topic), channel, instrument)


def _updates_of(dialect: Dialect, instrument: str) -> Wanted:
    return lambda frame: frame.kind is Kind.BOOK_UPDATE and in_place(dialect.place(frame.topic), "", instrument)


def _unreadable(style: str, rng: Random) -> Frame:
    if style == "garbage":
        return Frame(b'{"arg":{"channel":"trades",}],', Kind.RAW)
    noise = rng.randbytes(rng.randint(1, 200))
    return Frame(noise, Kind.BINARY if style == "binary" else Kind.RAW)
