"""What can happen to a process, as data."""

import os
import signal
from random import Random
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

ProcessFaultKind = Literal["sigkill", "sigstop"]
_FAULT_EVERY_MS = 10_000
_STOPPED_MS = (200, 6_000)


class ProcessFault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that happens to a process.

    Attributes:
        at_ms: When, after the start of its schedule.
        kind: ``sigkill`` is a crash, ``sigstop`` a loop that is blocked until it goes on.
        for_ms: How long it is stopped.
    """

    at_ms: Annotated[int, Meta(ge=0)]
    kind: ProcessFaultKind
    for_ms: Annotated[int, Meta(ge=0, le=60_000)] = 0

    @property
    def end_ms(self) -> int:
        """When it is over."""
        return self.at_ms + self.for_ms

    def begin(self, pid: int) -> None:
        """Let it happen to a process; one that is gone already does not matter."""
        _send(pid, signal.SIGKILL if self.kind == "sigkill" else signal.SIGSTOP)

    def end(self, pid: int) -> None:
        """Let a stopped process go on; the id must be the one that `begin` was given."""
        if self.kind == "sigstop":
            _send(pid, signal.SIGCONT)


def draw_process_schedule(seed: int, duration_ms: int) -> tuple[ProcessFault, ...]:
    """Draw faults one after the other, about one every 10 s, all over by `duration_ms`; same seed, same faults."""
    rng = Random(f"process:{seed}")
    count = max(1, duration_ms // _FAULT_EVERY_MS)
    slot_ms = duration_ms // count
    faults = []
    for start_ms in range(0, count * slot_ms, max(1, slot_ms)):
        kind: ProcessFaultKind = rng.choice(["sigkill", "sigstop"])
        for_ms = rng.randint(*(min(bound, slot_ms) for bound in _STOPPED_MS)) if kind == "sigstop" else 0
        faults.append(ProcessFault(at_ms=start_ms + rng.randint(0, slot_ms - for_ms), kind=kind, for_ms=for_ms))
    return tuple(faults)


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
