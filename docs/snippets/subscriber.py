"""Follows the trades of all collectors of OKX with the project's own reader."""

import asyncio

from tickfleet import Subscriber


async def main() -> None:
    """``start`` takes ``new``, ``oldest``, an entry id, a time, ``10m`` (so long ago) or a saved position."""
    async for entry in Subscriber("okx:*", "trade", start="oldest"):
        print(entry.collector, entry.id, entry.event, flush=True)


asyncio.run(main())
