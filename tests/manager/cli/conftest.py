"""The stage for commands."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.manager.cli.managed import ManagedStage
from tests.manager.cli.redis_stage import RedisStage
from tests.manager.cli.stage import CliStage
from tests.support.redis_server import RedisServer


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[CliStage]:
    """A fleet of three of which one is disabled; nothing runs yet."""
    stage = CliStage(tmp_path)
    yield stage
    stage.redis.close()


@pytest.fixture
def managed(tmp_path: Path) -> Iterator[ManagedStage]:
    """The same fleet with a manager at work: the two enabled collectors run."""
    stage = ManagedStage(tmp_path)
    try:
        stage.start_manager()
        assert stage.pids() == {"BTC-USDT": 101, "ETH-USDT": 102, "SOL-USDT": 0}
        yield stage
    finally:
        stage.close()


@pytest.fixture
def streams(tmp_path: Path, redis_server: RedisServer) -> RedisStage:
    """The same fleet with a real Redis, in which no stream is yet."""
    return RedisStage(tmp_path, redis_server)
