"""Pure: which collectors an ID, a pattern or ``all`` names."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

from common.config.collector import ExchangeCollectorConfig
from common.config.fleet_file import Fleet
from tickfleet.contract.identity import CollectorId
from tickfleet.contract.suggestions import same_collector
from tickfleet.errors import InvalidConfigurationError, UsageError

ALL = "all"


def select(fleet: Fleet, names: Iterable[str]) -> list[ExchangeCollectorConfig]:
    """The collectors in the fleet's order, each once.

    Raises:
        UsageError: A name means no collector of the fleet.
    """
    chosen = {str(config.id) for name in names for config in _one(fleet, name)}
    return [config for config in fleet.collectors if str(config.id) in chosen]


def only_one(fleet: Fleet, name: str) -> ExchangeCollectorConfig:
    """The collector with this ID, for commands that want exactly one.

    Raises:
        UsageError: It is a pattern, or means no collector of the fleet.
    """
    if is_pattern(name):
        raise UsageError(f"{name!r} may mean several collectors; name one (manager-cli list shows them)")
    return _one(fleet, name)[0]


def _one(fleet: Fleet, name: str) -> list[ExchangeCollectorConfig]:
    if name == ALL:
        return list(fleet.collectors)
    if is_pattern(name):
        found = [config for config in fleet.collectors if fnmatchcase(str(config.id), name)]
        if not found:
            raise UsageError(f"no collector matches {name!r} (manager-cli list shows them)")
        return found
    ids = [str(config.id) for config in fleet.collectors]
    if name not in ids:
        raise UsageError(f"there is no collector {name!r}{same_collector(name, ids)} (manager-cli list shows them)")
    return [config for config in fleet.collectors if str(config.id) == name]


def is_pattern(name: str) -> bool:
    """Whether the name may mean several collectors."""
    return name == ALL or any(sign in name for sign in "*?[")


def is_id(name: str) -> bool:
    """Whether it is spelt as the ID of a collector, there or not."""
    try:
        CollectorId.parse(name)
    except InvalidConfigurationError:
        return False
    return True
