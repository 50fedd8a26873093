from pathlib import Path

import pytest

from common.config.environment import Environment
from manager.report.alerts.address import WebhookAddress, parse_address, read_address
from tickfleet.errors import InvalidConfigurationError

SECRET = "T00/B00/s3cret"  # noqa: S105 - made up
URL = f"https://hooks.example.com/services/{SECRET}?x=1"
ADDRESS = WebhookAddress("hooks.example.com", 443, True, "hooks.example.com", f"/services/{SECRET}?x=1")


@pytest.mark.parametrize(
    ("url", "address"),
    [
        (URL, ADDRESS),
        ("http://127.0.0.1:8065", WebhookAddress("127.0.0.1", 8065, False, "127.0.0.1:8065", "/")),
        ("http://[::1]:8065/hook", WebhookAddress("::1", 8065, False, "[::1]:8065", "/hook")),
    ],
)
def test_an_address(url: str, address: WebhookAddress) -> None:
    assert parse_address(url) == address


@pytest.mark.parametrize(
    "url",
    [
        f"ftp://hooks.example.com/{SECRET}",
        f"hooks.example.com/{SECRET}",
        f"https:///{SECRET}",
        f"https://hooks.example.com:99999/{SECRET}",
        f"https://[hooks/{SECRET}",
        f"https://hooks.example.com/{SECRET} x",
        f"https://hooks.example.com/ü{SECRET}",
        f"https://user:{SECRET}@hooks.example.com/",
        "",
    ],
)
def test_what_is_none_is_told_without_being_shown(url: str) -> None:
    with pytest.raises(InvalidConfigurationError, match="the address of the webhook for alerts") as raised:
        parse_address(url)
    assert "s3cret" not in str(raised.value)


def test_the_secret_is_never_shown() -> None:
    assert repr(ADDRESS) == str(ADDRESS) == "Address('hooks.example.com')"


def environment(**settings: object) -> Environment:
    return Environment(root=Path("/srv"), fleet_path=Path("/srv/fleet.toml"), **settings)  # type: ignore[arg-type]


def test_it_comes_from_the_environment_or_from_a_private_file(tmp_path: Path) -> None:
    path = tmp_path / "webhook"
    path.write_text(f"{URL}\n")
    path.chmod(0o600)
    assert read_address(environment()) is None
    assert read_address(environment(alert_webhook_file=path)) == ADDRESS
    assert read_address(environment(alert_webhook=URL, alert_webhook_file=tmp_path / "none")) == ADDRESS


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "webhook"
    path.write_text(URL)
    path.chmod(0o640)
    with pytest.raises(InvalidConfigurationError, match="holds a secret and others can read it; run: chmod 600"):
        read_address(environment(alert_webhook_file=path))


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "there is no such file"), (b"\xff", "is not text in UTF-8"), (b"\xff\xfe", "is written in UTF-16")],
)
def test_a_file_that_cannot_be_read(content: bytes | None, why: str, tmp_path: Path) -> None:
    path = tmp_path / "webhook"
    if content is not None:
        path.write_bytes(content)
        path.chmod(0o600)
    with pytest.raises(InvalidConfigurationError) as caught:
        read_address(environment(alert_webhook_file=path))
    assert str(caught.value).startswith(f"TICKFLEET_ALERT_WEBHOOK_FILE: {path}: {why}")
