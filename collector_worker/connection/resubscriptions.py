"""Decides which channels of a connection to subscribe again, and when. Pure: the time is an argument."""

from collections.abc import Collection

from collector_worker.exchanges.adapter import Channel
from tickfleet._util.backoff import GrowingPause


class Resubscriptions:
    """Each pause is a little longer, until a calm time makes it short again: exchanges count such requests.

    Args:
        first_s, cap_s: The shortest and the longest pause, seconds.
    """

    def __init__(self, first_s: float, cap_s: float) -> None:
        self._pause = GrowingPause(first_s, cap_s)
        self._at_s: dict[Channel, float] = {}
        self._refused: set[Channel] = set()

    @property
    def waiting(self) -> bool:
        """Whether any channel will be asked for again."""
        return bool(self._at_s)

    def ask(self, channels: Collection[Channel], now_s: float) -> None:
        """Ask for channels again; at once if there was no such request lately."""
        self._plan(channels, now_s, at_once=True)

    def refused(self, channels: Collection[Channel], now_s: float) -> None:
        """The exchange has refused one of these for now, and does not say which: ask after a pause."""
        self._refused |= set(channels)
        self._plan(channels, now_s, at_once=False)

    def confirmed(self, channel: Channel) -> None:
        """A channel works, so a refusal meant another one."""
        if channel in self._refused:
            self._refused.discard(channel)
            self._at_s.pop(channel, None)

    def due(self, now_s: float) -> list[Channel]:
        """The channels to ask for now; each is named once."""
        due = [channel for channel, at_s in self._at_s.items() if now_s >= at_s]
        for channel in due:
            del self._at_s[channel]
            self._refused.discard(channel)
        return due

    def _plan(self, channels: Collection[Channel], now_s: float, *, at_once: bool) -> None:
        new = [channel for channel in channels if channel not in self._at_s]
        if not new:
            return
        pause_s = self._pause.after_attempt(now_s)
        if at_once and pause_s == self._pause.first_s:
            pause_s = 0.0
        self._at_s |= dict.fromkeys(new, now_s + pause_s)
