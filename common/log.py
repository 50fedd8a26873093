"""Logging, configured once: JSON lines on stdout for machines, colour on a terminal for people.

An event is one fixed snake_case phrase, noun then past verb (``feed_connected``); every value is a field. No log call
per message of the market: what repeats is counted. Errors carry ``exc_info``.
"""

import logging
import sys
from typing import Any, TextIO

import structlog

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

# Both without the variables of the frames: one of them may hold a secret.
_traceback = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
_traceback_for_people = structlog.dev.RichTracebackFormatter(show_locals=False)

Logger = structlog.typing.FilteringBoundLogger


class _Sink:
    """A stream for lines that may be lost: a full disk, or nobody at the other end, must not end the process."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        try:
            self._stream.write(text)
        except (OSError, ValueError):  # ValueError: the stream is closed
            return

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            return


def configure_logging(level: str = "info", **bound: Any) -> None:
    """Set up logging for this process; ``bound`` fields stand on every line. An unknown level means info."""
    terminal = sys.stdout.isatty()
    renderer: list[Any] = (
        [structlog.dev.ConsoleRenderer(exception_formatter=_traceback_for_people)]
        if terminal
        else [structlog.processors.ExceptionRenderer(_traceback), structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS.get(level, logging.INFO)),
        logger_factory=structlog.WriteLoggerFactory(_Sink(sys.stdout)),  # type: ignore[arg-type]  # all it needs
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(**bound)


def get_logger() -> Logger:
    """The process' logger."""
    logger: Logger = structlog.get_logger()
    return logger
