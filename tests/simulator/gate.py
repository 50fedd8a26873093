"""The one place that every outgoing frame, every REST answer and every attempt to connect passes on its way.

What the exchange itself knows and records is behind the gate: no fault reaches it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass

from tests.simulator.faults import HOSTILE, DropOnAccept, Fault, RefuseConnect
from tests.simulator.faults_dialect import Request
from tests.simulator.faults_frames import Effect, Passed
from tests.simulator.faults_rest import Ask, DelayedState, Lost, RestEffect, Serve, Served
from tests.simulator.source import Answer, Frame, Kind

Parcel = tuple[str, Frame]
"""A frame and the id of the connection that it is for."""


@dataclass(slots=True, eq=False)
class Active:
    """A fault at work.

    Attributes:
        fault: The fault.
        from_ms: Since when; Unix ms.
        until_ms: When it ends.
        hits: Frames, requests or connections that it has changed.
    """

    fault: Fault
    from_ms: int
    until_ms: int
    hits: int = 0


class Gate:
    """Lets pass what is said and who connects, as the faults at work leave it. Pure; without faults all passes."""

    def __init__(self) -> None:
        self.stalled = False
        """No data at all, while requests are still answered: a stalled feed behind a living socket."""
        self._frames: dict[Active, tuple[Callable[[str], Effect], dict[str, Effect]]] = {}
        self._refusals: dict[Active, Callable[[str | bytes, str], bytes | None]] = {}
        self._rest: dict[Active, RestEffect] = {}
        self._doors: list[Active] = []
        self._late: list[tuple[int, int, Parcel]] = []
        self._rank = 0
        self.on_late: Callable[[], None] = lambda: None
        """Called when `next_ms` may have become earlier."""

    # --- faults ------------------------------------------------------------------------------------------------------

    def change_frames(self, active: Active, build: Callable[[str], Effect]) -> None:
        """Put a fault to work on frames; `build` makes its effect on the connection of an id.

        False frames come beside what the others let pass: where nothing true passes, they would be all there is.
        """
        self._frames[active] = (build, {})
        self._frames = dict(sorted(self._frames.items(), key=lambda each: isinstance(each[0].fault, HOSTILE)))

    def refuse_requests(self, active: Active, refusal: Callable[[str | bytes, str], bytes | None]) -> None:
        """Put a fault to work on requests: what it answers to one of a connection, or None."""
        self._refusals[active] = refusal

    def change_answers(self, active: Active, effect: RestEffect) -> None:
        """Put a fault to work on REST answers, on top of those at work. Missing rows are missing below all else."""
        if isinstance(effect, (Lost, DelayedState)):
            self._rest = {active: effect, **self._rest}
        else:
            self._rest[active] = effect

    def guard(self, active: Active) -> None:
        """Put a fault to work on attempts to connect."""
        self._doors.append(active)

    def end(self, active: Active) -> list[Parcel]:
        """End the work of a fault; returns the frames that it has held back."""
        self._refusals.pop(active, None)
        self._rest.pop(active, None)
        if active in self._doors:
            self._doors.remove(active)
        _, effects = self._frames.pop(active, (None, {}))
        return [(conn_id, frame) for conn_id, effect in effects.items() for frame in effect.held()]

    def forget(self, conn_id: str) -> None:
        """A connection is gone."""
        for _, effects in self._frames.values():
            effects.pop(conn_id, None)

    # --- frames ------------------------------------------------------------------------------------------------------

    @property
    def quiet(self) -> bool:
        """Whether no fault concerns frames: then there is no need to ask for each connection."""
        return not self.stalled and not self._frames

    def frames(self, frame: Frame, conn_id: str, now_ms: int) -> tuple[Frame, ...]:
        """What is sent to a connection now in place of a frame. What is late comes from `due`."""
        if frame.kind is Kind.RAW:
            return (frame,)
        if self.stalled and frame.kind in (Kind.DATA, Kind.BOOK_UPDATE):
            return ()
        passed = [Passed(frame)]
        for active, (build, effects) in self._frames.items():
            effect = effects.get(conn_id) or effects.setdefault(conn_id, build(conn_id))
            passed = [after for before in passed for after in self._through(active, effect, before, now_ms)]
        for late in passed:
            if late.delay_ms:
                self._rank += 1
                heapq.heappush(self._late, (now_ms + late.delay_ms, self._rank, (conn_id, late.frame)))
                self.on_late()
        return tuple(prompt.frame for prompt in passed if not prompt.delay_ms)

    def due(self, now_ms: int) -> list[Parcel]:
        """Late frames whose time has come, in order."""
        parcels = []
        while self._late and self._late[0][0] <= now_ms:
            parcels.append(heapq.heappop(self._late)[2])
        return parcels

    def next_ms(self) -> int | None:
        """When `due` has more; None for never."""
        return self._late[0][0] if self._late else None

    def refusal(self, text: str | bytes, conn_id: str) -> Frame | None:
        """What answers a request of a connection instead of the exchange; None to let the exchange answer."""
        for active, refuse in self._refusals.items():
            if body := refuse(text, conn_id):
                active.hits += 1
                return Frame(body, Kind.REPLY)
        return None

    @staticmethod
    def _through(active: Active, effect: Effect, before: Passed, now_ms: int) -> list[Passed]:
        after = effect.on_frame(before.frame)
        if tuple(after) != (Passed(before.frame),):
            active.hits += 1
        most_ms = max(0, active.until_ms - now_ms)  # nothing is late for longer than the fault lasts
        return [Passed(frame, before.delay_ms + min(delay_ms, most_ms)) for frame, delay_ms in after]

    # --- REST --------------------------------------------------------------------------------------------------------

    def answer(self, request: Request, ask: Ask) -> Served:
        """What becomes of a REST request, where `ask` knows the exchange's own answer."""

        def serve(request: Request) -> Served:
            return Served(ask(request))

        layers: Serve = serve
        for active, effect in self._rest.items():
            layers = _layer(active, effect, layers)
        return layers(request)

    # --- connections -------------------------------------------------------------------------------------------------

    def refuses(self, path: str) -> Answer | None:
        """The answer to an attempt to open a socket that is refused; None to let it in."""
        for active in self._doors:
            if isinstance(active.fault, RefuseConnect) and active.fault.path in path:
                active.hits += 1
                return Answer(active.fault.status, b"{}")
        return None

    def drops(self, path: str) -> bool:
        """Whether a socket just accepted is dropped."""
        for active in self._doors:
            if isinstance(active.fault, DropOnAccept) and active.fault.path in path:
                active.hits += 1
                return True
        return False


def _layer(active: Active, effect: RestEffect, below: Serve) -> Serve:
    """An effect on top of others, for the pages that it concerns; what it changes is counted."""
    page: str = getattr(active.fault, "page", "")

    def serve(request: Request) -> Served:
        if page not in request.path:
            return below(request)
        true: list[Served] = []

        def remembered(forwarded: Request) -> Served:
            true.append(below(forwarded))
            return true[-1]

        served = effect.serve(request, remembered)
        if not true or served != true[0]:
            active.hits += 1
        return served

    return serve
