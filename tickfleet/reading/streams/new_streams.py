"""Which streams a reader has not taken up yet, and where it will begin in each."""

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
    """Looks for streams now and then; those that are found wait until they are taken up.

    Args:
        selection: What to look for.
        start: Where to begin in the streams that are there at first.
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
        """Look for streams; all that wait to be taken up. Call ``looked`` once they have been dealt with.

        Raises:
            RedisUnreachableError: Redis does not answer, or refuses.
        """
        for name in await find(pipe, self._patterns):
            if name not in self._taken:
                self._waiting.setdefault(name, self._start if self._next_s is None else whole(name))
        return sorted(self._waiting, key=str)

    def looked(self) -> None:
        """It is due again in ``DISCOVER_EVERY_S``; what is found from now on has appeared meanwhile."""
        self._next_s = self._clock.monotonic_s() + DISCOVER_EVERY_S

    def start_of(self, name: StreamName) -> Start:
        """Where to begin in a stream that waits."""
        return self._waiting[name]

    def warn(self, name: StreamName, what: str) -> None:
        """Log why a stream cannot be read now: once, until it was taken up."""
        if (name, what) not in self._told:
            self._told.add((name, what))
            LOGGER.warning("%s %s", name, what)

    def note_taken(self, name: StreamName) -> None:
        """It waits no more."""
        self._told -= {(name, NOT_THERE), (name, NO_STREAM)}
        del self._waiting[name]
        self._taken.add(name)

    def give_back(self, name: StreamName, start: Start) -> None:
        """It cannot be read now, or is not there: it waits, and will begin at ``start``."""
        self._taken.discard(name)
        self._waiting[name] = start


def whole(name: StreamName) -> Position:
    """The start of a stream that appears later: all that ever was in it is new."""
    return Position({name: Mark(BEGINNING, 0)})
