"""The meaning of an HTTP status from an exchange, for REST, WebSocket handshakes and doctor. Pure.

| status | what follows |
| --- | --- |
| 418, 429 | this machine stays away for as long as the answer asks, within bounds |
| 403 | a firewall has turned us away: this machine stays away for minutes |
| 451 | the exchange does not serve this place: if it says so again, only another address or another place helps |
| 301, 302, 303, 307, 308 | the exchange is elsewhere: where is said |

(Binance sheet, section 3; RFC 9110, section 15.4.) What other statuses mean is in the body.
"""

import re
from urllib.parse import urljoin, urlsplit

from msgspec import Struct

BANNED = 418
TOO_MANY = 429
FORBIDDEN = 403
NOT_SERVED_HERE = 451
DEFAULT_BAN_S = {BANNED: 120.0, TOO_MANY: 10.0, FORBIDDEN: 300.0}
"""Where the answer does not say how long: bans begin at two minutes, a firewall forgets after minutes."""

LONGEST_BAN_S = {BANNED: 3 * 24 * 3600.0, TOO_MANY: 3600.0, FORBIDDEN: 3600.0}
"""No answer is believed beyond this. Bans last for three days at most (Binance sheet, section 3), limits count by
minutes; one that lasts for longer is reported again by the next answer."""

MOVED = frozenset({301, 302, 303, 307, 308})
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}(:[0-9]{1,5})?\Z|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?\Z")
_SCHEMES = ("https", "http", "wss", "ws")


_SAID = {
    BANNED: "turned us away",
    TOO_MANY: "turned us away",
    FORBIDDEN: "forbids us to ask, as a firewall does",
    NOT_SERVED_HERE: "does not serve the place that this machine calls from",
}


class Meaning(Struct, frozen=True):
    """What a status means for us.

    Attributes:
        why: For people: who, what, where to.
        ban_s: How long no process of this machine may call or connect; None: not a ban.
        fatal: If the status comes again, further requests cannot help.
    """

    why: str
    ban_s: float | None = None
    fatal: bool = False


def meaning_of(who: str, status: int, retry_after_s: float | None, url: str, location: str) -> Meaning | None:
    """What a status means; None where it says nothing against the answer.

    Args:
        who: Who answered.
        status: Of the answer.
        retry_after_s: What it asks for, where it does.
        url: The address that was asked.
        location: Where it sends us, where it does.
    """
    said = said_by(status, url, location)
    if status == NOT_SERVED_HERE:
        why = f"{who} {said} (HTTP {status}): use an address of the exchange that does, or another place"
        return Meaning(why, fatal=True)
    if status in DEFAULT_BAN_S:
        ban_s = DEFAULT_BAN_S[status] if retry_after_s is None else min(retry_after_s, LONGEST_BAN_S[status])
        away = "; we stay away" if status == FORBIDDEN else ""
        return Meaning(f"{who} {said}{away} for {ban_s:g} s (HTTP {status})", ban_s)
    return Meaning(f"{who} {said} (HTTP {status})") if said else None


def said_by(status: int, url: str, location: str) -> str:
    """What a status says against the answer, a verb with what belongs to it; empty where it says nothing.

    The arguments are those of ``meaning_of``.
    """
    return f"has moved to {place_of(url, location) or 'nowhere'}" if status in MOVED else _SAID.get(status, "")


def place_of(url: str, location: str) -> str:
    """Scheme and host of where an answer sends us; empty where it is none. Never a user, a path or a query."""
    try:
        parts = urlsplit(urljoin(url, location))
    except ValueError:
        return ""
    host = parts.netloc.rpartition("@")[2]
    known = location and parts.scheme in _SCHEMES and _HOST.match(host)
    return f"{parts.scheme}://{host}" if known else ""


def seconds(text: str) -> float | None:
    """A ``Retry-After`` in seconds; exchanges do not send its other form, a date."""
    return float(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
