"""How far a time that an exchange states is believed. What outlives a connection rests on nothing further off.

An exchange's clock may differ from ours, and a frame may be garbage. A time within ``MAX_CLOCK_DIFFERENCE_NS`` of the
receipt is taken as it is; one further ahead says nothing, and the time of the receipt is used instead. In the streams
``ts_event`` stays what the exchange said.
"""

from tickfleet.contract.events import MAX_CLOCK_DIFFERENCE_NS


def is_ahead(event_ns: int, recv_ns: int) -> bool:
    """Whether a time lies further ahead of its receipt than clocks differ (both ns since the epoch)."""
    return event_ns - recv_ns > MAX_CLOCK_DIFFERENCE_NS


def not_ahead(event_ns: int, recv_ns: int) -> int:
    """The exchange's time, or that of the receipt where the former lies further ahead than clocks differ.

    What was fetched may be old, so there is no bound below.
    """
    return recv_ns if is_ahead(event_ns, recv_ns) else event_ns


def trusted_ns(event_ns: int, recv_ns: int) -> int:
    """The exchange's time of something live, or that of the receipt where they differ more than clocks do."""
    return event_ns if -MAX_CLOCK_DIFFERENCE_NS <= event_ns - recv_ns <= MAX_CLOCK_DIFFERENCE_NS else recv_ns
