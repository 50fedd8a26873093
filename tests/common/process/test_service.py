"""Where a service finds the fleet's Redis, and how its errors are told."""

from pathlib import Path

import pytest

from common.config.environment import Environment, read_environment
from common.config.fleet_file import load_fleet
from common.config.taken_file import write_taken
from common.process.service import fleet_redis, run_service
from tickfleet.errors import EXIT_BAD_CONFIGURATION, EXIT_OK, EXIT_UNREACHABLE, RedisUnreachableError
from tickfleet.redis.config import RedisConfig


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return read_environment({"TICKFLEET_ROOT": str(tmp_path), "TICKFLEET_FLEET": str(tmp_path / "fleet.toml")})


def write_fleet(environment: Environment, url: str) -> None:
    environment.fleet_path.write_text(f'[redis]\nurl = "{url}"\n', encoding="utf-8")


def test_the_fleet_file_names_it(environment: Environment) -> None:
    write_fleet(environment, "redis://db:7000/1")
    assert fleet_redis(environment).url == "redis://db:7000/1"


def test_the_configuration_in_force_holds_although_the_file_has_changed(environment: Environment) -> None:
    write_fleet(environment, "redis://db:7000/1")
    write_taken(load_fleet(environment.fleet_path, environment), environment)
    write_fleet(environment, "redis://other/2")
    assert fleet_redis(environment).url == "redis://db:7000/1"


def test_the_environment_outranks_the_file_and_does_without_it(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TICKFLEET_REDIS_URL", "redis://:secret@here:6380/0")
    monkeypatch.setenv("TICKFLEET_FLEET", str(environment.fleet_path))
    given = read_environment()
    expected = RedisConfig(url="redis://here:6380/0", password="secret")  # noqa: S106
    assert fleet_redis(given) == expected
    write_fleet(environment, "redis://db:7000/1")
    assert fleet_redis(given) == expected


async def nothing(_: RedisConfig) -> None:
    return


async def no_redis(_: RedisConfig) -> None:
    raise RedisUnreachableError("Redis at here gives no answer")


def test_nothing_is_guessed_where_neither_says_where_it_is(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("TICKFLEET_REDIS_URL", raising=False)
    monkeypatch.setenv("TICKFLEET_FLEET", str(environment.fleet_path))
    monkeypatch.setenv("TICKFLEET_ROOT", str(environment.root))
    assert run_service("archiver", nothing) == EXIT_BAD_CONFIGURATION
    assert capsys.readouterr().err == (
        f"archiver: where is Redis? {environment.fleet_path}: there is no such file; "
        "name it: TICKFLEET_REDIS_URL=redis://HOST:6379/0, or TICKFLEET_FLEET=FILE\n"
    )


def test_an_error_is_one_line_and_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TICKFLEET_REDIS_URL", "redis://here:6380/0")
    assert run_service("archiver", nothing) == EXIT_OK
    assert run_service("archiver", no_redis) == EXIT_UNREACHABLE
    assert capsys.readouterr().err.splitlines()[-1] == "archiver: Redis at here gives no answer"
