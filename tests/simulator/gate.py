"""The one place that every outgoing frame and every REST answer passes, and where faults are applied."""

from __future__ import annotations

from collections import Counter

from tests.simulator.source import Answer, Frame, Kind


class Gate:
    """Decides what becomes of what the exchange says. Pure; without faults all passes unchanged."""

    def __init__(self) -> None:
        self.muted = False
        """No data at all, while pings are still answered: a stalled feed behind a living socket."""
        self._gaps: Counter[str] = Counter()

    def gap(self, instrument: str, count: int) -> None:
        """Swallow the next `count` book updates of an instrument, for everyone who would have got them."""
        self._gaps[instrument] += count

    def frames(self, frame: Frame) -> tuple[Frame, ...]:
        """What is sent in place of a frame; asked once for all connections that would get it."""
        if frame.kind in (Kind.REPLY, Kind.RAW):
            return (frame,)
        if frame.kind is Kind.BOOK_UPDATE and self._gaps[frame.instrument] > 0:
            self._gaps[frame.instrument] -= 1
            return ()
        return () if self.muted else (frame,)

    def answer(self, path: str, answer: Answer) -> Answer:
        """What is answered in place of a REST answer."""
        return answer
