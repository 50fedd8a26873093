"""Which Redis a reader connects to, and how long it retries while Redis is away."""

import logging
from math import inf
from random import Random

from tickfleet._util.backoff import full_jitter
from tickfleet._util.clock import Clock
from tickfleet.errors import InvalidConfigurationError, RedisUnreachableError
from tickfleet.reading.selection import Selection
from tickfleet.redis.config import RedisConfig
from tickfleet.redis.url import AddressKind, read_address

LOGGER = logging.getLogger("tickfleet.reader")
"""What a reader has to tell goes here, not to the processes' own log: it runs inside programs of other people."""

_FIRST_PAUSE_S = 0.1
_PAUSE_CAP_S = 2.0


def within_reach(selection: Selection, config: RedisConfig) -> Selection:
    """The given selection, if one reader can read all of it.

    Raises:
        InvalidConfigurationError: Redis is a Cluster. There a reader reads one collector, because it connects only to
            the node with that collector's keys.
    """
    collectors = {name.collector for name in selection.names}
    if read_address(config.url).kind is AddressKind.CLUSTER and (selection.patterns or len(collectors) > 1):
        raise InvalidConfigurationError(
            "in a Redis Cluster each collector's streams are on a node of their own: name one collector and data types"
            " without a pattern (candles:1m, not candles), and take one reader for each collector"
        )
    return selection


class RetryState:
    """Counts the failures, and says how long to wait before the next attempt.

    Args:
        clock: The time.
        first_wait_s: How long the first answer may take; after that a reader retries without limit.
    """

    def __init__(self, clock: Clock, first_wait_s: float) -> None:
        self.lost = 0
        """How often the connection was lost, or could not be made at first."""
        self.working = False
        self._clock = clock
        self._first_wait_s = first_wait_s
        self._give_up_at_s: float | None = None
        self._random = Random()  # noqa: S311 - jitter is no secret
        self._pauses_s = full_jitter(self._random, _FIRST_PAUSE_S, _PAUSE_CAP_S)

    def works(self) -> None:
        """Redis has answered."""
        if not self.working:
            self.working = True
            self._give_up_at_s = inf
            self._pauses_s = full_jitter(self._random, _FIRST_PAUSE_S, _PAUSE_CAP_S)
            if self.lost:
                LOGGER.info("Redis answers again")

    def pause_s(self, error: RedisUnreachableError) -> float:
        """Redis has not answered: returns how long to wait before the next attempt (full jitter).

        Raises:
            RedisUnreachableError: The given error, if Redis has never answered and the time for the first answer is
                over.
        """
        now_s = self._clock.monotonic_s()
        if self._give_up_at_s is None:
            self._give_up_at_s = now_s + self._first_wait_s
        if now_s >= self._give_up_at_s:
            raise error
        if self.working or not self.lost:
            self.lost += 1
            LOGGER.warning("%s; trying again", error)
        self.working = False
        return next(self._pauses_s)
