"""supervisord for the event loop: the blocking client in threads of its own.

Looking and acting have separate threads, so that slow actions cannot hold up the next look at the fleet.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from manager.model.processes import ALIVE, Process, ProcessState
from manager.supervisord.client import LOOK_TIMEOUT_S, Reread, SupervisorClient
from manager.supervisord.endings import Endings
from tickfleet.errors import SupervisorUnreachableError

ACTING_THREADS = 8
"""supervisord answers one call at a time; more threads would only wait in its queue."""

STOP_LIMIT_S = 15.0
"""Longer than ``stopwaitsecs`` of our programs, after which supervisord sends KILL."""

_LOOK_AGAIN_S = 0.25
_T = TypeVar("_T")


class Supervisor(Protocol):
    """What the manager needs of supervisord. Errors as in ``SupervisorClient``."""

    async def processes(self) -> dict[str, Process]:
        """All processes by program name."""
        ...

    async def start(self, program: str) -> None:
        """Start a process and do not wait for it."""
        ...

    async def stop(self, program: str) -> None:
        """Stop a process and wait until it has gone."""
        ...

    async def kill(self, program: str, pid: int) -> None:
        """Kill the process if it is still the one meant."""
        ...

    async def reread(self) -> Reread:
        """Have the configuration files read again."""
        ...

    async def add(self, program: str) -> None:
        """Take up a program's group."""
        ...

    async def remove(self, program: str) -> None:
        """Give up a program's group."""
        ...


class ThreadedSupervisor:
    """See ``Supervisor``. Use it as a context manager, so that its threads end."""

    def __init__(self, client: SupervisorClient) -> None:
        self._client, self._looks = client, client.within(LOOK_TIMEOUT_S)
        self._endings = Endings()
        self._looking = ThreadPoolExecutor(1, thread_name_prefix="supervisor-look")
        self._acting = ThreadPoolExecutor(ACTING_THREADS, thread_name_prefix="supervisor-act")

    def __enter__(self) -> "ThreadedSupervisor":
        return self

    def __exit__(self, *_: object) -> None:
        for pool in (self._looking, self._acting):
            pool.shutdown(wait=False, cancel_futures=True)

    async def processes(self) -> dict[str, Process]:
        """All processes by program name."""
        return await _in(self._looking, lambda: self._endings.told(self._looks.processes(), self._looks.log_end))

    async def start(self, program: str) -> None:
        """Start a process and do not wait for it."""
        await _in(self._acting, lambda: self._client.start(program))

    async def stop(self, program: str) -> None:
        """Stop a process and wait until it has gone."""
        await _in(self._acting, lambda: self._client.begin_stop(program))
        try:
            async with asyncio.timeout(STOP_LIMIT_S):
                # supervisord could hold its answer back until the process has gone, but the thread that waits for it
                # would keep the manager from ending when it should.
                while await self._still_there(program):  # noqa: ASYNC110
                    await asyncio.sleep(_LOOK_AGAIN_S)
        except TimeoutError as error:
            raise SupervisorUnreachableError(f"supervisord has not stopped {program} in {STOP_LIMIT_S:g} s") from error

    async def _still_there(self, program: str) -> bool:
        process = await _in(self._acting, lambda: self._client.process(program))
        return process.state in ALIVE or process.state is ProcessState.STOPPING

    async def kill(self, program: str, pid: int) -> None:
        """Kill the process if it is still the one meant."""
        await _in(self._acting, lambda: self._client.kill(program, pid))

    async def reread(self) -> Reread:
        """Have the configuration files read again."""
        return await _in(self._acting, self._client.reread)

    async def add(self, program: str) -> None:
        """Take up a program's group."""
        await _in(self._acting, lambda: self._client.add(program))

    async def remove(self, program: str) -> None:
        """Give up a program's group."""
        await _in(self._acting, lambda: self._client.remove(program))


async def _in(pool: ThreadPoolExecutor, call: Callable[[], _T]) -> _T:
    return await asyncio.get_running_loop().run_in_executor(pool, call)
