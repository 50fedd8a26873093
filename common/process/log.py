"""Logging, configured once: JSON lines on stdout for machines, colour on a terminal for people.

An event is one fixed snake_case phrase, noun then past verb (``feed_connected``); every value is a field. Market
messages are never logged one by one: repeated events are counted. Errors have ``exc_info``. If the cause is the
network, TLS or a file, ``why`` says enough, and the traceback becomes one field, ``cause``. Level debug has these
tracebacks, too.
"""

import importlib
import logging
import sys
import traceback
from types import ModuleType
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    import structlog


def _import_structlog() -> ModuleType:
    """Import structlog. It imports rich, if installed, for tracebacks in colour: 4 MiB and 30 ms per process.

    So rich is hidden during the import if nobody will see colours; later imports find it.
    """
    if sys.stdout.isatty() or "rich" in sys.modules:
        return importlib.import_module("structlog")
    sys.modules["rich"] = None  # type: ignore[assignment]  # what the import system takes for "there is none"
    try:
        return importlib.import_module("structlog")
    finally:
        del sys.modules["rich"]


if not TYPE_CHECKING:
    structlog = _import_structlog()

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

# Both without the variables of the frames: one of them may hold a secret.
_frames = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
_traceback_for_people = (
    structlog.dev.RichTracebackFormatter(show_locals=False) if "rich" in sys.modules else structlog.dev.plain_traceback
)


def _traceback(exc_info: Any) -> Any:
    """The frames of an exception. Their absolute paths are not available if the current folder is gone."""
    try:
        return _frames(exc_info)
    except OSError:
        return "".join(traceback.format_exception(*exc_info))


def _shorten(_logger: object, _method: str, fields: "structlog.typing.EventDict") -> "structlog.typing.EventDict":
    """Shortens a traceback: one of several screens hides the line with the reason."""
    error = fields.get("exc_info")
    error = sys.exc_info()[1] if error is True else error
    if "why" in fields and isinstance(error, BaseException):
        from tickfleet._util.causes import known_codes  # TLS takes its time to be imported, and few processes ever fail

        if codes := known_codes(error):
            del fields["exc_info"]
            if codes not in fields["why"]:
                fields["cause"] = codes
    return fields


Logger = structlog.typing.FilteringBoundLogger


class _Sink:
    """A stream that may lose lines: a full disk, or a closed pipe, must not end the process."""

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
    """Set up logging for this process; ``bound`` fields are on every line. An unknown level means info."""
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
            *([] if level == "debug" else [_shorten]),
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


class Failures:
    """Warns of repeated failures: each time with the reason, and with the traceback if the reason has changed."""

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}

    def warn(self, event: str, error: Exception, **fields: Any) -> None:
        """One more failure of a kind; ``why`` is the error's own message."""
        why = str(error)
        if self._reasons.get(event) != why:
            self._reasons[event] = why
            fields["exc_info"] = error
        get_logger().warning(event, why=why, **fields)
