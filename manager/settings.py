"""The manager's thresholds, each with its reason. One frozen value, passed to whoever decides."""

from msgspec import Struct
from msgspec.structs import replace

from common.config.manager_limits import Tuning


class ManagerSettings(Struct, frozen=True, kw_only=True):
    """Times in seconds. Those that ``common.config.manager_limits`` names can be set in the fleet file.

    Attributes:
        round_every_s: Pace of the loop; the workers beat as often, so looking more often would show nothing new.
        ending_round_s: Its pace while supervisord shuts down. supervisord stops one group per turn of its own loop, and
            a turn lasts a second unless somebody speaks to it (measured): with many collectors our looks make it quick.
        hung_after_s: A heartbeat older than this means that the loop in the worker hangs. Ten missed beats.
        start_limit_s: A process may take this long from its start to data: interpreter, instruments, socket, replies.
            Where more than ``starting_max`` start at once it is longer in proportion: they share the processors.
        grace_s: A collector that was well stays so for this long while it reconnects, resubscribes or catches up:
            exchanges close sockets every day, and a blip is no news.
        blip_s: It stays so for this long in any silence, too: a trade may be here a moment before the ticker that
            follows from it.
        socket_fresh_s: A frame within this time means that the socket lives: keepalives come every 20 s or so.
        look_holds_s: A look by REST that found nothing newer proves a quiet market for so long: workers look again at
            least every 600 s.
        silent_confirm_s: A silence must have lasted so long, beyond all limits, before a restart: the worker looks and
            reconnects by itself first.
        recoveries_max: Restarts of a hung or silent collector that may fail to hold in a row; then it needs a person.
        restarts_max: Restarts allowed within ``restart_window_s``; one more parks the collector (Erlang's intensity).
        restart_window_s: The time in which ``restarts_max`` counts.
        park_first_s: First pause of a parked collector; doubled each time, as Kubernetes does.
        park_max_s: The longest pause: what is mended outside is noticed within five minutes.
        forgive_after_s: Healthy for this long: the trouble before it is forgotten.
        starting_max: Collectors in their start at once, so that 200 do not ask for CPU and snapshots together. An
            exchange has its share of that to itself.
        outage_fraction: An exchange is out when more than this part of its collectors is silent, of those that tell.
        outage_least: An exchange is out only when at least so many are silent: one alone proves nothing.
        flow_fresh_s: A collector tells that its exchange works while it has got data within this time.
        outage_settle_s: After an outage the collectors reconnect by themselves; no other outage begins so soon, and
            those still silent are given ``silent_confirm_s`` from the end on.
        probe_first_s: In an outage one collector is restarted after this time, another after twice that, and so on.
        probe_max_s: The longest pause between two such probes.
        settle_s: A heartbeat that is missing proves nothing so soon after Redis came back or we did, and nothing that
            lives is killed or restarted: a worker needs up to 5 s to see that a connection is dead, 2 s between two
            attempts, 2 s to connect and 1 s to its next beat; the rest is for one that has much to write first.
        late_after_s: A longer pause between two looks means that we were suspended; what we know may be old.
        look_may_take_s: A look may last longer by this: supervisord has that much time to answer it.
        clock_jump_s: Wall and monotonic clock apart by more than this between two rounds: one of them was set.
        rekill_after_s: A killed process is given this long to be reaped before it is killed again.
        reapply_every_s: Pause between attempts to bring supervisord's programs in line with the fleet.
        figures_every_s: Pause between two surveys of the figures.
        redis_away_alert_s: Redis is away for so long: the collectors' memory for it is bounded, a person should know.
        no_writes_alert_s: Redis takes no writes for so long: a failover is over sooner.
        realert_after_s: The same alert is not sent again sooner, unless what it was about was over in between.
    """

    round_every_s: float = 1.0
    ending_round_s: float = 0.05
    hung_after_s: float = 10.0
    start_limit_s: float = 30.0
    grace_s: float = 10.0
    blip_s: float = 3.0
    socket_fresh_s: float = 30.0
    look_holds_s: float = 900.0
    silent_confirm_s: float = 60.0
    recoveries_max: int = 3
    restarts_max: int = 5
    restart_window_s: float = 60.0
    park_first_s: float = 10.0
    park_max_s: float = 300.0
    forgive_after_s: float = 600.0
    starting_max: int = 10
    outage_fraction: float = 0.5
    outage_least: int = 2
    flow_fresh_s: float = 30.0
    outage_settle_s: float = 60.0
    probe_first_s: float = 30.0
    probe_max_s: float = 300.0
    settle_s: float = 15.0
    late_after_s: float = 5.0
    look_may_take_s: float = 2.0
    clock_jump_s: float = 2.0
    rekill_after_s: float = 5.0
    reapply_every_s: float = 10.0
    figures_every_s: float = 5.0
    redis_away_alert_s: float = 60.0
    no_writes_alert_s: float = 20.0
    realert_after_s: float = 3600.0

    @property
    def unwatched_s(self) -> float:
        """After a longer pause between two answers of Redis, heartbeats count as not watched.

        Half of ``hung_after_s``: a collector that beat until the pause cannot look hung before our next look.
        """
        return self.hung_after_s / 2


def tuned(tuning: Tuning, settings: ManagerSettings) -> ManagerSettings:
    """The settings with what the fleet file says in place of the defaults."""
    return replace(settings, **tuning.given())


NS_PER_S = 1_000_000_000


def to_ns(seconds: float) -> int:
    """Seconds as nanoseconds."""
    return round(seconds * NS_PER_S)
