"""Entry of the manager: arguments, environment, fleet file, logs; then it runs until it is ordered to stop."""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from common.config.environment import from_here, read_environment
from common.config.fleet_file import load_wanted_fleet
from common.process import event_loop
from common.process.log import configure_logging
from common.process.parent_death import die_with_parent, under_supervisord
from manager.app import run
from tickfleet.errors import EXIT_OK, FleetError
from tickfleet.version import VERSION

_EPILOG = """\
It is started by supervisord as a rule; by hand it runs in the foreground until SIGTERM or Ctrl-C.
SIGHUP reads the fleet file again and applies what has changed; a file that cannot be used changes nothing.

exit codes: 0 told to stop, 78 the fleet file cannot be used; see also: manager-cli status

environment: TICKFLEET_FLEET (another fleet file), TICKFLEET_ROOT (the folder with deploy/ and var/),
TICKFLEET_REDIS_URL, TICKFLEET_REDIS_PASSWORD, TICKFLEET_LOG_LEVEL (debug, info, warning, error),
TICKFLEET_METRICS_PORT (on 127.0.0.1, default 9464; off for none), TICKFLEET_ALERT_WEBHOOK (an https address, a
secret) or TICKFLEET_ALERT_WEBHOOK_FILE (a file with mode 0600 that holds it)
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the manager; the return value is the exit code."""
    if under_supervisord():
        die_with_parent()
    parser = argparse.ArgumentParser(
        prog="manager",
        description="Watches the fleet's collectors, and starts, restarts and stops them through supervisord.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {VERSION}")
    parser.add_argument("--fleet", type=Path, metavar="FILE", help="the fleet file (default: deploy/fleet.toml)")
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # one that comes before the loop can take it must not end us
    try:
        environment = read_environment().at_fit_place()
        environment = replace(environment, fleet_path=from_here(arguments.fleet or environment.fleet_path, "--fleet"))
        fleet = load_wanted_fleet(environment.fleet_path, environment)
    except FleetError as error:
        sys.stderr.write(f"manager: {error}\n")
        return error.exit_code
    configure_logging(environment.log_level, process="manager")
    event_loop.run(run(environment, fleet))
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
