from pathlib import Path

import pytest
from rich.pretty import pretty_repr

from common.config.environment import Environment, read_environment
from tickfleet.errors import InvalidConfigurationError

CHECKOUT = Path(__file__).resolve().parents[3]
SECRET = "hunter2"  # noqa: S105 - made up


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder that is no deployment."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_nothing_set_means_the_checkout(elsewhere: Path) -> None:
    assert elsewhere != CHECKOUT
    assert read_environment({}) == Environment(root=CHECKOUT, fleet_path=CHECKOUT / "deploy" / "fleet.toml")


def test_a_deployment_in_the_current_folder_comes_first(elsewhere: Path) -> None:
    (elsewhere / "deploy").mkdir()
    (elsewhere / "deploy" / "supervisord.conf").touch()

    assert read_environment({}).root == elsewhere


@pytest.mark.usefixtures("elsewhere")
def test_every_variable(tmp_path: Path) -> None:
    assert read_environment(
        {
            "TICKFLEET_ROOT": "/srv/fleet",
            "TICKFLEET_FLEET": "/etc/fleet.toml",
            "TICKFLEET_REDIS_URL": "redis://db/1",
            "TICKFLEET_REDIS_PASSWORD": SECRET,
            "TICKFLEET_LOG_LEVEL": "DEBUG",
            "TICKFLEET_METRICS_PORT": "OFF",
            "TICKFLEET_ALERT_WEBHOOK": f"https://hooks/{SECRET}",
            "TICKFLEET_ALERT_WEBHOOK_FILE": "/etc/webhook",
            "TICKFLEET_EXPRESS": "off",
            "TICKFLEET_COLLECTOR": "okx:BTC-USDT",
            "TICKFLEET_CONFIG_ID": "0123456789ab",
        }
    ) == Environment(
        root=Path("/srv/fleet"),
        fleet_path=Path("/etc/fleet.toml"),
        redis_url="redis://db/1",
        redis_password=SECRET,
        log_level="debug",
        metrics_port="off",
        alert_webhook=f"https://hooks/{SECRET}",
        alert_webhook_file=Path("/etc/webhook"),
        fast_path=False,
        collector="okx:BTC-USDT",
        config_id="0123456789ab",
    )


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "TICKFLEET_LOG_LEVEL",
            "warnin",
            "'warnin' is not one of its values; did you mean 'warning'? (known: debug, info, warning, error)",
        ),
        (
            "TICKFLEET_LOG_LEVEL",
            "verbose",
            "'verbose' is not one of its values; did you mean 'debug'? (known: debug, info, warning, error)",
        ),
        (
            "TICKFLEET_EXPRESS",
            "OFFF",
            "'offf' is not one of its values; did you mean 'off'? (known: on, off, 1, yes, true, 0, no, false)",
        ),
    ],
)
def test_a_value_that_a_variable_does_not_have_is_refused(name: str, value: str, message: str) -> None:
    with pytest.raises(InvalidConfigurationError) as caught:
        read_environment({name: value})
    assert str(caught.value) == f"{name}={message}"


@pytest.mark.parametrize(
    ("value", "level"), [("", "info"), ("warn", "warning"), (" WARN ", "warning"), ("Warning", "warning")]
)
def test_a_log_level_has_the_names_that_people_use(value: str, level: str) -> None:
    assert read_environment({"TICKFLEET_LOG_LEVEL": value}).log_level == level


@pytest.mark.parametrize(("value", "fast"), [("", True), ("On", True), ("1", True), ("off", False), ("FALSE", False)])
def test_the_fast_path_is_switched_by_words(value: str, *, fast: bool) -> None:
    assert read_environment({"TICKFLEET_EXPRESS": value}).fast_path is fast


def test_an_empty_variable_is_not_set(elsewhere: Path) -> None:
    names = (
        "ROOT",
        "FLEET",
        "REDIS_URL",
        "REDIS_PASSWORD",
        "LOG_LEVEL",
        "METRICS_PORT",
        "ALERT_WEBHOOK",
        "ALERT_WEBHOOK_FILE",
    )

    assert read_environment({f"TICKFLEET_{name}": "" for name in names}) == read_environment({})


def test_a_relative_root_is_taken_from_here(elsewhere: Path) -> None:
    environment = read_environment({"TICKFLEET_ROOT": "fleet"})

    assert (environment.root, environment.fleet_path) == (elsewhere / "fleet", elsewhere / "fleet/deploy/fleet.toml")


def test_relative_files_are_seen_from_here(elsewhere: Path) -> None:
    environment = read_environment({"TICKFLEET_FLEET": "my.toml", "TICKFLEET_ALERT_WEBHOOK_FILE": "../hook"})

    assert (environment.root, environment.fleet_path) == (CHECKOUT, elsewhere / "my.toml")
    assert environment.alert_webhook_file == elsewhere / "../hook"


def test_a_root_as_supervisord_spells_it() -> None:
    environment = read_environment({"TICKFLEET_ROOT": "/srv/fleet/deploy/.."})

    assert (environment.root, environment.supervisor_socket) == (
        Path("/srv/fleet"),
        Path("/srv/fleet/var/supervisor.sock"),
    )


def test_the_folders_of_a_deployment() -> None:
    environment = read_environment({"TICKFLEET_ROOT": "/srv/fleet"})

    assert (environment.var, environment.supervisor_socket, environment.programs, environment.logs) == (
        Path("/srv/fleet/var"),
        Path("/srv/fleet/var/supervisor.sock"),
        Path("/srv/fleet/var/programs"),
        Path("/srv/fleet/var/log"),
    )


def test_the_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TICKFLEET_ROOT", "/srv/fleet")

    assert read_environment().root == Path("/srv/fleet")


def test_secrets_are_never_shown() -> None:
    environment = read_environment(
        {
            "TICKFLEET_ROOT": "/srv",
            "TICKFLEET_REDIS_PASSWORD": SECRET,
            "TICKFLEET_REDIS_URL": f"redis://:{SECRET}@db/0",
            "TICKFLEET_ALERT_WEBHOOK": f"https://hooks/{SECRET}",
        }
    )

    assert repr(environment) == str(environment) == "Environment(root='/srv', fleet_path='/srv/deploy/fleet.toml')"
    assert pretty_repr(environment, max_width=200) == repr(environment)
