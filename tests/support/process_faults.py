"""What can happen to a process, as data."""

import os
import signal
from pathlib import Path
from random import Random
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

ProcessFaultKind = Literal["sigkill", "sigstop", "blocked"]
KINDS: tuple[ProcessFaultKind, ...] = get_args(ProcessFaultKind)
_PATH = (str(Path(__file__).parent / "blocker"), os.environ.get("PYTHONPATH", ""))
BLOCKABLE = {"PYTHONPATH": os.pathsep.join(filter(None, _PATH))}
"""Environment of a program whose event loop can be blocked; without it ``blocked`` would end the program."""

_BEGINS: dict[ProcessFaultKind, signal.Signals] = {
    "sigkill": signal.SIGKILL,
    "sigstop": signal.SIGSTOP,
    "blocked": signal.SIGUSR1,
}
_ENDS: dict[ProcessFaultKind, signal.Signals] = {"sigstop": signal.SIGCONT, "blocked": signal.SIGUSR2}
_FAULT_EVERY_MS = 10_000
_STOPPED_MS = (200, 6_000)


class ProcessFault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that happens to a process.

    Attributes:
        at_ms: When, after the start of its schedule.
        kind: ``sigkill`` is a crash; ``sigstop`` takes all time from it, as a machine does that is suspended;
            ``blocked`` is an event loop that waits for a call, see ``blocker``.
        for_ms: How long it does not go on.
    """

    at_ms: Annotated[int, Meta(ge=0)]
    kind: ProcessFaultKind
    for_ms: Annotated[int, Meta(ge=0, le=60_000)] = 0

    @property
    def end_ms(self) -> int:
        """When it is over."""
        return self.at_ms + self.for_ms

    def start(self, pid: int) -> None:
        """Let it happen to a process; one that is gone already does not matter."""
        _send(pid, _BEGINS[self.kind])

    def end(self, pid: int) -> None:
        """Let a stopped process go on; the id must be the one that `start` was given."""
        if number := _ENDS.get(self.kind):
            _send(pid, number)


def draw_process_schedule(seed: int, duration_ms: int) -> tuple[ProcessFault, ...]:
    """Draw faults one after the other, about one every 10 s, all over by `duration_ms`; same seed, same faults."""
    rng = Random(f"process:{seed}")
    count = max(1, duration_ms // _FAULT_EVERY_MS)
    slot_ms = duration_ms // count
    faults = []
    for start_ms in range(0, count * slot_ms, max(1, slot_ms)):
        kind = rng.choice(KINDS)
        for_ms = rng.randint(*(min(bound, slot_ms) for bound in _STOPPED_MS)) if kind in _ENDS else 0
        faults.append(ProcessFault(at_ms=start_ms + rng.randint(0, slot_ms - for_ms), kind=kind, for_ms=for_ms))
    return tuple(faults)


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
