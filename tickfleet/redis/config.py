"""The address of Redis, checked on construction: as given, from the environment, or this machine."""

import os
from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta, Struct, field

from tickfleet.contract import keys
from tickfleet.contract.identity import DataType
from tickfleet.errors import InvalidConfigurationError
from tickfleet.redis.url import split_secret

Entries = Annotated[int, Meta(extra={"ge": 1})]
"""For documents: whoever makes a ``MaxLen`` reads so in its own words."""

DEFAULT_REDIS_URL = "redis://127.0.0.1:6379/0"


class MaxLen(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Entries kept per stream of each data type (approximately, see ``XADD … MAXLEN ~``).

    Attributes:
        trade, orderbook, ticker, candles: Entries kept in each stream of this type, at least; the oldest go first.
    """

    trade: Entries = keys.DEFAULT_MAXLEN[DataType.TRADE]
    orderbook: Entries = keys.DEFAULT_MAXLEN[DataType.ORDERBOOK]
    ticker: Entries = keys.DEFAULT_MAXLEN[DataType.TICKER]
    candles: Entries = keys.DEFAULT_MAXLEN[DataType.CANDLES]

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            if getattr(self, name) < 1:
                raise InvalidConfigurationError(f"redis.maxlen.{name} must be at least 1")

    def of(self, data_type: DataType) -> int:
        """The bound of one data type."""
        bound: int = getattr(self, data_type.value)
        return bound


class RedisConfig(Struct, frozen=True, kw_only=True):
    """The address of Redis. ``url`` has no ``password``, so that it may be shown.

    Attributes:
        password_file: The file that the password was read from; empty if it came from elsewhere.
    """

    url: str = DEFAULT_REDIS_URL
    password: str | None = None
    maxlen: MaxLen = field(default_factory=MaxLen)
    password_file: str = ""

    def __repr__(self) -> str:
        return f"RedisConfig(url={self.url!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("url", self.url)]


def read_redis_environment(env: Mapping[str, str] = os.environ) -> tuple[str | None, str | None]:
    """Address and password of Redis: all that a reader in somebody else's program needs to know."""
    return env.get("TICKFLEET_REDIS_URL") or None, env.get("TICKFLEET_REDIS_PASSWORD") or None


RedisPlace = RedisConfig | str | None
"""An address, a whole configuration, or None for what the environment says."""


def redis_config(place: RedisPlace) -> RedisConfig:
    """The address of Redis: as given, else ``TICKFLEET_REDIS_URL`` and ``TICKFLEET_REDIS_PASSWORD``, else this machine.

    Raises:
        InvalidConfigurationError: It is not an address of Redis.
    """
    if isinstance(place, RedisConfig):
        return place
    url, password = read_redis_environment()
    if place:
        url, secret = split_secret(place, "redis")
        return RedisConfig(url=url, password=secret or password)
    url, secret = split_secret(url or DEFAULT_REDIS_URL, "TICKFLEET_REDIS_URL")
    return RedisConfig(url=url, password=password or secret)
