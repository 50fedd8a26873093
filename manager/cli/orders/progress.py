"""Pure: what to say while a command waits for collectors, so that nobody waits in silence."""

from collections.abc import Mapping

from manager.decide.bans import ban_of
from manager.model.formatting import one_line
from manager.model.processes import Process
from manager.model.verdicts import Pulse
from tickfleet.contract.identity import CollectorId

SPEAK_AFTER_S = 5.0
"""The silence before the first line, and the least time between two lines."""


def reason(process: Process | None, pulse: Pulse) -> str:
    """How far a collector is: the state of its process or heartbeat, with its last error."""
    if process is None:
        return "supervisord does not know its program yet"
    heartbeat = pulse.heartbeat
    if heartbeat is None or heartbeat.pid != process.pid:
        return f"{process.state.value.lower()}, no heartbeat yet" if process.alive else process.state.value.lower()
    ban = ban_of(heartbeat)
    error = one_line(heartbeat.last_error) if ban is None else str(ban)
    return f"{heartbeat.state.value}: {error}" if error else heartbeat.state.value


class WaitMessages:
    """Decides when there is something to say.

    Args:
        now_s: When the waiting begins (monotonic).
    """

    def __init__(self, now_s: float) -> None:
        self._spoke_s, self._said = now_s, ""

    def line(self, now_s: float, reasons: Mapping[CollectorId, str]) -> str:
        """What to say now about the collectors still waited for; empty if it is too early or was said already."""
        if not reasons or now_s - self._spoke_s < SPEAK_AFTER_S:
            return ""
        first, why = next(iter(reasons.items()))
        more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
        text = f"waiting for {first}{more}: {why}"
        if text == self._said:
            return ""
        self._spoke_s, self._said = now_s, text
        return text
