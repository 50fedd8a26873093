"""The picture of README: the status of a running demo in which one collector has just been made to hang.

``make picture`` starts a demo of its own, suspends one collector, waits until the status says so, and writes
``docs/images/status.svg``. Everything it started is gone when it ends.
"""

import io
import os
import re
import signal
import subprocess
import sys
import time
from collections import deque
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME

from common.redis.redis_py import SyncRedis
from manager.cli.context import Tools, default_tools
from manager.cli.show.fleet_view import FleetView, read_fleet_view
from manager.cli.show.status import all_well
from manager.cli.show.status_table import render
from tickfleet.contract import keys
from tickfleet.contract.identity import CollectorId
from tickfleet.errors import RedisUnreachableError

HERE = Path(__file__).resolve().parent
PICTURE = HERE.parent / "docs" / "images" / "status.svg"
SUSPENDED = CollectorId("okx", "SOL-USDT")
WIDTH = 142
DEMO_S = 120
WARM_UP_S = 30.0
LOOK_EVERY_S = 0.5
LOOKS_BETWEEN = 6
"""A heartbeat comes each second, so rates need looks that are further apart."""

FRAME = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<title>manager-cli status --watch, while one collector of five hangs</title>
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font-family: sans-serif; font-size: 18px; font-weight: bold; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""rich's own frame, without fonts from elsewhere: a picture must not load anything."""


def main() -> int:
    """Make the picture; returns the exit code."""
    command = [sys.executable, str(HERE / "demo.py"), "--seconds", str(DEMO_S)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None  # noqa: S101 - it is a pipe
        try:
            root = next(found[1] for line in demo.stdout if (found := re.search(r"TICKFLEET_ROOT=(\S+) ", line)))
            os.environ.update(TICKFLEET_ROOT=os.path.abspath(root), TICKFLEET_REDIS_URL="", TICKFLEET_FLEET="")
            PICTURE.parent.mkdir(exist_ok=True)
            PICTURE.write_text(drawn(*seen(default_tools())), encoding="utf-8")
        finally:
            demo.send_signal(signal.SIGINT)
            demo.stdout.read()
    return 0


def seen(tools: Tools) -> tuple[FleetView, FleetView]:
    """The status some seconds before, for the rates, and when not all was well any more."""
    client = tools.connect(tools.fleet().redis)
    wait_until_well(tools, client)
    time.sleep(WARM_UP_S)
    os.kill(int(str(client.hget(keys.heartbeat(SUSPENDED), "pid"))), signal.SIGSTOP)
    looks = deque([read_fleet_view(tools, tools.fleet(), client)], maxlen=LOOKS_BETWEEN)
    while all_well(now := read_fleet_view(tools, tools.fleet(), client)):
        looks.append(now)
        time.sleep(LOOK_EVERY_S)
    client.close()
    return looks[0], now


def wait_until_well(tools: Tools, client: SyncRedis) -> None:
    """Wait until Redis answers and all collectors are healthy; the demo ends where that does not come."""
    while True:
        with suppress(RedisUnreachableError):
            if all_well(read_fleet_view(tools, tools.fleet(), client)):
                return
        time.sleep(LOOK_EVERY_S)


def drawn(before: FleetView, now: FleetView) -> str:
    """The status as a terminal shows it, as SVG."""
    console = Console(record=True, file=io.StringIO(), width=WIDTH, force_terminal=True, highlight=False)
    console.print(render(now, before))
    return console.export_svg(
        title="manager-cli status --watch", theme=SVG_EXPORT_THEME, code_format=FRAME, unique_id="status"
    )


if __name__ == "__main__":
    sys.exit(main())
