"""The manager's thresholds, each with its reason. One frozen value, passed to whoever decides."""

from msgspec import Struct


class ManagerSettings(Struct, frozen=True, kw_only=True):
    """Times in seconds.

    Attributes:
        round_every_s: Pace of the loop; the workers beat as often, so looking more often would show nothing new.
        ending_round_s: Its pace while supervisord shuts down. supervisord stops one group per turn of its own loop, and
            a turn lasts a second unless somebody speaks to it (measured): with many collectors our looks make it quick.
        hung_after_s: A heartbeat older than this means that the loop in the worker stands still. Ten missed beats.
        start_limit_s: A process may take this long from its start to data: interpreter, instruments, socket, replies.
        grace_s: A collector that was well stays so for this long while it reconnects, resubscribes or catches up:
            exchanges close sockets every day, and a blip is no news.
        socket_fresh_s: A frame within this time means that the socket lives: keepalives come every 20 s or so.
        restarts_max: Restarts allowed within ``restart_window_s``; one more parks the collector (Erlang's intensity).
        restart_window_s: See there.
        park_first_s: First pause of a parked collector; doubled each time, as Kubernetes does.
        park_max_s: The longest pause: what is mended outside is noticed within five minutes.
        forgive_after_s: Healthy for this long: the trouble before it is forgotten.
        starting_max: Collectors in their start at once, so that 200 do not ask for CPU and snapshots together.
        redis_settle_s: No process is called hung so soon after Redis came back: workers reconnect with backoff.
        late_after_s: A longer pause between two looks means that we were suspended; what we know may be old.
        look_may_take_s: A look may last longer by this: supervisord has that much time to answer it.
        clock_jump_s: Wall and monotonic clock apart by more than this between two rounds: one of them was set.
        late_settle_s: No process is called hung so soon after we were late: it may have been suspended with us.
        rekill_after_s: A killed process is given this long to be reaped before it is killed again.
        reapply_every_s: Pause between attempts to bring supervisord's programs in line with the fleet.
    """

    round_every_s: float = 1.0
    ending_round_s: float = 0.05
    hung_after_s: float = 10.0
    start_limit_s: float = 30.0
    grace_s: float = 10.0
    socket_fresh_s: float = 30.0
    restarts_max: int = 5
    restart_window_s: float = 60.0
    park_first_s: float = 10.0
    park_max_s: float = 300.0
    forgive_after_s: float = 600.0
    starting_max: int = 10
    redis_settle_s: float = 15.0
    late_after_s: float = 5.0
    look_may_take_s: float = 2.0
    clock_jump_s: float = 2.0
    late_settle_s: float = 5.0
    rekill_after_s: float = 5.0
    reapply_every_s: float = 10.0


NS_PER_S = 1_000_000_000


def to_ns(seconds: float) -> int:
    """Seconds as nanoseconds."""
    return round(seconds * NS_PER_S)
