from pathlib import Path

import pytest
from structlog.testing import capture_logs

from common.settings import Environment
from manager.app import reporting
from manager.settings import ManagerSettings
from tests.manager.fakes import ManualClock
from tests.support.ports import free_port


def environment(folder: Path, **settings: str) -> Environment:
    return Environment(root=folder, fleet_path=folder / "fleet.toml", **settings)  # type: ignore[arg-type]


def test_the_figures_are_served_on_the_port_that_is_asked_for(tmp_path: Path) -> None:
    port = free_port()
    with reporting(environment(tmp_path, metrics_port=str(port)), ManualClock(), ManagerSettings()) as reporter:
        assert (reporter.port, reporter.trouble) == (port, "")


@pytest.mark.parametrize(
    ("settings", "trouble"),
    [
        ({"metrics_port": "off"}, ""),
        ({"metrics_port": "http"}, "TICKFLEET_METRICS_PORT is 'http', neither a port nor off"),
        (
            {"metrics_port": "0", "alert_webhook": "ftp://hooks/s3cret"},
            "the address of the webhook for alerts is not http(s)://host/...",
        ),
    ],
)
def test_a_setting_that_cannot_be_used_is_told_and_keeps_nobody_from_work(
    settings: dict[str, str], trouble: str, tmp_path: Path
) -> None:
    with (
        capture_logs() as logs,
        reporting(environment(tmp_path, **settings), ManualClock(), ManagerSettings()) as reporter,
    ):
        assert (reporter.port, reporter.trouble) == (0, trouble)
    assert [(log["event"], log["why"]) for log in logs] == ([("setting_unusable", trouble)] if trouble else [])
