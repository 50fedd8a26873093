"""REST for a collector: with a permit, within the exchange's limits, and recorded if configured."""

import asyncio

from msgspec import Struct, field

from collector_worker.rest import http as rest
from collector_worker.rest.rate_limits import RateLimiter
from collector_worker.telemetry.recorder import FrameRecorder
from collector_worker.telemetry.telemetry import Telemetry
from common.config.exchanges import Rate
from common.network.http_status import DEFAULT_BAN_S, FORBIDDEN, meaning_of
from tickfleet._util.backoff import GrowingPause
from tickfleet.errors import ExchangeUnavailableError, PlaceRefusedError

_SERVER_ERROR = 500
_BEGINNING = 1_000
_ABOUT = "rest"
FORBIDDEN_FIRST_S = 30.0
"""A firewall may mean this one question: all stay away for so long at first, and twice as long each time."""


class RestClient(Struct, frozen=True):
    """The REST of one exchange for one collector.

    Attributes:
        rate: The exchange's budget for all processes of this machine, in its own units.
        telemetry: Notes failures; they are the exchange's own problem and do not degrade the state.
    """

    root: str
    rate_limiter: RateLimiter
    rate: Rate
    recorder: FrameRecorder | None = None
    telemetry: Telemetry | None = None
    _forbidden: GrowingPause = field(default_factory=lambda: GrowingPause(FORBIDDEN_FIRST_S, DEFAULT_BAN_S[FORBIDDEN]))

    async def fetch(self, path: str, units: float = 1.0) -> rest.HttpAnswer:
        """A readable answer; an answer with an error code of the exchange counts as readable.

        Raises:
            ExchangeUnavailableError: No answer, a server error, no JSON, or a ban; after a ban no process of this
                machine calls for as long as the exchange asks.
            PlaceRefusedError: See the class.
        """
        await self.rate_limiter.acquire("rest", self.rate, units)
        try:
            answer = await rest.get(self.root, path)
            if self.recorder is not None:
                self.recorder.answered(self.root + path, answer.body)
            await self.heed(answer)
        except ExchangeUnavailableError as error:
            if self.telemetry is not None:
                self.telemetry.trouble(_ABOUT, str(error), ours=False)
            raise
        if self.telemetry is not None:
            self.telemetry.settled(_ABOUT)
        return answer

    async def heed(self, answer: rest.HttpAnswer) -> None:
        """Obey an answer that came another way; if this raises nothing, the answer is readable.

        Raises:
            FleetError: As ``fetch``.
        """
        who, status = f"REST of {rest.host_of(self.root)}", answer.status
        ban_s = answer.retry_after_s
        if status == FORBIDDEN and ban_s is None:
            ban_s = self._forbidden.after_attempt(asyncio.get_running_loop().time())
        meaning = meaning_of(who, status, ban_s, self.root, answer.location)
        if meaning is not None and meaning.fatal:
            raise PlaceRefusedError(meaning.why)
        if meaning is not None:
            if meaning.ban_s is not None:
                await self.rate_limiter.ban(meaning.ban_s, meaning.why)
            raise ExchangeUnavailableError(meaning.why)
        self._forbidden.reset()
        await self.rate_limiter.answered()
        if status >= _SERVER_ERROR:
            raise ExchangeUnavailableError(f"{who} has trouble of its own (HTTP {status})")
        if (what := _instead_of_json(answer.body)) is not None:
            raise ExchangeUnavailableError(f"{who} answered {what} instead of JSON (HTTP {status})")


def _instead_of_json(body: bytes) -> str | None:
    """What an answer has instead of a JSON object or list."""
    beginning = body[:_BEGINNING].lstrip()
    if beginning.startswith((b"{", b"[")):
        return None
    if beginning.startswith(b"<"):
        return "HTML"
    return "something else" if beginning else "nothing"
