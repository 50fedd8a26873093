"""Positions saved in Redis, for services that cannot save them with their output or on a disk."""

from tickfleet._util.closing import Closing
from tickfleet.contract import keys
from tickfleet.reading.position import Position
from tickfleet.reading.streams.commands import accepted, hash_of
from tickfleet.redis.client import RedisPipe
from tickfleet.redis.config import RedisPlace, redis_config
from tickfleet.redis.protocol import Reply, pack_command


class PositionStore(Closing):
    """The saved position of one reader, by the reader's name; ``async with``.

    Raises:
        RedisUnreachableError: From ``load`` and ``save``.
        InvalidConfigurationError: From ``load``: what is saved there is damaged.

    Args:
        reader: Name of the reader.
        redis: Address of Redis; else ``TICKFLEET_REDIS_URL``, else this machine.
    """

    def __init__(self, reader: str, redis: RedisPlace = None) -> None:
        self._key = keys.position(reader)
        self._pipe = RedisPipe(redis_config(redis), text=True)

    async def load(self) -> Position:
        """The position that was saved last; an empty one if there is none."""
        return Position.from_fields(hash_of(*await self._execute(pack_command(("HGETALL", self._key)))))

    async def save(self, position: Position) -> None:
        """Replace the saved position: completely or not at all."""
        fields = [part for pair in position.fields().items() for part in pair]
        if fields:
            accepted(*await self._execute(pack_command(("HSET", self._key, *fields))))

    async def _execute(self, command: bytes) -> list[Reply]:
        try:
            await self._pipe.connect()
            return await self._pipe.execute([command])
        except BaseException:
            await self._pipe.close()
            raise

    async def close(self) -> None:
        """Close the connection."""
        await self._pipe.close()
