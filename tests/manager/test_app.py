import asyncio
import socket
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from common.config.environment import Environment
from common.config.fleet_file import Fleet
from common.redis.redis_py import async_client
from manager import app
from manager.app import reporting
from manager.model.journal_entries import WHO, JournalEntry, What
from manager.observe.poller import RedisLink
from manager.settings import ManagerSettings
from tests.manager.fakes import ManualClock
from tests.support.alert_receiver import AlertReceiver
from tests.support.ports import free_port
from tests.support.waiting import until
from tickfleet.redis.config import RedisConfig


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


async def test_an_alert_names_the_machine_and_the_fleet(tmp_path: Path) -> None:
    config = RedisConfig(url=f"redis://127.0.0.1:{free_port()}")
    client = async_client(config)
    with (
        AlertReceiver() as receiver,
        reporting(
            environment(tmp_path, metrics_port="off", alert_webhook=receiver.url), ManualClock(), ManagerSettings()
        ) as reporter,
    ):
        task = asyncio.create_task(reporter.run(lambda: RedisLink(config, client)))
        reporter.noted(JournalEntry(at_ns=1, who=WHO, what=What.FLEET_REJECTED, why="fleet.toml: unknown key"))
        await until(lambda: bool(receiver.texts))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await client.aclose()
    assert receiver.texts == [
        f"tickfleet on {socket.gethostname()}, fleet {tmp_path}/fleet.toml\n"
        "fleet: the fleet file cannot be used (fleet.toml: unknown key)"
    ]


async def test_log_and_state_folders_are_closed_to_all_other_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_once(_: object) -> None:
        return None

    monkeypatch.setattr(app, "run_until_signal", at_once)
    site = environment(tmp_path, metrics_port="off")
    for folder in (site.var, site.logs):
        folder.mkdir()
        folder.chmod(0o777)
    with capture_logs() as logs:
        await app.run(site, Fleet(redis=RedisConfig(), collectors=()))
        site.logs.rmdir()
        await app.run(site, Fleet(redis=RedisConfig(), collectors=()))
    assert site.var.stat().st_mode & 0o777 == 0o700
    assert [(log["event"], log["folder"], log["why"]) for log in logs if log["event"].startswith("folder")] == [
        ("folder_closed", str(site.var), "others could look into it"),
        ("folder_closed", str(site.logs), "others could look into it"),
        ("folder_not_closed", str(site.logs), "No such file or directory"),
    ]
