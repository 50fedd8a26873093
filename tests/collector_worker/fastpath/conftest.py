"""Nothing here can be tested where the fast path is not compiled."""

import pytest

from tests.support.fast_path_rig import compiled_or_skip


@pytest.fixture(scope="package", autouse=True)
def _compiled() -> None:
    compiled_or_skip()
