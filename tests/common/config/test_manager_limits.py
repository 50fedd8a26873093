from pathlib import Path

import pytest

from common.config.environment import Environment
from common.config.fleet_file import load_fleet
from common.config.manager_limits import Tuning
from tickfleet.errors import InvalidConfigurationError

COLLECTOR = '[[collectors]]\nexchange = "okx"\nsymbol = "BTC-USDT"\n'
KEYS = ", ".join(Tuning.__struct_fields__)


def loaded(folder: Path, text: str) -> Tuning:
    path = folder / "fleet.toml"
    path.write_text(text + COLLECTOR)
    return load_fleet(path, Environment(root=folder, fleet_path=path)).tuning


def test_what_the_file_sets_and_nothing_else(tmp_path: Path) -> None:
    tuning = loaded(tmp_path, "[manager]\nsilent_confirm_s = 5\nrestarts_max = 9\noutage_fraction = 0.8\n")
    assert tuning.given() == {"silent_confirm_s": 5.0, "restarts_max": 9, "outage_fraction": 0.8}
    assert loaded(tmp_path, "").given() == {}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("hung_after_s = 1", "manager: hung_after_s is 1, must be at least 3"),
        ("start_limit_s = inf", "manager: start_limit_s is inf, must be at most 86400"),
        ("grace_s = nan", "manager: grace_s is nan, must be at least 0.5"),
        ("restarts_max = 0", "manager: restarts_max is 0, must be at least 1"),
        ("restarts_max = 1.5", "manager: restarts_max is 1.5, must be a whole number"),
        ("outage_least = 1", "manager: outage_least is 1, must be at least 2"),
        ("outage_fraction = 1.0", "manager: outage_fraction is 1.0, must be at most 0.95"),
        ("round_every_s = 9", f"manager: unknown key 'round_every_s' (known: {KEYS})"),
        (
            "silent_confirm = 9",
            f"manager: unknown key 'silent_confirm'; did you mean 'silent_confirm_s'? (known: {KEYS})",
        ),
    ],
)
def test_what_cannot_work_is_refused_with_its_place(tmp_path: Path, line: str, why: str) -> None:
    with pytest.raises(InvalidConfigurationError) as refused:
        loaded(tmp_path, f"[manager]\n{line}\n")
    assert str(refused.value) == f"{tmp_path / 'fleet.toml'}: {why}"
