"""Checks that Redis still has the keys of this run. Redis does not tell a writer that a key was deleted or evicted.

A stream that was started again does not show that earlier entries are gone: a new reader would think that its first
entry was the first ever. So a ``feed_status`` entry reports it there. The ledger does not change: it says what was
published, not what is kept. A hash that is normally written once an hour is written again at once.
"""

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from collector_worker.publish.stream_tips import NOWHERE, place
from collector_worker.telemetry.telemetry import Telemetry
from common.process.log import get_logger
from tickfleet.redis.protocol import Reply, is_no_stream, is_wrong_type

BEGUN_ANEW = "begun_anew"
"""Reason of the ``feed_status`` in a stream that holds nothing of what was in it."""

LOOK_EVERY = 10
"""A look goes with one of so many heartbeats, which come each second."""

_TOLD_LOOKS = 60
"""So many looks after the loss it is in the heartbeat."""

_NAMED = 2
_DELETED = "somebody deleted it, or Redis evicts keys"
_TRIMMED = "somebody removed all its entries (XTRIM, XDEL)"


class Kept(Struct):
    """A key that must exist.

    Attributes:
        on_loss: Called when the key is gone; for a stream, when it has entries again.
        bound: Entries that a stream keeps at least; 0: it is no stream.
        last_id: Id of the last entry at the last check; any id for a key that is not a stream. Empty: the key did not
            exist.
    """

    on_loss: Callable[[], None]
    bound: int = 0
    last_id: bytes = b""


class KeptKeys:
    """Knows the keys that must exist, and reports each loss once."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._kept: dict[bytes, Kept] = {}
        self._calls = 0
        self._quiet_looks = 0
        self._losses = 0

    def keep(self, key: bytes, kept: Kept) -> None:
        """Check this key, too."""
        self._kept[key] = kept

    def due(self) -> Sequence[bytes]:
        """The keys to check by XINFO STREAM with this heartbeat; it tells for any key whether it exists."""
        self._calls += 1
        return [*self._kept] if self._calls % LOOK_EVERY == 0 else ()

    def see(self, keys: Iterable[bytes], replies: Iterable[Reply]) -> None:
        """Process the answers."""
        found = dict(zip(keys, replies, strict=True))
        lost = [key for key, reply in found.items() if self._is_lost(self._kept[key], reply)]
        for key in lost:
            self._kept[key].on_loss()
        self._quiet_looks = 0 if lost else self._quiet_looks + 1
        if lost:
            trimmed = [key for key in lost if _is_trimmed(found[key])]
            deleted = [key for key in lost if key not in trimmed]
            why = "; ".join(filter(None, (_said(deleted, _DELETED), _said(trimmed, _TRIMMED))))
            self._losses += 1
            if self._losses > 1:  # each loss is news
                why = f"{why} (time {self._losses} in this run)"
            self._telemetry.beat.keys_lost = why
            self._telemetry.trouble("kept", why, ours=False)
            get_logger().error("keys_lost", why=why)
        elif self._quiet_looks == _TOLD_LOOKS:
            self._telemetry.beat.keys_lost = ""
            self._telemetry.settled("kept")

    def _is_lost(self, kept: Kept, reply: Reply) -> bool:
        if not kept.bound:
            before, kept.last_id = kept.last_id, NOWHERE if is_wrong_type(reply) else b""
            return bool(before) and is_no_stream(reply) and not is_wrong_type(reply)
        if not isinstance(reply, list):  # it will be told when it is a stream again: see ``Refusals``
            return False
        facts = dict(zip(reply[::2], reply[1::2], strict=True))
        if not facts[b"length"]:
            return False
        first_id, last_id, before = facts[b"first-entry"][0], facts[b"last-generated-id"], kept.last_id
        kept.last_id = bytes(last_id)
        # Retention removes entries only above the bound.
        return facts[b"length"] < kept.bound and place(first_id) > place(before or first_id)


def _is_trimmed(reply: Reply) -> bool:
    """Whether retention trimmed the same stream: one that was deleted and started again has no removed entries."""
    if not isinstance(reply, list):
        return False
    facts = dict(zip(reply[::2], reply[1::2], strict=True))
    return bool(facts.get(b"entries-added", 0) > facts[b"length"])  # Redis 6.2 does not count


def _said(lost: Sequence[bytes], why: str) -> str:
    return f"what was in {_named(lost)} is gone: {why}" if lost else ""


def _named(lost: Sequence[bytes]) -> str:
    more = f" and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
    return b", ".join(lost[:_NAMED]).decode() + more
