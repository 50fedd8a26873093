"""The supported exchanges, one file each, in an explicit registry.

Inputs are frames and REST bodies; outputs are events, requests and refusals. An exchange's file has no I/O and no
clock, and uses no other exchange.
"""

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import cast

from collector_worker.exchanges.adapter import ExchangeCollector
from common.config.collector import ExchangeCollectorConfig
from tickfleet.contract.identity import DataType
from tickfleet.errors import ExchangeNotSupportedError, FleetError, InvalidConfigurationError

__all__ = [
    "DataType",
    "ExchangeCollectorConfig",
    "ExchangeFactory",
    "ExchangeNotSupportedError",
    "InvalidConfigurationError",
]

REGISTRY = {"binance": "BinanceSpot", "okx": "Okx"}
"""Exchange name, which is that of its file here, to its class; a collector loads only its own. What each can do is
listed in ``common.config.exchanges``; a test compares the two."""


class ExchangeFactory:
    """Makes the exchange-specific part of a collector from its configuration."""

    @staticmethod
    def create_collector(config: ExchangeCollectorConfig) -> ExchangeCollector:
        """The exchange-specific part of one collector; pure, it opens no connection.

        Raises:
            ExchangeNotSupportedError: There is no such exchange here.
        """
        if config.exchange not in REGISTRY:
            raise ExchangeNotSupportedError(f"exchange {config.exchange!r} is not supported")
        made = getattr(import_module(f"{__name__}.{config.exchange}"), REGISTRY[config.exchange])
        return cast("Callable[[ExchangeCollectorConfig], ExchangeCollector]", made)(config)

    @staticmethod
    def create_multiple_collectors(configs: Iterable[ExchangeCollectorConfig]) -> list[ExchangeCollector]:
        """One collector part per configuration, in the same order.

        Raises:
            ExchangeNotSupportedError: As ``create_collector``.
        """
        return [ExchangeFactory.create_collector(config) for config in configs]

    @staticmethod
    def get_supported_exchanges() -> list[str]:
        """The names of all exchanges, sorted."""
        return sorted(REGISTRY)

    @staticmethod
    def validate_config(config: ExchangeCollectorConfig) -> tuple[bool, list[str]]:
        """Whether a collector can be made from the configuration, and if not, why.

        A configuration checks itself on construction, so it fails here only if its exchange was removed from the
        registry.
        """
        try:
            ExchangeFactory.create_collector(config)
        except FleetError as error:
            return False, [str(error)]
        return True, []
