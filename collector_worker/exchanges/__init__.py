"""The exchanges we speak, one file each, in an explicit registry.

In come frames and bodies of REST, out come events, requests and refusals. No I/O, no clock and no other exchange may
come in.
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
    """Makes the exchange's half of a collector from its configuration."""

    @staticmethod
    def create_collector(config: ExchangeCollectorConfig) -> ExchangeCollector:
        """The exchange's half of one collector; pure, nothing is connected.

        Raises:
            ExchangeNotSupportedError: There is no such exchange here.
        """
        if config.exchange not in REGISTRY:
            raise ExchangeNotSupportedError(f"exchange {config.exchange!r} is not supported")
        made = getattr(import_module(f"{__name__}.{config.exchange}"), REGISTRY[config.exchange])
        return cast("Callable[[ExchangeCollectorConfig], ExchangeCollector]", made)(config)

    @staticmethod
    def create_multiple_collectors(configs: Iterable[ExchangeCollectorConfig]) -> list[ExchangeCollector]:
        """One for each configuration, in their order.

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
        """Whether a collector can be made of the configuration, and if not, why.

        A configuration checks itself on construction, so one that exists fails here only where its exchange has been
        taken out of the registry.
        """
        try:
            ExchangeFactory.create_collector(config)
        except FleetError as error:
            return False, [str(error)]
        return True, []
