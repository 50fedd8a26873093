"""Waiting inside the event loop, always under a time limit."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PATIENCE_S = 40.0
"""Far longer than anything takes: a test that gets here has failed."""

_POLL_S = 0.002


async def until(condition: Callable[[], T], what: str = "a condition") -> T:
    """Wait for a condition of this process to hold, and return its (true) value.

    Raises:
        AssertionError: It did not hold within ``PATIENCE_S``.
    """
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not (value := condition()):  # noqa: ASYNC110 - counters and states have no event
                await asyncio.sleep(_POLL_S)
            return value
    except TimeoutError as error:
        raise AssertionError(f"not within {PATIENCE_S} s: {what}") from error
