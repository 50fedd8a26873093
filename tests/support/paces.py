"""What is behind the reader of a socket, in tests."""

import asyncio


class Ease:
    """Never asks for a pause."""

    paused = False

    async def resumed(self) -> None:
        """Nobody asks for it."""
        raise AssertionError("nobody is paused")


class Congestion:
    """Asks for a pause after every frame, until told otherwise."""

    def __init__(self) -> None:
        self.paused = True
        self.awaited = asyncio.Event()
        self.granted = asyncio.Event()

    async def resumed(self) -> None:
        """Wait until the test grants it."""
        self.awaited.set()
        await self.granted.wait()


class Hiccups:
    """Asks for a pause after every ``each``-th frame of those in ``frames``; it is over at the loop's next turn."""

    def __init__(self, frames: list[bytes], each: int) -> None:
        self._frames = frames
        self._each = each
        self.pauses = 0
        self.moved = 0
        """Frames that came during a pause."""

    @property
    def paused(self) -> bool:
        """Whether a pause is due."""
        return len(self._frames) % self._each == 0

    async def resumed(self) -> None:
        """A pause of a few turns of the loop, in which more arrives."""
        before = len(self._frames)
        for _ in range(3):
            await asyncio.sleep(0)
        self.pauses += 1
        self.moved += len(self._frames) - before
