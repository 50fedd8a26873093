"""REST as a collector uses it: with a permit, within the exchange's limits, and recorded where that is wished."""

from msgspec import Struct

from collector_worker import rest
from collector_worker.permits import Permits
from collector_worker.raw_recorder import RawRecorder
from common.errors import ExchangeUnavailableError
from common.exchanges import Rate

_BANNED = 418
_TOO_MANY = 429
DEFAULT_BAN_S = {_BANNED: 120.0, _TOO_MANY: 10.0}
"""Where the answer does not say how long (Binance sheet, section 3: bans begin at two minutes)."""

LONGEST_BAN_S = 3 * 24 * 3600.0
_SERVER_ERROR = 500


class RestClient(Struct, frozen=True):
    """The REST of one exchange for one collector.

    Attributes:
        rate: The exchange's budget for all processes of this machine, in its own units.
    """

    root: str
    permits: Permits
    rate: Rate
    recorder: RawRecorder | None = None

    async def fetch(self, path: str, units: float = 1.0) -> bytes:
        """The body of an answer that is worth reading; one with an error code of the exchange is.

        Raises:
            ExchangeUnavailableError: No answer, a server error, or we were turned away; in the last case every process
                of this machine stays away for as long as the exchange asks.
        """
        await self.permits.acquire("rest", self.rate, units)
        answer = await rest.get(self.root, path)
        if self.recorder is not None:
            self.recorder.answered(self.root + path, answer.body)
        return await self.heed(answer)

    async def heed(self, answer: rest.Answer) -> bytes:
        """The body of an answer that was got another way.

        Raises:
            ExchangeUnavailableError: As ``fetch``.
        """
        if answer.status in DEFAULT_BAN_S:
            asked_s = answer.retry_after_s
            ban_s = DEFAULT_BAN_S[answer.status] if asked_s is None else min(asked_s, LONGEST_BAN_S)
            await self.permits.ban(ban_s)
            raise ExchangeUnavailableError(f"REST turned us away for {ban_s:g} s (HTTP {answer.status})")
        if answer.status >= _SERVER_ERROR:
            raise ExchangeUnavailableError(f"REST has trouble of its own (HTTP {answer.status})")
        return answer.body
