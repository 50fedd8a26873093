import json
from pathlib import Path
from typing import Any

import pytest

from common.config.environment import Environment
from common.config.fleet_file import Fleet, load_fleet
from common.config.taken_file import read_taken, write_taken

SECRET = "hunter2"  # noqa: S105 - made up
FLEET = f"""\
[redis]
url = "redis://:{SECRET}@db/1"
maxlen = {{ trade = 7 }}
[defaults]
data_types = ["trade"]
[exchanges.okx]
rest = "http://127.0.0.1:1"
connects_per_s = 1.0
[manager]
hung_after_s = 9
[[collectors]]
exchange = "okx"
symbol = "BTC-USDT"
custom_params = {{ trade_channel = "trades" }}
[[collectors]]
exchange = "binance"
symbol = "ETH-USDT"
enabled = false
"""


def taken(folder: Path, **more: Any) -> tuple[Fleet, Environment]:
    """A fleet file with everything in it, written down as taken."""
    environment = Environment(root=folder, fleet_path=folder / "fleet.toml", **more)
    environment.fleet_path.write_text(FLEET)
    environment.fleet_path.chmod(0o600)
    fleet = load_fleet(environment.fleet_path, environment)
    write_taken(fleet, environment)
    return fleet, environment


def test_it_comes_back_as_it_was_and_holds_no_secret(tmp_path: Path) -> None:
    fleet, environment = taken(tmp_path)
    assert read_taken(environment.fleet_path, environment) == fleet
    (path,) = environment.applied.iterdir()
    assert (SECRET in path.read_text(), path.stat().st_mode & 0o777) == (False, 0o600)


def test_the_password_is_that_of_the_environment_where_it_is_there(tmp_path: Path) -> None:
    fleet, environment = taken(tmp_path, redis_password="other")  # noqa: S106 - made up
    environment.fleet_path.write_text("[[[ half an edit")
    assert read_taken(environment.fleet_path, environment) == fleet


@pytest.mark.parametrize("text", ["", "{", "[]", '{"path": 1}', "\ud800"])
def test_what_cannot_be_read_counts_as_not_taken(text: str, tmp_path: Path) -> None:
    _, environment = taken(tmp_path)
    (environment.applied / "fleet.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    assert read_taken(environment.fleet_path, environment) is None


def test_a_collector_that_this_version_refuses_counts_as_not_taken(tmp_path: Path) -> None:
    _, environment = taken(tmp_path)
    path = environment.applied / "fleet.json"
    content = json.loads(path.read_text())
    content["collectors"][0]["exchange"] = "kraken"
    path.write_text(json.dumps(content))
    assert read_taken(environment.fleet_path, environment) is None


def test_another_file_was_not_taken_and_another_way_to_it_was(tmp_path: Path) -> None:
    fleet, environment = taken(tmp_path)
    link = tmp_path / "link.toml"
    link.symlink_to(environment.fleet_path)
    assert (read_taken(tmp_path / "other.toml", environment), read_taken(link, environment)) == (None, fleet)


def test_a_password_that_cannot_be_found_any_more_leaves_only_the_file(tmp_path: Path) -> None:
    _, environment = taken(tmp_path)
    environment.fleet_path.write_text("[[[ half an edit")
    assert read_taken(environment.fleet_path, environment) is None
