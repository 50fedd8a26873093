"""What one worker is told: its arguments, the environment, and its part of the fleet file or a file of its own."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from common import keys
from common.config import ExchangeCollectorConfig, RedisConfig
from common.errors import InvalidConfigurationError
from common.fleet_file import load_fleet
from common.identity import CollectorId, DataType
from common.parent_death import under_supervisord
from common.settings import Environment
from common.worker_file import decode, redis_of

_DESCRIPTION = """\
Collect one symbol of one exchange in the foreground and publish it to Redis Streams.

Needs neither supervisord nor the manager. A symbol that the fleet file does not list is collected with the file's
defaults. Where another run collects the same, it asks on a terminal whether to end that, and refuses elsewhere. Logs go
to stdout, JSON unless it is a terminal."""

_EPILOG = f"""\
example:
  collector-worker --exchange okx --symbol BTC-USDT [--fleet my-fleet.toml]
  collector-worker --config var/applied/{CollectorId("okx", "BTC-USDT").program}.json    # as the manager starts it
  manager-cli redis XREVRANGE '{keys.stream(CollectorId("okx", "BTC-USDT"), DataType.TRADE)}' + - COUNT 3

exit codes: 0 stopped by SIGTERM or SIGINT, everything flushed; 1 failed; 2 wrong usage, or another run
collects the same; 3 no Redis at the start; 78 the configuration cannot work (unknown symbol, refused subscription): a
restart would not help

environment: TICKFLEET_FLEET, TICKFLEET_REDIS_URL, TICKFLEET_REDIS_PASSWORD, TICKFLEET_LOG_LEVEL,
TICKFLEET_EXPRESS=off (do without the compiled part)"""


class WorkerSettings(Struct, frozen=True):
    """Everything a worker needs to know.

    Attributes:
        asks: Another run that collects the same must not be ended unasked.
    """

    collector: ExchangeCollectorConfig
    redis: RedisConfig
    log_level: str
    var: Path
    express: bool = True
    asks: bool = False


def load_settings(argv: Sequence[str] | None, environment: Environment) -> WorkerSettings:
    """Parse arguments and read the file that they name.

    Raises:
        InvalidConfigurationError: Something in them cannot work.
        FleetError: The password of Redis cannot be read now.
        SystemExit: ``--help`` (0) or wrong usage (2).
    """
    parser = argparse.ArgumentParser(
        prog="collector-worker",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--exchange", help="e.g. okx")
    parser.add_argument("--symbol", help="BASE-QUOTE, BASE-QUOTE-PERP or BASE-QUOTE-YYMMDD")
    parser.add_argument("--fleet", type=Path, metavar="FILE", help=f"fleet file (default: {environment.fleet_path})")
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="instead of these three: a file that the manager has written",
    )
    parser.add_argument("--take-over", action="store_true", help="end a run that collects the same, without a question")
    arguments = parser.parse_args(argv)
    asks = not (arguments.take_over or under_supervisord())
    named = arguments.exchange, arguments.symbol, arguments.fleet
    if arguments.config is not None:
        if any(named):
            parser.error("--config says it all: leave --exchange, --symbol and --fleet out")
        return _from_worker_file(arguments.config, environment, asks)
    if not (arguments.exchange and arguments.symbol):
        parser.error("--exchange and --symbol are required")
    wanted = CollectorId.parse(f"{arguments.exchange}:{arguments.symbol}")
    return _from_fleet_file(arguments.fleet or environment.fleet_path, wanted, environment, asks)


def _from_worker_file(path: Path, environment: Environment, asks: bool) -> WorkerSettings:
    content = decode(path)
    redis, around = redis_of(content, environment), environment
    return WorkerSettings(content.collector, redis, around.log_level, around.var, around.express, asks)


def _from_fleet_file(path: Path, wanted: CollectorId, environment: Environment, asks: bool) -> WorkerSettings:
    fleet = load_fleet(path, environment, also=wanted)
    collector = fleet.find(wanted)
    if collector is None:
        raise InvalidConfigurationError(f"{path}: has no collector {wanted}")
    around = environment
    return WorkerSettings(collector, fleet.redis, around.log_level, around.var, around.express, asks)
