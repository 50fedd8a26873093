"""The streams that a reader has found but not begun to read, and where to begin in each."""

from tickfleet._util.clock import Clock
from tickfleet.reading.position import BEGINNING, Mark, Position
from tickfleet.reading.selection import Selection, StreamName
from tickfleet.reading.streams.commands import find
from tickfleet.reading.streams.connect import LOGGER
from tickfleet.reading.streams.start import Start
from tickfleet.redis.client import RedisPipe

DISCOVER_EVERY_S = 5.0
"""How soon a new stream that fits a pattern is taken up."""

NOT_THERE = "is not there yet; waiting for it"
NO_STREAM = "cannot be read: its key holds something that is no stream"


class NewStreams:
    """Looks for streams now and then; found streams wait until the reader begins with them.

    Args:
        selection: What to look for.
        start: Where to begin in the streams that exist at first.
        clock: The time.
    """

    def __init__(self, selection: Selection, start: Start, clock: Clock) -> None:
        self._patterns = selection.patterns
        self._start = start
        self._clock = clock
        self._waiting: dict[StreamName, Start] = dict.fromkeys(selection.names, start)
        self._taken: set[StreamName] = set()
        self._told: set[tuple[StreamName, str]] = set()
        self._next_s: float | None = None

    @property
    def due(self) -> bool:
        """Whether it is time to look."""
        return self._next_s is None or self._clock.monotonic_s() >= self._next_s

    async def waiting(self, pipe: RedisPipe) -> list[StreamName]:
        """Look for streams; returns all waiting ones. Call ``looked`` after handling them.

        Raises:
            RedisUnreachableError: Redis does not answer, or refuses.
        """
        for name in await find(pipe, self._patterns):
            if name not in self._taken:
                self._waiting.setdefault(name, self._start if self._next_s is None else whole(name))
        return sorted(self._waiting, key=str)

    def looked(self) -> None:
        """Look again in ``DISCOVER_EVERY_S``; streams found from now on are new since the start."""
        self._next_s = self._clock.monotonic_s() + DISCOVER_EVERY_S

    def start_of(self, name: StreamName) -> Start:
        """Where to begin in a stream that waits."""
        return self._waiting[name]

    def warn(self, name: StreamName, what: str) -> None:
        """Log once why a stream cannot be read now; logs again only after the stream was read."""
        if (name, what) not in self._told:
            self._told.add((name, what))
            LOGGER.warning("%s %s", name, what)

    def note_taken(self, name: StreamName) -> None:
        """The stream no longer waits."""
        self._told -= {(name, NOT_THERE), (name, NO_STREAM)}
        del self._waiting[name]
        self._taken.add(name)

    def give_back(self, name: StreamName, start: Start) -> None:
        """The stream cannot be read now, or does not exist: it waits, and will begin at ``start``."""
        self._taken.discard(name)
        self._waiting[name] = start


def whole(name: StreamName) -> Position:
    """The start of a stream that appears later: all its entries are new."""
    return Position({name: Mark(BEGINNING, 0)})
