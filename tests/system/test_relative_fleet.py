"""A fleet file that the environment names relative to the folder in which everything is started."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.deployment import Deployment
from tests.support.ports import wait_until

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
    made = Deployment("")  # what stands beside supervisord's settings is not meant
    yield made
    made.stop()


def test_every_process_sees_it_from_the_folder_of_the_start(
    deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my.toml").write_text(FLEET)
    monkeypatch.chdir(tmp_path)
    deployment.env["TICKFLEET_FLEET"] = "my.toml"
    deployment.start()

    def desired() -> int:
        try:
            found: int = json.loads(deployment.page("/status")[1])["summary"]["desired"]
        except OSError:  # it does not listen yet
            return 0
        return found

    assert wait_until(desired, 40, "the manager has taken the file") == 1
    rows = deployment.status()["collectors"]
    assert [row["id"] for row in rows] == ["okx:BTC-USDT"]
