"""Runs a process until it is ordered to stop: one main task, two signals, no orphan tasks."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any

from tickfleet._util.task_groups import worst_of


async def run_until_signal(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run ``main`` until it ends, or until SIGTERM or SIGINT cancels it.

    ``main`` cleans up in ``finally``; a second signal changes nothing. An error in ``main`` is raised from here as it
    is, not wrapped in a group.
    """
    loop, work = asyncio.get_running_loop(), asyncio.ensure_future(main())
    stopping = False

    def stop() -> None:
        nonlocal stopping
        if not stopping:  # a second cancellation would break into the clean-up
            stopping = True
            work.cancel()

    for sig in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sig, stop)
    try:
        await work
    except asyncio.CancelledError:
        if not stopping:
            raise
    finally:
        for sig in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(sig)


def heed_cancellation() -> None:
    """Raise a cancellation of this task that a library has swallowed.

    Before Python 3.12 ``asyncio.wait_for`` swallows it if the awaited work ends at the same moment (cpython issue
    86296), and redis-py uses it for writes. A loop that waits for such a library calls this once per turn.

    Raises:
        asyncio.CancelledError: This task was cancelled.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def run_together(*works: Coroutine[Any, Any, None]) -> None:
    """Run coroutines side by side; the first error ends all of them and is raised as it is, not wrapped in a group."""
    try:
        async with asyncio.TaskGroup() as tasks:
            for work in works:
                tasks.create_task(work)
    except BaseExceptionGroup as group:
        raise worst_of(group) from group
