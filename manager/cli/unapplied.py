"""Pure: which changes of the fleet file the manager has not taken."""

from collections.abc import Mapping

from common.config.environment import Environment
from common.config.fleet_file import Fleet
from common.config.worker_file import WorkerFile, worker_file
from manager.cli.context import Standing
from manager.cli.plan import make_plan
from manager.desired.overrides import merge


def count_unapplied(standing: Standing, changes: Mapping[str, str], environment: Environment) -> int | None:
    """How many collectors ``plan`` would show; None where the fleet file cannot be used.

    ``changes`` are those at run time.
    """
    if standing.trouble:
        return None
    if standing.edited is None:
        return 0
    before = {content.collector.id: content for content in _files(standing.fleet, changes, environment)}
    found = make_plan(_files(standing.edited, changes, environment), before)
    return len(found.added) + len(found.changed) + len(found.removed)


def unapplied_line(count: int | None) -> str:
    """``3 changes of the fleet file are not applied``; empty where there are none."""
    if not count:
        return ""
    changes = "1 change of the fleet file is" if count == 1 else f"{count} changes of the fleet file are"
    return f"{changes} not applied (manager-cli plan)"


def _files(fleet: Fleet, changes: Mapping[str, str], environment: Environment) -> list[WorkerFile]:
    collectors = merge(fleet, changes).fleet.collectors
    return [worker_file(config, fleet.redis, environment) for config in collectors]
