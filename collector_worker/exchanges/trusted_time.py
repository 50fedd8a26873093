"""Limits how far an exchange's time is trusted. State that outlives a connection never uses times beyond the limit.

An exchange's clock may differ from ours, and a frame may be garbage. A time within ``MAX_CLOCK_DIFFERENCE_NS`` of the
receipt is used as it is. A time further ahead tells nothing, and the time of the receipt is used instead. In the
streams, ``ts_event`` stays what the exchange said.
"""

from tickfleet.contract.events import MAX_CLOCK_DIFFERENCE_NS


def is_ahead(event_ns: int, recv_ns: int) -> bool:
    """Whether a time is further ahead of its receipt than clocks may differ (both ns since the epoch)."""
    return event_ns - recv_ns > MAX_CLOCK_DIFFERENCE_NS


def not_ahead(event_ns: int, recv_ns: int) -> int:
    """The exchange's time, or the receipt's if the former is further ahead than clocks may differ.

    Fetched data may be old, so there is no lower bound.
    """
    return recv_ns if is_ahead(event_ns, recv_ns) else event_ns


def trusted_ns(event_ns: int, recv_ns: int) -> int:
    """The exchange's time of live data, or the time of the receipt if they differ more than clocks may."""
    return event_ns if -MAX_CLOCK_DIFFERENCE_NS <= event_ns - recv_ns <= MAX_CLOCK_DIFFERENCE_NS else recv_ns
