"""The fleet as it should be now, for commands: the fleet file with the run-time changes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from common.config.fleet_file import Fleet
from manager.cli.context import Standing, Tools
from manager.desired.overrides import Desired, merge
from tickfleet.contract import keys
from tickfleet.errors import FleetError

if TYPE_CHECKING:
    from common.redis.redis_py import SyncRedis


class Site(Struct, frozen=True):
    """What a command works on.

    Attributes:
        standing: How the fleet file compares with ``file``; see ``Standing``.
        changes: Those at run time.
        file: The fleet file as the manager has taken it; the file as it is now if no manager has, or for a command that
            would apply it.
        desired: With the run-time changes.
    """

    tools: Tools
    client: "SyncRedis"
    standing: Standing
    changes: Mapping[str, str]
    desired: Desired

    @property
    def file(self) -> Fleet:
        """See the attributes."""
        return self.standing.fleet

    @property
    def fleet(self) -> Fleet:
        """The fleet that should be."""
        return self.desired.fleet


@contextmanager
def at_site(tools: Tools, file: Fleet | None = None) -> Iterator[Site]:
    """Read the fleet that holds, where none is given, and the run-time changes; the block has a connection to Redis.

    Raises:
        InvalidConfigurationError: The fleet file cannot be used, and no manager has taken it.
        RedisUnreachableError: Redis does not answer.
        FleetError: The run-time changes cannot be read.
    """
    standing = tools.standing() if file is None else Standing(fleet=file)
    standing.warn()
    client = tools.connect(standing.fleet.redis)
    try:
        changes = _read(standing.fleet, client)
        yield Site(tools, client, standing, changes, merge(standing.fleet, changes))
    finally:
        client.close()


def _read(file: Fleet, client: "SyncRedis") -> dict[str, str]:
    from common.redis.redis_py import translated_errors, why_refused  # see ``tools``

    with translated_errors(file.redis), client.pipeline(transaction=False) as pipe:
        pipe.hgetall(keys.FLEET_DESIRED)
        (found,) = pipe.execute(raise_on_error=False)
    if isinstance(found, Exception):
        why = why_refused(found, f"hgetall {keys.FLEET_DESIRED}")
        raise FleetError(f"the run-time changes {keys.FLEET_DESIRED} cannot be read{why}") from found
    return readable(found)


def readable(reply: Any) -> dict[str, str]:
    """The run-time changes in a reply of Redis. None if their key holds something else, as in the manager."""
    return reply if isinstance(reply, dict) else {}
