"""The time of the simulator, and waiting for it."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Unix time in ms that never goes back."""

    def now_ms(self) -> int:
        """The time now."""

    async def wait(self, until_ms: int | None, wake: asyncio.Event) -> None:
        """Return at a moment, or when `wake` is set, whichever is first; None waits for `wake` alone."""


class SystemClock:
    """The computer's time at construction, moved by the monotonic clock."""

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def now_ms(self) -> int:
        """The time now."""
        return (time.monotonic_ns() + self._offset_ns) // 1_000_000

    async def wait(self, until_ms: int | None, wake: asyncio.Event) -> None:
        """See Clock."""
        if until_ms is None:
            await wake.wait()
            return
        delay_s = (until_ms * 1_000_000 - time.monotonic_ns() - self._offset_ns) / 1e9
        try:
            async with asyncio.timeout(max(0.0, delay_s)):
                await wake.wait()
        except TimeoutError:
            return


class ManualClock:
    """Time that a test moves.

    Args:
        now_ms: First moment.
    """

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms
        self._moved = asyncio.Event()

    def now_ms(self) -> int:
        """The time now."""
        return self._now_ms

    def move(self, by_ms: int) -> None:
        """Let time pass; everyone who waits for it continues when the event loop turns."""
        self._now_ms += by_ms
        self._moved.set()
        self._moved = asyncio.Event()

    async def wait(self, until_ms: int | None, wake: asyncio.Event) -> None:
        """See Clock."""
        while not wake.is_set() and (until_ms is None or self._now_ms < until_ms):
            async with asyncio.TaskGroup() as tasks:
                waits = [tasks.create_task(event.wait()) for event in (wake, self._moved)]
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                for task in waits:
                    task.cancel()
