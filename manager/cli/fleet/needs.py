"""Pure: what a fleet needs, for the plan: numbers for people, and for machines."""

from collections.abc import Iterable
from typing import Any

import msgspec

from manager.cli.doctor.exchange_checks import start_words
from manager.cli.doctor.findings import Finding, Severity, size
from manager.report.figures.capacity import COLLECTOR_BYTES, Capacity


def lines(capacity: Capacity, room: Iterable[Finding], *, redis_here: bool) -> list[str]:
    """What the fleet needs, a line each; ``room`` is what was found of its Redis."""
    count = capacity.collectors
    disk = f"{size(capacity.disk_bytes(redis_here=redis_here))} {'for Redis and logs' if redis_here else 'for logs'}"
    return [
        f"it needs, for {count} collectors:",
        *[_told(finding) for finding in room],
        f"  connections to exchanges: {capacity.exchange_connections}",
        f"  file descriptors: {capacity.descriptors} of supervisord",
        f"  memory of processes: {size(capacity.processes_bytes)} ({size(COLLECTOR_BYTES)} a collector under load)",
        f"  disk here: {disk}, at most {size(capacity.spool_bytes)} more while Redis is away",
        *[f"  start of {each.exchange}: {start_words(each)}" for each in capacity.starts],
    ]


def to_json(capacity: Capacity, room: Iterable[Finding], *, redis_here: bool) -> dict[str, Any]:
    """The same as a part of the document of ``plan --json``."""
    starts = {each.exchange: {**msgspec.to_builtins(each), "within_s": each.within_s} for each in capacity.starts}
    found = [{"check": each.check, "level": each.level.value, "found": each.found, "mend": each.mend} for each in room]
    return {
        **msgspec.to_builtins(capacity),
        "basis": capacity.basis,
        "disk_bytes": capacity.disk_bytes(redis_here=redis_here),
        "starts": starts,
        "room": found,
    }


def _told(finding: Finding) -> str:
    level = "" if finding.level is Severity.OK else f"{finding.level.value}: "
    mend = f" -> {finding.mend}" if finding.mend else ""
    return f"  {finding.check}: {level}{finding.found}{mend}"
