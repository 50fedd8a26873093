"""The settings of one worker, from its arguments, the environment, and the fleet file or its own file."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from common.config.collector import ExchangeCollectorConfig
from common.config.environment import Environment
from common.config.fleet_file import load_fleet
from common.config.worker_file import decode, redis_of
from common.process.parent_death import under_supervisord
from tickfleet.contract import keys
from tickfleet.contract.identity import CollectorId, DataType
from tickfleet.errors import InvalidConfigurationError
from tickfleet.redis.config import RedisConfig
from tickfleet.version import VERSION

_DESCRIPTION = """\
Collect one symbol of one exchange in the foreground and publish it to Redis Streams.

Needs neither supervisord nor the manager. A symbol that the fleet file does not list is collected with the file's
defaults. Where another run collects the same, it asks on a terminal whether to end that, and refuses elsewhere. A
manager that keeps that run starts it again, which ends this one: manager-cli stop it first.
Logs go to stdout, JSON unless it is a terminal."""

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
        by_hand: The worker runs in the foreground.
        asks: The worker must ask before it ends another run that collects the same.
    """

    collector: ExchangeCollectorConfig
    redis: RedisConfig
    log_level: str
    var: Path
    fast_path: bool = True
    by_hand: bool = False
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
    parser.add_argument("--version", action="version", version=f"%(prog)s {VERSION}")
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
    by_hand = not under_supervisord()
    named = arguments.exchange, arguments.symbol, arguments.fleet
    if arguments.config is not None:
        if any(named):
            parser.error("--config says it all: leave --exchange, --symbol and --fleet out")
        collector, redis = _from_worker_file(arguments.config, environment)
    else:
        if not (arguments.exchange and arguments.symbol):
            parser.error("--exchange and --symbol are required")
        wanted = CollectorId.parse(f"{arguments.exchange}:{arguments.symbol}")
        collector, redis = _from_fleet_file(arguments.fleet or environment.fleet_path, wanted, environment)
    return WorkerSettings(
        collector,
        redis,
        environment.log_level,
        environment.var,
        environment.fast_path,
        by_hand=by_hand,
        asks=by_hand and not arguments.take_over,
    )


def _from_worker_file(path: Path, environment: Environment) -> tuple[ExchangeCollectorConfig, RedisConfig]:
    content = decode(path)
    return content.collector, redis_of(content, environment)


def _from_fleet_file(
    path: Path, wanted: CollectorId, environment: Environment
) -> tuple[ExchangeCollectorConfig, RedisConfig]:
    fleet = load_fleet(path, environment, also=wanted)
    collector = fleet.find(wanted)
    if collector is None:
        raise InvalidConfigurationError(f"{path}: has no collector {wanted}")
    return collector, fleet.redis
