"""Follows the completeness ledgers of some collectors."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from tickfleet._util.times import NEW, OLDEST
from tickfleet.contract import keys
from tickfleet.contract.coverage import LedgerEntry, read_entry
from tickfleet.contract.identity import CollectorId
from tickfleet.errors import FleetError, UndecodableFrameError
from tickfleet.reading.position import BEGINNING
from tickfleet.redis.config import RedisConfig

if TYPE_CHECKING:
    from common.redis.redis_py import SyncRedis

PAGE = 1_000
"""Entries to read at once: a millisecond of Redis' time, which the collectors share."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class LedgerRow(Struct, frozen=True):
    """An entry of a ledger, and where it is."""

    collector: CollectorId
    id: str
    entry: LedgerEntry


class Ledgers:
    """Reads on from where it was; the first call of ``read`` begins at ``start``.

    Attributes:
        unreadable: Entries that were passed over.

    Args:
        start: ``new``, ``oldest``, an entry id or a time.
    """

    def __init__(
        self, client: "SyncRedis", redis: RedisConfig, collectors: Iterable[CollectorId], start: str | datetime
    ) -> None:
        self.unreadable = 0
        self._client, self._redis = client, redis
        self._start = start
        self._after: dict[CollectorId, str] = dict.fromkeys(collectors, "")

    def read(self, now_ns: int) -> list[LedgerRow]:
        """What comes next by now, a page of each at most; nothing where nothing is new.

        Raises:
            RedisUnreachableError: Redis does not answer.
            FleetError: A key holds something else.
        """
        if not all(self._after.values()):
            self._find_start()
        commands = [
            ("XRANGE", keys.coverage(one), f"({after}", "+", "COUNT", PAGE) for one, after in self._after.items()
        ]
        found = list[LedgerRow]()
        for collector, rows in zip(self._after, self._ask(commands), strict=True):
            for entry_id, fields in rows:
                self._after[collector] = entry_id
                try:
                    found.append(LedgerRow(collector, entry_id, read_entry(fields, now_ns)))
                except UndecodableFrameError:
                    self.unreadable += 1
        return found

    def _find_start(self) -> None:
        if self._start == NEW:
            answers = self._ask([("XREVRANGE", keys.coverage(one), "+", "-", "COUNT", 1) for one in self._after])
            newest = [rows[0][0] if rows else BEGINNING for rows in answers]
            self._after = dict(zip(self._after, newest, strict=True))
        else:
            self._after = dict.fromkeys(self._after, _before(self._start))

    def _ask(self, commands: Sequence[tuple[str | int, ...]]) -> list[Any]:
        """The answers; in a pipeline, because there a refusal is an answer."""
        from common.redis.redis_py import is_wrong_type, translated_errors, why_refused  # see ``tools``

        with translated_errors(self._redis), self._client.pipeline(transaction=False) as pipe:
            for command in commands:
                pipe.execute_command(*command)  # type: ignore[no-untyped-call]
            answers = pipe.execute(raise_on_error=False)
        for command, answer in zip(commands, answers, strict=True):
            if isinstance(answer, Exception):
                name, key = str(command[0]).lower(), command[1]
                if is_wrong_type(answer):
                    raise FleetError(f"{key} does not hold a ledger (it is no stream)") from answer
                raise FleetError(f"the ledger {key} cannot be read{why_refused(answer, f'{name} {key}')}") from answer
        return answers


def _before(start: str | datetime) -> str:
    """The id behind which to begin."""
    if isinstance(start, datetime):
        return f"{(start - _EPOCH) // timedelta(milliseconds=1) - 1}-{2**64 - 1}"
    return BEGINNING if start == OLDEST else start
