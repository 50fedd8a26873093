"""Fixtures that all tests share: a clock that the test moves, a real Redis server, the captures."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.clock import ManualClock
from tests.support.redis_server import RedisServer
from tickfleet.redis.config import RedisConfig

busy = [HealthCheck.too_slow]
settings.register_profile("tickfleet", deadline=None, suppress_health_check=busy)  # a busy machine is no failure
settings.load_profile("tickfleet")

os.umask(0o022)  # what tests write must be such that the fleet takes it, whatever the caller's umask is

CAPTURES = Path(__file__).resolve().parent.parent.parent / "shared" / "captures"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where several workers share the run they take the long modules first: else one of them would end late."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: not any(item.get_closest_marker(name) for name in ("system", "long")))


@pytest.fixture
def clock() -> ManualClock:
    """A clock that does not move until the test moves it."""
    return ManualClock()


@pytest.fixture(scope="session")
def _shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_server(_shared_redis: RedisServer) -> RedisServer:
    """A running, empty Redis. Shared by the tests of a run: one that stops or fills it starts its own."""
    _shared_redis.client.flushall()
    return _shared_redis


@pytest.fixture
def redis_config(redis_server: RedisServer) -> RedisConfig:
    """The address of ``redis_server``."""
    return redis_server.config


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A running Redis that the test may stop, kill, fill and start again; it keeps its data."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def captures() -> Path:
    """The folder of real captures; tests that need it are skipped where it is not there."""
    if not CAPTURES.is_dir():
        pytest.skip("the folder of captures, ../shared/captures, is not on this machine")
    return CAPTURES
