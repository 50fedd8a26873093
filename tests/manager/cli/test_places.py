"""Commands in a folder that is gone, or that this user may not look into: no traceback, the answer as elsewhere."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes import BIN, ROOT

pytestmark = pytest.mark.long

FLEET = '[redis]\nurl = "redis://127.0.0.1:1"\n[[collectors]]\nexchange = "okx"\nsymbol = "BTC-USDT"\n'
WHY = "it refuses the connection (ConnectionRefusedError, ECONNREFUSED)"
AWAY = f"Redis at 127.0.0.1:1 cannot be reached: {WHY}"

HERE = 'cd "$0" && exec "$@"'
GONE = 'cd "$0" && rmdir "$0" && exec "$@"'
UNREADABLE = 'cd "$0" && chmod 0 . && exec "$@"'


def run(place: str, folder: Path, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a program there, with a deployment in ``folder``."""
    (folder / "deploy").mkdir(exist_ok=True)
    (folder / "deploy" / "fleet.toml").write_text(FLEET)
    here = folder / "here"
    here.mkdir()
    program, *arguments = command
    argv = ["sh", "-c", place, str(here), str(BIN / program), *arguments]
    if os.geteuid() == 0 and place == UNREADABLE:
        if not shutil.which("setpriv"):
            pytest.skip("as root only setpriv makes a folder unreadable")
        argv = ["setpriv", "--bounding-set=-all", *argv]  # root without its powers is a user like others
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TICKFLEET_")}
    return subprocess.run(argv, env={**inherited, **env}, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("place", [GONE, UNREADABLE], ids=["gone", "unreadable"])
@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("manager-cli status", 3, f"manager-cli: {AWAY}\n"),
        ("manager-cli list", 3, f"manager-cli: {AWAY}\n"),
        ("manager-cli validate", 0, ""),
        ("collector-worker --help", 0, ""),
        ("manager --help", 0, ""),
    ],
)
def test_commands_work_where_the_folder_says_nothing(
    place: str, command: str, code: int, said: str, tmp_path: Path
) -> None:
    done = run(place, tmp_path, *command.split(), TICKFLEET_ROOT=str(tmp_path))
    assert (done.returncode, done.stderr) == (code, said)


@pytest.mark.parametrize("place", [GONE, UNREADABLE], ids=["gone", "unreadable"])
def test_without_any_setting_it_is_the_checkout(place: str, tmp_path: Path) -> None:
    done = run(place, tmp_path, "manager-cli", "validate")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"OK: {ROOT}/deploy/fleet.toml: ")


@pytest.mark.parametrize(
    ("command", "env", "name", "code"),
    [
        ("manager-cli --fleet my.toml status", {}, "--fleet is 'my.toml'", 2),
        ("manager-cli status", {"TICKFLEET_FLEET": "my.toml"}, "TICKFLEET_FLEET is 'my.toml'", 2),
        ("manager-cli doctor", {"TICKFLEET_ROOT": "here"}, "TICKFLEET_ROOT is 'here'", 2),
        ("manager --fleet my.toml", {}, "--fleet is 'my.toml'", 78),
        ("collector-worker --help", {"TICKFLEET_FLEET": "my.toml"}, "TICKFLEET_FLEET is 'my.toml'", 78),
    ],
)
def test_a_relative_path_in_a_folder_that_is_gone(
    command: str, env: dict[str, str], name: str, code: int, tmp_path: Path
) -> None:
    done = run(GONE, tmp_path, *command.split(), **env)
    assert done.returncode == code
    assert done.stderr == (
        f"{command.split()[0]}: {name}, and the current folder is gone: spell it in full, or go to another folder\n"
    )


@pytest.mark.parametrize("command", ["doctor", "status", "list"])
def test_a_missing_fleet_file_is_told_with_how_to_name_another_fleet(command: str, tmp_path: Path) -> None:
    done = run(HERE, tmp_path, "manager-cli", command, TICKFLEET_ROOT=str(tmp_path / "none"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"manager-cli: {tmp_path}/none/deploy/fleet.toml: there is no such file;"
        f" this is about the fleet in {tmp_path}/none; for another one: export TICKFLEET_ROOT=FOLDER\n"
    )


def test_doctor_without_redis_says_which_fleet_it_looked_at(tmp_path: Path) -> None:
    done = run(HERE, tmp_path, "manager-cli", "doctor", "--offline", "--json", TICKFLEET_ROOT=str(tmp_path))
    (redis,) = [finding for finding in json.loads(done.stdout) if finding["check"] == "redis"]
    assert redis == {
        "check": "redis",
        "level": "bad",
        "found": AWAY,
        "mend": "manager-cli logs redis, where it is the fleet's own; this is about the fleet in"
        f" {tmp_path}; for another one: export TICKFLEET_ROOT=FOLDER",
    }


def test_a_file_beside_an_unreadable_folder_is_told_in_one_line(tmp_path: Path) -> None:
    done = run(
        UNREADABLE, tmp_path, "manager-cli", "export", "okx:BTC-USDT", "trade", "x.csv", TICKFLEET_ROOT=str(tmp_path)
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.endswith("Permission denied\n")


@pytest.mark.parametrize("place", [GONE, UNREADABLE], ids=["gone", "unreadable"])
def test_a_reader_in_somebody_elses_program(place: str, tmp_path: Path) -> None:
    code = (
        "from tickfleet.reading.subscriber import Subscriber; from tickfleet.redis.config import redis_config;"
        " Subscriber('okx:BTC-USDT', 'trade'); print(redis_config(None).url)"
    )
    python = Path(sys.executable).name
    done = run(place, tmp_path, python, "-P", "-c", code, TICKFLEET_FLEET="my.toml", TICKFLEET_ROOT="there")
    assert (done.returncode, done.stdout, done.stderr) == (0, "redis://127.0.0.1:6379/0\n", "")
