"""Entry point of one collector's process."""

import gc
import sys
from collections.abc import Sequence
from functools import partial

from msgspec.structs import replace

from collector_worker.app import Worker
from collector_worker.health import last_words
from collector_worker.recovery.other_run import confirmed
from collector_worker.settings import load_settings
from common.config.environment import read_environment
from common.process.event_loop import run
from common.process.lifecycle import run_until_signal
from common.process.log import configure_logging, get_logger
from common.process.parent_death import die_with_parent, under_supervisord
from tickfleet.errors import EXIT_FAILURE, EXIT_OK, AlreadyCollectedError, FleetError, InvalidConfigurationError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one collector; returns the exit code."""
    if under_supervisord():
        die_with_parent()
    try:
        environment = read_environment()
        configure_logging(environment.log_level)
        try:
            settings = load_settings(argv, environment)
            configure_logging(environment.log_level, collector=str(settings.collector.id))
            worker = Worker(settings)
        except InvalidConfigurationError as error:
            if under_supervisord():
                run(run_until_signal(partial(last_words.leave, environment, error)))
            raise
        gc.freeze()  # what is there now stays: the collector of garbage need not look through it again and again
        try:
            run(run_until_signal(worker.run))
        except AlreadyCollectedError as error:
            if not confirmed(error):
                raise
            run(run_until_signal(Worker(replace(settings, asks=False)).run))
    except FleetError as error:
        get_logger().error("collector_failed", why=str(error), exit_code=error.exit_code)
        sys.stderr.write(f"collector-worker: {error}\n")
        return error.exit_code
    except Exception:  # noqa: BLE001 - the last line of defence: log it whole, exit with a code
        get_logger().error("collector_crashed", exc_info=True)
        return EXIT_FAILURE
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main())
