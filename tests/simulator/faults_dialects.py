"""Which exchange a source speaks like."""

from __future__ import annotations

from tests.simulator.faults_binance import BinanceDialect
from tests.simulator.faults_dialect import Dialect
from tests.simulator.faults_okx import OkxDialect
from tests.simulator.okx_channels import PATHS
from tests.simulator.source import Source


def dialect_of(source: Source) -> Dialect:
    """The dialect of a source, by the paths of its sockets."""
    return OkxDialect() if tuple(source.ws_paths) == PATHS else BinanceDialect()
