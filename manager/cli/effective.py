"""The fleet as it should be now, for commands: the fleet file with the run-time changes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from common import keys
from common.errors import FleetError
from common.fleet_file import Fleet
from manager.cli.tools import Tools
from manager.desired import Desired, merge

if TYPE_CHECKING:
    from common.redis_client import SyncRedis


class Site(Struct, frozen=True):
    """What a command works on.

    Attributes:
        file: The fleet file as it stands.
        desired: With the run-time changes.
    """

    tools: Tools
    client: "SyncRedis"
    file: Fleet
    desired: Desired

    @property
    def fleet(self) -> Fleet:
        """The fleet that should be."""
        return self.desired.fleet


@contextmanager
def at_site(tools: Tools, file: Fleet | None = None) -> Iterator[Site]:
    """Read the fleet file, where it is not given, and the run-time changes; keep the connection to Redis for the block.

    Raises:
        InvalidConfigurationError: The fleet file cannot be used.
        RedisUnreachableError: Redis does not answer.
        FleetError: The run-time changes cannot be read.
    """
    file = file or tools.fleet()
    client = tools.connect(file.redis)
    try:
        yield Site(tools, client, file, _read(file, client))
    finally:
        client.close()


def _read(file: Fleet, client: "SyncRedis") -> Desired:
    from common.redis_client import translated_errors  # see ``tools``

    with translated_errors(file.redis), client.pipeline(transaction=False) as pipe:
        pipe.hgetall(keys.FLEET_DESIRED)
        (found,) = pipe.execute(raise_on_error=False)
    if isinstance(found, Exception):
        raise FleetError(f"the run-time changes {keys.FLEET_DESIRED} cannot be read") from found
    return merge(file, found)


def readable(reply: Any) -> dict[str, str]:
    """The run-time changes in a reply of Redis; none where their key holds something else, as the manager has it."""
    return reply if isinstance(reply, dict) else {}
