"""A fleet file that the environment names relative to the folder in which everything is started."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.deployment import Deployment
from tests.support.ports import wait_until
from tests.support.processes import BIN

pytestmark = pytest.mark.system

FLEET = """
[redis]
url = "redis://127.0.0.1:1"
[exchanges.okx]
rest = "http://127.0.0.1:1"
ws_public = "ws://127.0.0.1:1"
[[collectors]]
exchange = "okx"
symbol = "BTC-USDT"
data_types = ["trade"]
"""


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    made = Deployment("")  # what is beside supervisord's settings is not meant
    yield made
    pid_file = made.root / "var" / "supervisord.pid"
    if pid_file.is_file():
        os.kill(int(pid_file.read_text()), signal.SIGTERM)
        wait_until(lambda: not pid_file.exists(), 40, "supervisord has ended")
    made.stop()


def test_every_process_sees_it_from_the_folder_of_the_start(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my.toml").write_text(FLEET)
    monkeypatch.chdir(tmp_path)
    deployment.env["TICKFLEET_FLEET"] = "my.toml"
    settings = deployment.root / "deploy" / "supervisord.conf"
    command = [str(BIN / "supervisord"), "-c", str(settings)]  # it leaves for the background
    subprocess.run(command, env=deployment.env, check=True, timeout=30)

    def desired() -> int:
        try:
            found: int = json.loads(deployment.page("/status")[1])["summary"]["desired"]
        except OSError:  # it does not listen yet
            return 0
        return found

    assert wait_until(desired, 40, "the manager has taken the file") == 1
    assert [row["id"] for row in deployment.status()["collectors"]] == ["okx:BTC-USDT"]
