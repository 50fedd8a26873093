"""How connections to Binance begin and end, generated or replayed (sheet, sections 1 and 2)."""

from __future__ import annotations

from tests.simulator.binance_query import RefusedError
from tests.simulator.binance_streams import is_socket, wrap
from tests.simulator.binance_weights import Attempts
from tests.simulator.line import Close, LineRules
from tests.simulator.source import Answer, Frame, Kind

PING_EVERY_MS = 20_000
PONG_WITHIN_MS = 60_000
FRAMES_PER_S = 5
MAX_LIFE_MS = 86_400_000
SHUTDOWN_STREAM = "!serverShutdown"
_SLOW_CLOSE = (1008, "Client is too slow")
"""The sheet names no code for this."""


class Door:
    """The part of a source that knows no market.

    Args:
        max_life_ms: Age at which a connection is cut; None for the exchange's own, 24 hours.
        connect_limit: Connection attempts within five minutes; None for any number.
    """

    ws_paths = ("", "")
    """A collector is given the base and adds ``/ws/...`` or ``/stream?streams=...`` itself."""
    idle_limit_ms: int | None = None

    def __init__(self, max_life_ms: int | None, connect_limit: int | None) -> None:
        self._attempts = Attempts(connect_limit)
        self.line_rules = LineRules(
            ping_every_ms=PING_EVERY_MS,
            pong_within_ms=PONG_WITHIN_MS,
            frames_per_s=FRAMES_PER_S,
            max_life_ms=max_life_ms or MAX_LIFE_MS,
        )

    def socket_path(self, target: str) -> str | None:
        """The whole target: it says what is subscribed."""
        return target if is_socket(target) else None

    def refuse_socket(self, now_ms: int) -> Answer | None:
        """HTTP 429 for one attempt too many: the sheet says only that the client is disconnected."""
        wait_s = self._attempts.allow(now_ms)
        if wait_s is None:
            return None
        error = RefusedError(-1034, "Too many connections; please try again later.")
        return Answer(429, error.body, (("Retry-After", str(wait_s)),))

    def shutdown_frame(self, text: bytes, *, combined: bool) -> Frame:
        """The announcement of a planned loss in the form of a connection."""
        return Frame(wrap(SHUTDOWN_STREAM, text) if combined else text, Kind.REPLY)

    def idle_close(self) -> Close:
        """Never used: silence is not an offence, a missing pong is."""
        return self.line_rules.pong_close

    def slow_close(self) -> Close:
        """Close code and reason for a reader that is too slow."""
        return _SLOW_CLOSE
