"""Many real processes that ask for one permit each at the same moment: ``python -m tests.support.permit_clients``.

The processes are forked from one that has everything imported, so that they cost milliseconds each.
"""

import asyncio
import gc
import os
import signal
import sys
import time
from random import Random
from typing import NoReturn

import msgspec
from msgspec import Struct

from collector_worker.rest import rate_limits as rate_limiter
from collector_worker.rest.rate_limits import RateLimiter
from common.config.exchanges import Rate
from tests.support.waiting import PATIENCE_S
from tickfleet.redis import connection as redis_line
from tickfleet.redis.config import RedisConfig


class Grant(Struct, frozen=True, kw_only=True):
    """What one process saw; times by the clock that all processes of a machine share.

    Attributes:
        waited_s: How long it was told to wait.
    """

    pid: int
    asked_s: float
    granted_s: float
    waited_s: float

    @property
    def late_s(self) -> float:
        """How late it came to its permit at most: the way to Redis and back, and to a processor."""
        return self.granted_s - self.asked_s - self.waited_s


class Plan(Struct, frozen=True, kw_only=True):
    """What is to happen.

    Attributes:
        clients: Processes that ask at the same moment.
        turn_at: After so many grants ...
        kill: ... so many of those that still wait are killed,
        late: and so many more ask.
    """

    url: str
    per_s: float
    clients: int
    turn_at: int
    kill: int
    late: int


class Outcome(Struct, frozen=True, kw_only=True):
    """What became of the clients."""

    grants: list[Grant]
    killed: list[int]


class _Clients:
    """Forks the processes, lets them go and hears of their grants."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._gate = os.pipe()
        self._results = os.pipe()
        self._waiting: set[int] = set()
        self._outcome = Outcome(grants=[], killed=[])

    def run(self) -> Outcome:
        """Until all have their permit or are dead."""
        plan, killed = self._plan, self._outcome.killed
        self._let_in(plan.clients)
        with os.fdopen(self._results[0], "rb") as results:
            while self._waiting - set(killed):
                grant = msgspec.json.decode(results.readline(), type=Grant)
                self._outcome.grants.append(grant)
                self._waiting.discard(grant.pid)
                if grant.pid in killed:  # it came to its permit just before
                    killed.remove(grant.pid)
                if len(self._outcome.grants) == plan.turn_at:
                    self._kill()
                    self._let_in(plan.late)
        for _ in range(plan.clients + plan.late):
            os.wait()
        return self._outcome

    def _let_in(self, count: int) -> None:
        """Fork, and let them ask when all are there: each takes one byte."""
        for _ in range(count):
            pid = os.fork()
            if pid == 0:
                self._live()
            self._waiting.add(pid)
        os.write(self._gate[1], b"x" * count)

    def _kill(self) -> None:
        waiting = sorted(self._waiting)
        self._outcome.killed.extend(waiting[:: len(waiting) // self._plan.kill][: self._plan.kill])
        for pid in self._outcome.killed:
            os.kill(pid, signal.SIGKILL)

    def _live(self) -> NoReturn:
        """The life of one process; it never returns into the code of its parent."""
        code = 1
        try:
            os.read(self._gate[0], 1)
            grant = asyncio.run(_ask(self._plan))
            os.write(self._results[1], msgspec.json.encode(grant) + b"\n")  # in one piece, as shorter than PIPE_BUF
            code = 0
        finally:
            os._exit(code)


async def _ask(plan: Plan) -> Grant:
    rate_limiter = RateLimiter(RedisConfig(url=plan.url), "okx", Random(1), host="clients")
    asked_s = time.monotonic()
    waited_s = await rate_limiter.acquire("connect", Rate(plan.per_s))
    return Grant(pid=os.getpid(), asked_s=asked_s, granted_s=time.monotonic(), waited_s=waited_s)


def main() -> int:
    """Carry out the ``Plan`` on stdin and write its ``Outcome`` to stdout."""
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    gc.freeze()
    # Who is not answered in time takes a pause in place of a permit. Here everybody waits for the answer.
    rate_limiter.ASK_TIMEOUT_S = redis_line.CONNECT_TIMEOUT_S = redis_line.ANSWER_TIMEOUT_S = 10 * PATIENCE_S
    sys.stdout.buffer.write(msgspec.json.encode(_Clients(plan).run()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
