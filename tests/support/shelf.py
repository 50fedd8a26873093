"""A REST of prepared answers."""

import asyncio

from msgspec import field

from collector_worker.rest.client import RestClient
from collector_worker.rest.http import HttpAnswer
from tests.support.ways import FREE, FreePermits


class Shelf(RestClient, frozen=True):
    """A REST that answers what lies on the shelf, one after the other; see ``shelf``."""

    answers: list[bytes | Exception] = field(default_factory=list)
    requests: list[tuple[str, float]] = field(default_factory=list)

    async def fetch(self, path: str, units: float = 1.0) -> HttpAnswer:
        """The next answer; after the last one nothing comes any more."""
        self.requests.append((path, units))
        if not self.answers:
            await asyncio.Event().wait()
        reply = self.answers.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return HttpAnswer(200, reply)


def shelf(*answers: bytes | Exception) -> Shelf:
    """A REST with these answers."""
    return Shelf("http://x", FreePermits(), FREE, answers=list(answers))
