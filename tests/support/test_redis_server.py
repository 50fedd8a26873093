"""Tests of ``tests.support.redis_server``."""

from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from tests.support.redis_server import RedisServer


@pytest.mark.parametrize("how", [RedisServer.stop, RedisServer.kill])
def test_a_connection_that_another_thread_uses_is_not_taken_from_it(
    how: Callable[[RedisServer], None], tmp_path: Path
) -> None:
    """It reads as far as the server wrote, then it sees the end as of any server that ends."""
    server = RedisServer(tmp_path)
    server.start()
    used = server.client.connection_pool.get_connection()
    used.send_command("PING")
    assert used.can_read(timeout=20)  # the answer is there
    how(server)
    assert used.read_response() == "PONG"
    with pytest.raises(redis.ConnectionError):
        used.read_response()
