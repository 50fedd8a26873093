"""Writes orders into Redis: what is wanted and the journal's entry of it, in one transaction."""

from collections.abc import Callable
from typing import Any

from manager.cli.context import Tools, login_name, tell
from manager.cli.effective import Site, readable
from manager.cli.orders.orders import Change, Order
from manager.desired.overrides import Desired, Stamp, encode, merge
from manager.model.journal_entries import JournalEntry, What, queue_entry
from tickfleet.contract import keys

NO_MANAGER = "the manager is not running; kept, carried out when it starts"


def stamp_of(tools: Tools, why: str) -> Stamp:
    """Who gives an order, and when."""
    return Stamp(who=login_name(), at=tools.clock.now_ns(), why=why)


def order_entry(command: str, stamp: Stamp, collector: str = "") -> JournalEntry:
    """The journal's entry of an order."""
    return JournalEntry(
        at_ns=stamp.at,
        who=stamp.who,
        what=What.ORDERED,
        collector=collector,
        why=stamp.why,
        details={"command": command},
    )


def write_order(site: Site, order: Order, stamp: Stamp, decide: Callable[[Desired], list[Change]]) -> list[Change]:
    """Write an order where the manager reads it; returns the changes that it made.

    ``decide`` computes them from the desired fleet as it is now, which may be newer than the one in ``site``. It is
    called again if somebody else changed that fleet meanwhile. If it raises, the error passes through and nothing has
    been changed.

    Raises:
        RedisUnreachableError: Redis does not answer, or takes no writes.
    """
    from common.redis.redis_py import translated_errors  # see ``tools``

    def transact(pipe: Any) -> list[Change]:
        changes = decide(merge(site.file, readable(pipe.hgetall(keys.FLEET_DESIRED))))
        pipe.multi()
        for change in changes:
            if not change.keeps and change.override is None:
                pipe.hdel(keys.FLEET_DESIRED, str(change.id))
            elif not change.keeps and change.override is not None:
                pipe.hset(keys.FLEET_DESIRED, str(change.id), encode(change.override))
            queue_entry(pipe, order_entry(order.value, stamp, str(change.id)))
        return changes

    transaction: Any = site.client.transaction  # redis-py's types know no function that returns something
    with translated_errors(site.file.redis):
        changes: list[Change] = transaction(transact, keys.FLEET_DESIRED, value_from_callable=True)
    return changes


def tell_no_manager() -> None:
    """One line for an order that waits for the manager."""
    tell(NO_MANAGER)
