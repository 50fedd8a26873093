"""What only several scenarios together tell: how much of the limit the bursts reach. Pure."""

from typing import Any

Scenarios = dict[str, Any]


def add_shares(scenarios: Scenarios) -> Scenarios:
    """The scenarios, with shares where a burst and the limits were measured.

    Each row of ``burst`` gets its share of what Redis takes (the best way) and of the frames that a bare reader reads;
    ``limit`` gets ``burst_share_percent``, that of the default transport without TLS.
    """
    burst, limit = scenarios.get("burst"), scenarios.get("limit")
    if not burst or not limit:
        return scenarios
    redis = max(row["entries_per_s"] for row in limit["redis"])
    reader = {row["tls"]: row["frames_per_s"] for row in limit["reader"]}
    rows = [
        {
            **row,
            "share_of_redis_percent": _percent(row["entries_per_s"], redis),
            "share_of_reader_percent": _percent(row["entries_per_s"], reader[row["tls"]]),
        }
        for row in burst["rows"]
    ]
    share = rows[0]["share_of_redis_percent"]
    return {**scenarios, "burst": {**burst, "rows": rows}, "limit": {**limit, "burst_share_percent": share}}


def _percent(part: float, whole: float) -> float:
    return round(100 * part / whole, 1)
