"""The stage for commands."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.manager.cli.stage import CliStage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[CliStage]:
    """A fleet of three of which one is disabled; nothing runs yet."""
    stage = CliStage(tmp_path)
    yield stage
    stage.redis.close()
