"""Fixtures of the collector's tests."""

import pytest

from common.config.collector import TRANSPORTS
from tests.support.feed_rig import Rig


@pytest.fixture(params=TRANSPORTS)
def each_transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each library in turn, also for the connections of a ``Rig``."""
    monkeypatch.setattr(Rig, "transport", request.param)
    chosen: str = request.param
    return chosen
