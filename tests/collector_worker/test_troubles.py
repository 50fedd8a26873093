"""What degrades a collector ends with its cause.

The troubles of Redis: ``test_publisher``; of books: ``test_pipeline_book`` and ``test_connection_book``; of the
instrument: ``test_instrument_watch``.
"""

import asyncio
import re
from pathlib import Path

import pytest
from msgspec import field
from msgspec.structs import replace

import collector_worker
from collector_worker.connection.connection import Connection
from collector_worker.rest.client import RestClient
from collector_worker.rest.http import HttpAnswer
from tests.support.clock import WatchedClock
from tests.support.feed_rig import Rig
from tests.support.okx_wire import acknowledge, book
from tests.support.waiting import until
from tests.support.ways import FREE, FreePermits
from tests.support.ws_server import Peer, ScriptedServer
from tickfleet.contract.health import BookState, WorkerState
from tickfleet.contract.identity import DataType
from tickfleet.errors import ConnectionLostError, ExchangeUnavailableError


def named(method: str) -> set[str]:
    """What the collector's code says it has trouble with, or has no trouble with any more."""
    files = Path(str(collector_worker.__file__)).parent.rglob("*.py")
    found = re.compile(rf'\b{method}\(\s*f?"(\w+)')
    return {name for file in files for name in found.findall(file.read_text(encoding="utf-8"))}


def test_whatever_can_be_in_trouble_can_be_out_of_it() -> None:
    assert named("trouble") == named("settled")
    assert {"redis", "publish", "book", "instrument", "instruments", "feed"} <= named("trouble")


class LateRest(RestClient, frozen=True):
    """A REST that fails only when it is ordered to."""

    requested: asyncio.Event = field(default_factory=asyncio.Event)
    fail: asyncio.Event = field(default_factory=asyncio.Event)

    async def fetch(self, path: str, units: float = 1.0) -> HttpAnswer:
        """No answer, in the end."""
        self.requested.set()
        await self.fail.wait()
        raise ExchangeUnavailableError("REST of nowhere did not answer within 10 s")


async def test_a_snapshot_that_is_not_needed_any_more_may_fail() -> None:
    """It was asked for because none came; one came, then the answer did not."""
    clock = WatchedClock()
    rest = LateRest("http://x", FreePermits(), FREE)

    async def script(peer: Peer) -> None:
        await acknowledge(peer)
        await peer.settle()
        await clock.pass_to_all(5.1)
        await rest.requested.wait()
        await peer.send(book("snapshot", 10, -1, clock.now_ns() // 10**6, [["9", "1"]], [["10", "1"]]))
        await until(lambda: rig.telemetry.beat.book_state is BookState.VALID, "the book is there")
        rest.fail.set()
        await clock.pass_to_all(1.0)
        states.append(rig.telemetry.snapshot(clock.now_ns(), 0.0).state)
        await peer.close()

    states: list[WorkerState] = []
    async with ScriptedServer(script) as server:
        rig = Rig(clock, server.url, DataType.ORDERBOOK)
        context = replace(rig.context, rest=rest)
        with pytest.raises(ConnectionLostError):
            await rig.run(Connection(rig.feed(), context).run())
    assert states == [WorkerState.RUNNING]
