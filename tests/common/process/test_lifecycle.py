import asyncio
import os
import signal
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import pytest

from common.process.lifecycle import heed_cancellation, run_together, run_until_signal
from tickfleet._util.task_groups import worst_of
from tickfleet.errors import (
    ConnectionLostError,
    InvalidConfigurationError,
    RedisUnreachableError,
    SubscriptionRefusedError,
)


async def forever() -> None:
    await asyncio.Event().wait()


async def fail(error: BaseException) -> None:
    raise error


async def nothing() -> None:
    pass


async def test_main_that_ends_is_the_end() -> None:
    await run_until_signal(nothing)


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT], ids=lambda sig: signal.Signals(sig).name)
async def test_a_signal_ends_main_and_lets_it_clean_up(sig: signal.Signals) -> None:
    steps = []

    async def main() -> None:
        os.kill(os.getpid(), sig)
        try:
            await forever()
        finally:
            await asyncio.sleep(0)
            steps.append("cleaned up")

    await run_until_signal(main)
    assert steps == ["cleaned up"]


async def test_a_second_signal_does_not_break_into_the_clean_up() -> None:
    steps = []

    async def main() -> None:
        loop, second = asyncio.get_running_loop(), asyncio.Event()
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            await forever()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            loop.call_later(0, second.set)  # behind the handler of the signal
            await second.wait()
            await asyncio.sleep(0)
            steps.append("cleaned up")

    await run_until_signal(main)
    assert steps == ["cleaned up"]


async def test_an_error_of_main_comes_out_as_it_is() -> None:
    with pytest.raises(InvalidConfigurationError, match=r"^no$"):
        await run_until_signal(lambda: fail(InvalidConfigurationError("no")))


async def test_an_error_of_the_clean_up_comes_out() -> None:
    async def main() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            await forever()
        finally:
            raise RedisUnreachableError("no")

    with pytest.raises(RedisUnreachableError, match=r"^no$"):
        await run_until_signal(main)


async def test_a_cancellation_from_outside_passes_through() -> None:
    steps: list[str] = []
    began = asyncio.Event()

    async def main() -> None:
        began.set()
        try:
            await forever()
        finally:
            steps.append("cleaned up")

    async with asyncio.TaskGroup() as tasks:
        work = tasks.create_task(run_until_signal(main))
        await began.wait()
        work.cancel()
    assert work.cancelled()
    assert steps == ["cleaned up"]


async def test_the_handlers_of_signals_are_taken_away_again() -> None:
    await run_until_signal(nothing)

    loop = asyncio.get_running_loop()
    assert not loop.remove_signal_handler(signal.SIGTERM)
    assert not loop.remove_signal_handler(signal.SIGINT)


async def test_works_run_side_by_side_to_their_end() -> None:
    first, second = asyncio.Event(), asyncio.Event()

    async def one() -> None:
        first.set()
        await second.wait()

    async def other() -> None:
        await first.wait()
        second.set()

    await run_together(one(), other())


async def test_an_error_ends_the_others_and_comes_out_as_it_is() -> None:
    steps = []

    async def other() -> None:
        try:
            await forever()
        finally:
            steps.append("cancelled")

    with pytest.raises(ConnectionLostError, match=r"^gone$"):
        await run_together(other(), fail(ConnectionLostError("gone")))
    assert steps == ["cancelled"]


async def test_of_several_errors_the_worst_comes_out() -> None:
    async def fails_when_cancelled(error: Exception) -> None:
        try:
            await forever()
        finally:
            raise error

    def all_of(*works: Coroutine[Any, Any, None]) -> Coroutine[Any, Any, None]:
        return run_together(*works)

    with pytest.raises(ZeroDivisionError):
        await all_of(fails_when_cancelled(ZeroDivisionError()), fail(ConnectionLostError("gone")))


LOST, REFUSED, BUG = ConnectionLostError("lost"), SubscriptionRefusedError("refused"), ZeroDivisionError("bug")
UNREACHABLE = RedisUnreachableError("away")


@pytest.mark.parametrize(
    ("errors", "worst"),
    [
        ([LOST], LOST),
        ([LOST, UNREACHABLE], LOST),
        ([UNREACHABLE, LOST], UNREACHABLE),
        ([LOST, REFUSED], REFUSED),
        ([LOST, REFUSED, BUG], BUG),
        ([LOST, ExceptionGroup("inner", [UNREACHABLE, ExceptionGroup("innermost", [REFUSED])])], REFUSED),
    ],
    ids=["one", "the first of equals", "the first of equals, again", "one that ends the process", "a bug", "nested"],
)
def test_the_worst_error_of_a_group(errors: list[Exception], worst: Exception) -> None:
    assert worst_of(BaseExceptionGroup("outer", errors)) is worst


async def test_a_cancellation_that_was_swallowed_is_heeded_later() -> None:
    began, turns = asyncio.Event(), 0

    async def loop() -> None:
        nonlocal turns
        while True:
            heed_cancellation()
            turns += 1
            began.set()
            with suppress(asyncio.CancelledError):  # as a library does
                await asyncio.Event().wait()

    task = asyncio.create_task(loop())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert turns == 1
