"""``docs/tutorial.md`` as a newcomer follows it: every block is run as it is written, on a demo."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.documents import blocks, section
from tests.support.ports import SLOW_POLL_S, free_port, wait_until
from tests.support.processes import BIN, ROOT, Process

pytestmark = pytest.mark.system
TUTORIAL = "docs/tutorial.md"
WITHIN_S = 90.0
ENOUGH_S = 600
WAITING = "manager-cli: waiting for "
"""What a command says beside its output that waits for more than five seconds."""

LOOKS = ("status", "events", "coverage", "why", "list")
"""Commands that change nothing: on a busy machine what they should show may come later than the text says."""


class Newcomer:
    """Somebody with a demo in one terminal, who types into another."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.place = f"var/demo-{port}"
        demo = [sys.executable, str(ROOT / "deploy" / "demo.py"), "--seconds", str(ENOUGH_S)]
        given = {"TICKFLEET_REDIS_PORT": str(port), "TICKFLEET_REDIS_URL": ""}
        self.demo = Process(demo, folder / "demo.log", given)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TICKFLEET_")}
        self.env = {
            **kept,
            "PATH": f"{BIN}:{kept['PATH']}",
            "TICKFLEET_ROOT": self.place,
            "PYTHONUNBUFFERED": "1",
        }
        self.redis = f"redis://127.0.0.1:{port}/0"

    def types(self, block: str) -> str:
        """Type a block; what it shows."""
        text = block.replace("var/demo-6379", self.place).replace(". .venv/bin/activate\n", "")
        done = subprocess.run(
            ["sh", "-u", "-c", text],
            cwd=ROOT, env=self.env, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip
        told = [line for line in done.stderr.splitlines() if not line.startswith(WAITING)]
        assert told == [], f"{text}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def sees(self, block: str, *wanted: str) -> None:
        """Type a block; it shows all of this, where need be when one looks again."""
        shown = self.types(block)
        looks = "\n".join(line for line in block.splitlines() if any(f"manager-cli {name}" in line for name in LOOKS))

        def is_shown() -> bool:
            nonlocal shown
            if all(word in shown for word in wanted):
                return True
            assert looks, f"{block}\n{shown}"
            shown = self.types(looks)
            return False

        wait_until(is_shown, WITHIN_S, f"{block} shows {wanted}", SLOW_POLL_S)


@pytest.fixture
def newcomer(tmp_path: Path) -> Iterator[Newcomer]:
    newcomer = Newcomer(tmp_path)
    yield newcomer
    newcomer.demo.signal(signal.SIGINT)
    newcomer.demo.stop()


def test_every_block_shows_what_the_text_says(newcomer: Newcomer, tmp_path: Path) -> None:
    (start, first_look) = blocks(section(TUTORIAL, "1. Start"), "sh")
    assert start == "make demo\n"
    wait_until(lambda: "healthy\n" in newcomer.demo.text(), WITHIN_S, "the demo shows the status", SLOW_POLL_S)
    newcomer.sees(first_look, "5 desired, 5 healthy")

    tail, ladder, newest = blocks(section(TUTORIAL, "2. Look at the data"), "sh")
    assert newcomer.types(tail).count('"trade_id"') == 5
    assert newcomer.types(ladder).count('"bids"') == 2
    newcomer.sees(newest, "trade_id", "price")

    kill, events, coverage, suspend, why, away, back = blocks(section(TUTORIAL, "3. Break it"), "sh")
    newcomer.types(kill)
    newcomer.sees(events, "run seen")
    newcomer.sees(coverage, "filled", "\ncomplete\n")
    newcomer.types(suspend)
    newcomer.sees(why, "-> hung", "is healthy")
    newcomer.sees(away, "redis: stopped", "redis: started")
    newcomer.sees(back, "5 desired, 5 healthy", "filled", "\ncomplete\n")

    (program,) = blocks(section(TUTORIAL, "4. Read it in Python"), "python")
    assert_nothing_is_missing(newcomer, program, tmp_path)

    edit, apply, members = blocks(section(TUTORIAL, "5. Change the fleet"), "sh")
    newcomer.sees(edit, "okx:TON-USDT", "1 to change, 4 as they should be")
    newcomer.sees(apply, "okx:TON-USDT: done")
    newcomer.sees(members, "okx:TON-USDT: done: gone", "removed by ", "okx:TON-USDT: done: running")


def assert_nothing_is_missing(newcomer: Newcomer, program: str, folder: Path) -> None:
    file = folder / "whole.py"
    file.write_text(program, encoding="utf-8")
    reader = Process([sys.executable, str(file)], folder / "whole.log", {"TICKFLEET_REDIS_URL": newcomer.redis})
    newest = newcomer.types("manager-cli redis XREVRANGE 'md:v1:{okx:BTC-USDT}:trade' + - COUNT 1").split('"')[1]
    try:
        wait_until(lambda: newest in reader.text(), WITHIN_S, f"the program reads up to {newest}", SLOW_POLL_S)
    finally:
        reader.stop()
    assert "MISSING" not in reader.text()
    assert " backfill " in reader.text()
    assert " live " in reader.text()


def test_the_fleet_file_of_ones_own_can_be_used(tmp_path: Path) -> None:
    (text,) = blocks(section(TUTORIAL, "6. Your own fleet"), "toml")
    file = tmp_path / "fleet.toml"
    file.write_text(text, encoding="utf-8")
    command = [str(BIN / "manager-cli"), "validate", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 collectors (2 enabled, 0 disabled) on binance, okx" in done.stdout
