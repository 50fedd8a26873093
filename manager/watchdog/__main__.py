"""Entry: ``python -m manager.watchdog ROOT``; supervisord starts it as an event listener."""

import argparse
import sys
from pathlib import Path

from manager.watchdog.guard import HUNG_AFTER_S, Guard
from manager.watchdog.protocol import serve


def main() -> None:
    """Watch until supervisord ends."""
    parser = argparse.ArgumentParser(
        prog="python -m manager.watchdog",
        description="Has supervisord restart a manager whose loop hangs. Started by supervisord.",
    )
    parser.add_argument("root", type=Path, help="the folder with deploy/ and var/")
    parser.add_argument("--program", default="manager", help="the manager's name under supervisord")
    parser.add_argument("--hung-after", type=float, default=HUNG_AFTER_S, metavar="S", help="default: %(default)s s")
    arguments = parser.parse_args()
    guard = Guard(arguments.root.resolve() / "var", arguments.program, arguments.hung_after)
    serve(sys.stdin.buffer, sys.stdout.buffer, {b"TICK_5": guard.check})


if __name__ == "__main__":
    main()
