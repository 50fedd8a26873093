"""What an exchange demands of a connection below its messages: pongs, few frames, a limited life. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

Close = tuple[int, str]
"""Close code and reason."""
_SECOND_MS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LineRules:
    """The demands; by default there are none.

    Attributes:
        ping_every_ms: Period of protocol pings that the server sends; None for none.
        pong_within_ms: Time for a pong with the payload of the ping.
        pong_close: How a connection ends whose pong is missing.
        frames_per_s: Frames a client may send in any second, pings and pongs included; None for any number.
        flood_close: How a connection ends that sends more.
        max_life_ms: Age at which a connection is cut without a close frame; None for never.
    """

    ping_every_ms: int | None = None
    pong_within_ms: int = 60_000
    pong_close: Close = (1008, "Pong timeout")
    frames_per_s: int | None = None
    flood_close: Close = (1008, "Too many requests")
    max_life_ms: int | None = None


class Line:
    """One connection under these rules.

    Args:
        rules: The demands.
        now_ms: When the connection was opened.
    """

    def __init__(self, rules: LineRules, now_ms: int) -> None:
        self._rules = rules
        self._end_ms = None if rules.max_life_ms is None else now_ms + rules.max_life_ms
        self._ping_ms = None if rules.ping_every_ms is None else now_ms + rules.ping_every_ms
        self._unanswered: deque[tuple[int, bytes]] = deque()
        self._received: deque[int] = deque()

    def next_ms(self) -> int | None:
        """When the next of the questions below may have another answer; None for never."""
        times = [time for time in (self._end_ms, self._ping_ms) if time is not None]
        if self._unanswered:
            times.append(self._unanswered[0][0] + self._rules.pong_within_ms)
        return min(times, default=None)

    def expired(self, now_ms: int) -> bool:
        """Whether the connection is too old."""
        return self._end_ms is not None and now_ms >= self._end_ms

    def overdue(self, now_ms: int) -> Close | None:
        """How the connection ends if a pong is missing; else None."""
        if self._unanswered and now_ms >= self._unanswered[0][0] + self._rules.pong_within_ms:
            return self._rules.pong_close
        return None

    def ping(self, now_ms: int) -> bytes | None:
        """Payload of the ping to be sent now, the time in ms as text; None if none is due."""
        if self._ping_ms is None or self._rules.ping_every_ms is None or now_ms < self._ping_ms:
            return None
        payload = str(now_ms).encode()
        self._unanswered.append((now_ms, payload))
        self._ping_ms = now_ms + self._rules.ping_every_ms
        return payload

    def pong(self, payload: bytes) -> None:
        """A pong came in. It answers the ping of its payload and all before; without such a ping it means nothing."""
        if any(sent == payload for _, sent in self._unanswered):
            while self._unanswered.popleft()[1] != payload:
                pass

    def received(self, now_ms: int) -> Close | None:
        """A frame came in, of any kind: how the connection ends if it was one too many; else None."""
        limit = self._rules.frames_per_s
        if limit is None:
            return None
        while self._received and self._received[0] <= now_ms - _SECOND_MS:
            self._received.popleft()
        self._received.append(now_ms)
        return self._rules.flood_close if len(self._received) > limit else None
