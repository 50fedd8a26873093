"""Lets the faults of a schedule begin and end at their times."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, Protocol, TypeVar


class Timed(Protocol):
    """A fault, as far as its time is concerned."""

    @property
    def at_ms(self) -> int:
        """When it begins, after the start of its schedule."""

    @property
    def end_ms(self) -> int:
        """When it is over."""


_F = TypeVar("_F", bound=Timed)


def steps(faults: Iterable[_F]) -> Iterator[tuple[int, bool, _F]]:
    """Beginnings and ends in order of time, as (when in ms, whether it begins, the fault).

    At the same moment ends come first, except that of a fault that begins there.
    """
    moments = []
    for rank, fault in enumerate(faults):
        instant = fault.at_ms == fault.end_ms
        moments.append((fault.at_ms, 1, rank, True, fault))
        moments.append((fault.end_ms, 2 if instant else 0, rank, False, fault))
    for at_ms, _, _, begins, fault in sorted(moments, key=lambda mark: mark[:3]):
        yield at_ms, begins, fault


class FaultPlayer(Generic[_F]):
    """Plays a schedule in a thread of its own, in real time.

    Every fault that has begun is ended, also when the player is stopped early.

    Args:
        faults: The schedule.
        begin: Lets a fault happen.
        end: Lets it be over.
    """

    def __init__(self, faults: Iterable[_F], begin_fault: Callable[[_F], None], end: Callable[[_F], None]) -> None:
        self._steps = [*steps(faults)]
        self._begin_fault = begin_fault
        self._end = end
        self._stop = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="fault-player", daemon=True)

    def start(self) -> "FaultPlayer[_F]":
        """Begin now; returns itself."""
        self._thread.start()
        return self

    @property
    def playing(self) -> bool:
        """Whether something is still to come."""
        return self._thread.is_alive()

    def join(self, timeout_s: float) -> None:
        """Wait until the last fault is over.

        Raises:
            AssertionError: It is not in time, or a fault could not be carried out.
        """
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise AssertionError(f"the faults are not over within {timeout_s} s")
        if self._error is not None:
            raise AssertionError("a fault could not be carried out") from self._error

    def stop(self) -> None:
        """End early: what has begun is ended now, what has not never begins."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        began_s, active = time.monotonic(), list[_F]()
        try:
            for at_ms, begins, fault in self._steps:
                if self._stop.wait(max(0.0, began_s + at_ms / 1_000 - time.monotonic())):
                    break
                if begins:
                    active.append(fault)
                    self._begin_fault(fault)
                else:
                    active.remove(fault)
                    self._end(fault)
        except Exception as error:  # noqa: BLE001 - told by join
            self._error = error
        for fault in active:
            try:
                self._end(fault)
            except Exception as error:  # noqa: BLE001 - told by join
                self._error = self._error or error
