"""What a check found."""

from enum import Enum

from msgspec import Struct


class Severity(Enum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"  # it works, and will hurt some day
    BAD = "bad"  # it harms the fleet, or will as soon as something else fails
    SKIPPED = "skipped"  # it could not be looked at


class Finding(Struct, frozen=True, kw_only=True):
    """One check's outcome.

    Attributes:
        found: What is, in our own words.
        mend: What to do about it; empty where nothing has to be done.
    """

    check: str
    level: Severity
    found: str
    mend: str = ""


def ok(check: str, found: str) -> Finding:
    """All is as it should be."""
    return Finding(check=check, level=Severity.OK, found=found)


def warning(check: str, found: str, mend: str) -> Finding:
    """It works now."""
    return Finding(check=check, level=Severity.WARNING, found=found, mend=mend)


def bad(check: str, found: str, mend: str) -> Finding:
    """It has to be mended."""
    return Finding(check=check, level=Severity.BAD, found=found, mend=mend)


def skipped(check: str, found: str, mend: str = "") -> Finding:
    """Nobody knows."""
    return Finding(check=check, level=Severity.SKIPPED, found=found, mend=mend)


def size(count: float) -> str:
    """Bytes for people: ``512 MiB``, ``3.2 GiB``."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
