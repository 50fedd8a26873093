"""What is new in a round, for the log."""

from collections.abc import Iterable

from common.process.log import get_logger
from manager.model.journal_entries import JournalEntry, What
from manager.model.verdicts import Verdict

_NO_ALARM = frozenset({Verdict.HEALTHY.value, Verdict.STARTING.value, Verdict.DISABLED.value})


def log_entries(entries: Iterable[JournalEntry]) -> None:
    """One line for each change of a verdict, and for the begin and the end of an outage."""
    for entry in entries:
        if entry.what is What.VERDICT_CHANGED:
            log = get_logger().info if entry.details["to"] in _NO_ALARM else get_logger().warning
            log(entry.what.value, collector=entry.collector, why=entry.why, **entry.details)
        elif entry.what in (What.OUTAGE_BEGAN, What.OUTAGE_ENDED):
            get_logger().warning(entry.what.value, why=entry.why, **entry.details)
