"""Whether a correctly followed book is also current, judged by the collector's heartbeat. Pure.

Clocks of two machines are never compared: the collector's times only with each other, and so are ours.
"""

from tickfleet.contract.health import BookState, Heartbeat, Progress
from tickfleet.contract.identity import DataType

STILL_S = 3.0
"""A collector beats each second; one that has not for so long is dead or hangs."""

UNWATCHED_S = 3.0
"""What has not been looked at for so long may be anything."""

LATE_S = 0.5
"""What the collector had read at a beat reaches a reader within milliseconds of it, or something is in the way."""


class BookWatch:
    """Records each reading of the heartbeat; times come from a monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._beat: Heartbeat | None = None
        self._seen_s = 0.0
        self._moved_s = 0.0
        self._needed_ns = 0

    @property
    def started_at(self) -> int:
        """When the present run of the collector started (ns, its clock); 0: not known."""
        return self._beat.started_at if self._beat else 0

    def note(self, beat: Heartbeat | None, now_s: float) -> None:
        """Note the heartbeat as it is now; None if there is none."""
        before = self._beat
        if beat is None or before is None or (beat.run_id, beat.beats) != (before.run_id, before.beats):
            self._moved_s = now_s
        self._needed_ns = _progress(before).last_event_at
        self._beat = beat
        self._seen_s = now_s

    def out_of_sync(self, now_s: float, ts_recv: int) -> str:
        """Why the book may differ from the market's; empty: no reason.

        Args:
            now_s: Now.
            ts_recv: Of the last entry that it holds.
        """
        beat, unseen_s = self._beat, now_s - self._seen_s
        if unseen_s > UNWATCHED_S:
            return "not watched for too long"
        if beat is None:
            return "no heartbeat: the collector does not run"
        if now_s - self._moved_s > STILL_S:
            return "the collector has stopped beating"
        # What has come since the beat is newer than what it says: there was a snapshot among it, or a doubt in it.
        if beat.book_state is not BookState.VALID and ts_recv <= beat.beat_at:
            return f"the collector's book is {beat.book_state.value if beat.book_state else 'not collected'}"
        progress = _progress(beat)
        if 0 < progress.silence_limit < beat.beat_at - progress.last_event_at:
            return "the collector's book is silent"
        if ts_recv < self._needed_ns or (unseen_s > LATE_S and ts_recv < progress.last_event_at):
            return "behind the collector"
        return ""


def _progress(beat: Heartbeat | None) -> Progress:
    """How far the collector's book has come."""
    return beat.progress.get(DataType.ORDERBOOK, Progress()) if beat else Progress()
