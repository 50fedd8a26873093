"""Pure: can the exchanges be reached, and does our clock agree with theirs?"""

from collections.abc import Iterable

from msgspec import Struct

from common.config.exchanges import profile
from common.network.http_status import said_by
from manager.cli.doctor.exchange_places import Other, Place, default_address, is_own, others
from manager.cli.doctor.findings import Finding, bad, ok, skipped, warning
from manager.model.formatting import span
from manager.report.figures.capacity import StartTime

_CLOCK_FINE_S = 2.0
"""An exchange tells its time in whole seconds, and the answer takes a while."""

_CLOCK_BAD_S = 30.0
"""Half of one minute; beyond a minute, entry ids come from our clock instead of the exchange's."""

_NOT_FOUND = 404


class Visit(Struct, frozen=True, kw_only=True):
    """One attempt to reach an address.

    Attributes:
        place: Which.
        trouble: Why it failed, in our words; empty where it did not.
        took_s: How long it took.
        ahead_s: Our clock minus that of the other side, where it says its time.
        instead: Another address of the exchange that does answer.
    """

    place: Place
    trouble: str = ""
    took_s: float = 0.0
    ahead_s: float | None = None
    instead: Other | None = None


def trouble_of(status: int, wanted: range, url: str = "", location: str = "") -> str:
    """What an answer with a status of HTTP means; empty where it is as wanted.

    Args:
        status: Of the answer.
        wanted: Those that are as they should be.
        url: The address that was asked.
        location: Where a redirect leads.
    """
    if status in wanted:
        return ""
    said = said_by(status, url, location)
    if status == _NOT_FOUND:
        said = "has nothing at this path"
    elif not said:
        said = "has trouble of its own" if status >= 500 else "does not do what a collector asks"
    return f"HTTP {status}: it {said}"


def check_exchanges(visits: Iterable[Visit]) -> list[Finding]:
    """A finding for each address, and one for the clock."""
    visits = list(visits)
    return [*[_reached(visit) for visit in visits], _clock([v.ahead_s for v in visits if v.ahead_s is not None])]


def check_start(starts: Iterable[StartTime]) -> list[Finding]:
    """How long the limits of each exchange make the start of the whole fleet."""
    return [ok(f"start {each.exchange}", start_words(each)) for each in starts]


def start_words(start: StartTime) -> str:
    """The same for people."""
    own = profile(start.exchange)
    connects = f"{start.connects} connections"
    rest = f"{start.rest_units:.0f} {own.rest_unit} by REST"
    return f"at most {span(start.within_s)} for {start.collectors} collectors: its limits for {connects} and {rest}"


def _reached(visit: Visit) -> Finding:
    place = visit.place
    check = f"reach {place.exchange}"
    if not visit.trouble:
        return ok(check, f"{place.shown} in {visit.took_s * 1000:.0f} ms")
    if visit.instead is not None:
        other = visit.instead
        mend = f"under [exchanges.{place.exchange}] write {other.setting}: that one answers ({other.known})"
    elif not is_own(place):
        mend = f"see network, DNS and firewall; the exchange's own address is {default_address(place)}"
    else:
        tried = ", ".join(other.place.shown for other in others(place)) or "it has none"
        mend = f"see network, DNS and firewall; no other address of the exchange answers either ({tried})"
    return bad(check, f"{place.shown}: {visit.trouble}", mend)


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
