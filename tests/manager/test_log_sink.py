import io
import sys
from collections.abc import Iterator

import pytest
import structlog

from common.process.log import configure_logging, get_logger


@pytest.fixture(autouse=True)
def _unconfigured() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


class Fragile(io.StringIO):
    """A stream that fails when it is ordered to."""

    error: Exception | None = None

    def write(self, text: str) -> int:
        """Write or fail."""
        if self.error is not None:
            raise self.error
        return super().write(text)

    def flush(self) -> None:
        """Flush or fail."""
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(28, "no space"), ValueError("closed")])
def test_a_line_that_nobody_takes_is_lost_and_the_process_goes_on(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Fragile()
    monkeypatch.setattr(sys, "stdout", stream)
    configure_logging()
    stream.error = error
    get_logger().info("feed_lost")
    stream.error = None
    get_logger().info("feed_connected")
    assert [line.split('"')[3] for line in stream.getvalue().splitlines()] == ["feed_connected"]
