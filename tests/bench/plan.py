"""How much is measured."""

from msgspec import Struct

from common.config.collector import DEFAULT_TRANSPORT, TRANSPORTS

RATE = 1_000
"""Frames per second at which we are compared with others."""


class Plan(Struct, frozen=True, kw_only=True):
    """Amounts of all scenarios; the defaults are those of a full run, about twenty minutes.

    Attributes:
        transports: Of a collector; the first is that of comparisons.
        rounds: How often a short measurement is repeated; its figures are medians.
        burst_trades: Trades of a burst.
        rates: Frames per second of the steady measurements.
        warm_s: How long a steady load runs before it is measured.
        steady_s: How long it is measured.
        book_rates: Updates of a book per second.
        memory_trades: Trades that go through a collector to see whether it grows.
        idle_s: How long it does nothing before its memory is read.
        starts: How often a collector is started.
        adapter_frames: Frames of each kind that go through an adapter.
        subscriber_trades: Trades in the stream that is read.
        peer_steady_s: As ``steady_s``, for the peer and us in turn.
        latency_turns: How often each takes its turn where latencies are compared.
        latency_s: How long it is measured in each.
        fleet_sizes: Collectors of each fleet.
        fleet_frames_per_s: Frames per second of each of its collectors.
        fleet_steady_s: How long a fleet is measured while its feeds send.
        fleet_idle_s: How long while they rest.
    """

    transports: tuple[str, ...] = (DEFAULT_TRANSPORT, *(name for name in TRANSPORTS if name != DEFAULT_TRANSPORT))
    rounds: int = 3
    burst_trades: int = 200_000
    rates: tuple[int, ...] = (100, 1_000, 5_000)
    warm_s: float = 3.0
    steady_s: float = 10.0
    book_rates: tuple[int, ...] = (10, 100)
    memory_trades: int = 1_000_000
    idle_s: float = 5.0
    starts: int = 10
    adapter_frames: int = 20_000
    subscriber_trades: int = 200_000
    peer_steady_s: float = 12.0
    latency_turns: int = 7
    latency_s: float = 5.0
    fleet_sizes: tuple[int, ...] = (1, 10, 50, 100, 200)
    fleet_frames_per_s: float = 20.0
    fleet_steady_s: float = 20.0
    fleet_idle_s: float = 10.0


FULL = Plan()

QUICK = Plan(
    rounds=1,
    burst_trades=50_000,
    rates=(1_000,),
    warm_s=1.0,
    steady_s=2.0,
    book_rates=(100,),
    memory_trades=100_000,
    idle_s=1.0,
    starts=2,
    adapter_frames=5_000,
    subscriber_trades=20_000,
    peer_steady_s=2.0,
    latency_turns=2,
    latency_s=2.0,
    fleet_sizes=(1, 10),
    fleet_steady_s=5.0,
    fleet_idle_s=3.0,
)
"""Enough to see that everything works; its figures mean little."""
