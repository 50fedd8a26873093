"""Pure: what an operator's order changes, by what the fleet file and earlier orders say.

| order | what is kept in ``fleet:desired`` afterwards |
| --- | --- |
| stop | stopped |
| disable | disabled |
| start, enable | nothing where the file has it enabled; enabled where the file disables it, or does not list it |
| remove | removed; nothing where the file does not list it |
| add | enabled, with its settings; nothing where the file lists it and it had been removed |

``start`` undoes a stop, and is refused for a disabled collector; ``enable`` undoes all three. An order whose result is
already there changes nothing.
"""

from collections.abc import Iterable, Mapping, Set
from enum import Enum
from typing import Any

from msgspec import Struct

from common.config.collector import ExchangeCollectorConfig
from manager.cli.patterns import is_id, is_pattern, select
from manager.desired.overrides import Desired, Override, OverrideState, Stamp
from tickfleet.contract.identity import CollectorId
from tickfleet.errors import UsageError


class Order(Enum):
    """The orders about collectors, by their command."""

    START = "start"
    STOP = "stop"
    ENABLE = "enable"
    DISABLE = "disable"
    REMOVE = "remove"
    ADD = "add"


class Change(Struct, frozen=True, kw_only=True):
    """What an order does to one collector's entry.

    Attributes:
        override: The entry afterwards; None where there is none.
        keeps: Nothing changes: the collector already is as ordered, for the reason in ``why``.
    """

    id: CollectorId
    override: Override | None = None
    keeps: bool = False
    why: str = ""


def choose(desired: Desired, names: Iterable[str], order: Order | None = None) -> list[CollectorId]:
    """The collectors that the names mean for an order; with None for a restart.

    A pattern skips collectors that the order is not for; a collector that is named by its id must fit.

    Raises:
        UsageError: A name means no collector, or one that the order is not for.
    """
    names = list(names)
    removed = {str(collector): override for collector, override in desired.removed.items()}
    if order is Order.REMOVE and (pattern := next(filter(is_pattern, names), None)):
        raise UsageError(f"remove wants the IDs of collectors, not a pattern as {pattern!r}")
    hidden: Set[str] = frozenset()  # who is not in the fleet and is meant all the same
    if order is Order.ENABLE:
        hidden = removed.keys()
    elif order is Order.REMOVE:
        hidden = _unusable(desired)
    back = [CollectorId.parse(name) for name in names if name in hidden]
    others = [name for name in names if name not in hidden]
    if gone := next((name for name in others if name in removed), None):
        raise UsageError(f"{gone} is {removed[gone].sentence()} (manager-cli enable {gone})")
    chosen = [config.id for config in select(desired.fleet, others)]
    if order in (Order.START, None):
        chosen = _only_enabled(desired, chosen, names, stopped_too=order is Order.START)
    return list(dict.fromkeys(chosen + back))


def _only_enabled(
    desired: Desired, chosen: list[CollectorId], names: list[str], *, stopped_too: bool
) -> list[CollectorId]:
    fit = [each for each in chosen if not desired.why_idle(each) or (stopped_too and _stopped(desired, each))]
    if unfit := next((each for each in chosen if each not in fit and str(each) in names), None):
        cure = "start" if _stopped(desired, unfit) else "enable"
        raise UsageError(f"{unfit} is {desired.why_idle(unfit)} (manager-cli {cure} {unfit})")
    if not fit:
        raise UsageError(f"all collectors that {' '.join(names)} names are disabled or stopped")
    return fit


def _unusable(desired: Desired) -> set[str]:
    """Collectors that are not in the fleet because their entry is invalid: they can still be removed."""
    known = {str(config.id) for config in (*desired.fleet.collectors, *desired.in_file.values())}
    return {field for field in desired.ignored if field not in known and is_id(field)}


def _stopped(desired: Desired, collector: CollectorId) -> bool:
    override = desired.overrides.get(collector)
    return override is not None and override.state is OverrideState.STOPPED


def change(desired: Desired, order: Order, collector: CollectorId, stamp: Stamp) -> Change:
    """What an order other than ``add`` changes for a collector that ``choose`` has found."""
    idle, override = desired.why_idle(collector), desired.overrides.get(collector)
    disabled = bool(idle) and not _stopped(desired, collector)
    counts = str(collector) not in desired.ignored  # an entry that does not is replaced
    keeps = counts and {
        Order.START: not idle,
        Order.ENABLE: not idle,
        Order.STOP: bool(idle),
        Order.DISABLE: disabled,
    }.get(order, False)
    if keeps:
        return Change(id=collector, override=override, keeps=True, why=idle)
    return Change(id=collector, override=_afterwards(order, override, desired.in_file.get(collector), stamp))


def _afterwards(
    order: Order, override: Override | None, in_file: ExchangeCollectorConfig | None, stamp: Stamp
) -> Override | None:
    listed = in_file is not None
    if order is Order.REMOVE and not listed:
        return None
    if order in (Order.START, Order.ENABLE) and in_file is not None and in_file.enabled:
        return None
    state = {
        Order.STOP: OverrideState.STOPPED,
        Order.DISABLE: OverrideState.DISABLED,
        Order.REMOVE: OverrideState.REMOVED,
    }.get(order, OverrideState.ENABLED)
    config, added = (None, None) if listed or override is None else (override.config, override.origin)
    return Override(who=stamp.who, at=stamp.at, why=stamp.why, state=state, config=config, added=added)


def addition(desired: Desired, table: Mapping[str, Any], stamp: Stamp) -> Change:
    """What ``add`` changes; ``table`` is what would stand under ``[[collectors]]``.

    Raises:
        UsageError: The fleet has it, or the file lists it with settings of its own.
        InvalidConfigurationError: The fleet file would refuse the table.
    """
    collector = desired.fleet.resolve(table).id
    in_file = desired.in_file.get(collector)
    if desired.fleet.find(collector) is not None:
        state = desired.why_idle(collector)
        known = f"{collector} is in the fleet already"
        raise UsageError(f"{known}, {state} (manager-cli enable {collector})" if state else known)
    if in_file is None:
        override = Override(who=stamp.who, at=stamp.at, why=stamp.why, state=OverrideState.ENABLED, config=dict(table))
        return Change(id=collector, override=override)
    if table.keys() - {"exchange", "symbol"}:
        raise UsageError(
            f"{collector} has its settings in the fleet file (manager-cli enable {collector} brings it back)"
        )
    return Change(id=collector, override=_afterwards(Order.ENABLE, None, in_file, stamp))
