"""Pure: can the exchanges be reached, and does our clock agree with theirs?"""

from collections.abc import Iterable

from msgspec import Struct

from manager.cli.doctor.findings import Finding, bad, ok, skipped, warning

_CLOCK_FINE_S = 2.0
"""An exchange tells its time in whole seconds, and the answer takes a while."""

_CLOCK_BAD_S = 30.0
"""Half of the minute beyond which entry ids are made from our clock in place of the exchange's."""


class Visit(Struct, frozen=True, kw_only=True):
    """One attempt to reach an address.

    Attributes:
        exchange: Whose it is.
        address: Scheme, host and port.
        trouble: Why it failed, in our words; empty where it did not.
        took_s: How long it took.
        ahead_s: Our clock minus that of the other side, where it says its time.
    """

    exchange: str
    address: str
    trouble: str = ""
    took_s: float = 0.0
    ahead_s: float | None = None


def check_exchanges(visits: Iterable[Visit]) -> list[Finding]:
    """A finding for each address, and one for the clock."""
    visits = list(visits)
    return [*[_reached(visit) for visit in visits], _clock([v.ahead_s for v in visits if v.ahead_s is not None])]


def _reached(visit: Visit) -> Finding:
    check = f"reach {visit.exchange}"
    if visit.trouble:
        mend = f"see network, DNS and firewall; [exchanges.{visit.exchange}] in the fleet file names other hosts"
        return bad(check, f"{visit.address}: {visit.trouble}", mend)
    return ok(check, f"{visit.address} in {visit.took_s * 1000:.0f} ms")


def _clock(ahead_s: list[float]) -> Finding:
    if not ahead_s:
        return skipped("clock", "no exchange told its time")
    off_s = min(ahead_s, key=abs)  # where one is wrong, the others are not
    found = f"{abs(off_s):.0f} s {'ahead of' if off_s > 0 else 'behind'} the exchanges"
    if abs(off_s) <= _CLOCK_FINE_S:
        return ok("clock", "agrees with the exchanges to the second")
    if abs(off_s) <= _CLOCK_BAD_S:
        return warning("clock", found, "have chrony or systemd-timesyncd keep it")
    return bad("clock", found, "have chrony or systemd-timesyncd keep it: entry ids and ages rest on it")
