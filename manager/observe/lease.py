"""Of several managers only one acts: the one that holds the lease in Redis. The others look on and wait for it.

Two managers run after a mistake: a second supervisord, or a manager started by hand. The lease expires within seconds
after its holder ends; a holder that stops in order releases it.
"""

import os
import secrets
import socket

from common.process.log import get_logger
from common.redis.redis_py import KeyRefusedError, claim, disclaim, translated_errors
from manager.observe.poller import RedisLink
from tickfleet._util.clock import Clock
from tickfleet.contract import keys

_TTL_S = keys.FLEET_LEASE_TTL_MS / 1000
TOLD_AFTER_S = _TTL_S + 2.0
"""After this time it is certain that another manager lives: a lease left by a dead manager has expired."""


class Lease:
    """Says whether this manager may act: because it holds the lease, or because no manager can.

    If Redis does not let us use the key (it holds something else, Redis is full), nothing changes: the leader continues
    to lead, and a manager on standby stays there. If no leader is known, we lead: a fleet that nobody heals is worse
    than one that two managers heal. The price: if the holder ends while the key cannot be used, managers on standby do
    not notice. Then nobody leads until the key can be used again or a manager is restarted; ``trouble`` says why.

    Attributes:
        holder: The other manager that was last seen to hold it, ``host:pid:...``; empty while none does.
        trouble: Why the lease cannot be used, a phrase; empty while it can.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._token = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(6)}"
        self._held = self._unprotected = False
        self._until_s = float("-inf")
        self._waiting_since_s: float | None = None
        self.holder = self.trouble = ""

    @property
    def leading(self) -> bool:
        """Whether we led when Redis was last asked; while it is away nobody else can begin to."""
        return self._held

    @property
    def may_act(self) -> bool:
        """Whether we lead at this moment: after a pause the lease may have expired under us."""
        return self._held and (self._unprotected or self._clock.monotonic_s() < self._until_s)

    @property
    def standing_by(self) -> bool:
        """Whether it is certain that another manager leads."""
        waiting_s = self._clock.monotonic_s() - (self._waiting_since_s or 0.0)
        return self._waiting_since_s is not None and waiting_s > TOLD_AFTER_S

    async def hold(self, link: RedisLink) -> bool:
        """Take the lease or renew it; whether we lead.

        Raises:
            RedisUnreachableError: Redis does not answer.
        """
        asked_s = self._clock.monotonic_s()
        try:
            with translated_errors(link.config):
                holder = await claim(link.client, keys.FLEET_LEASE, self._token, keys.FLEET_LEASE_TTL_MS)
        except KeyRefusedError as error:
            if not self.trouble:
                get_logger().error("lease_unusable", why=str(error), exc_info=error)
            self.trouble = str(error)
            self._held = self._unprotected = self._held or not self.holder
            return self._held
        self.trouble, self._unprotected = "", False
        led, self._held = self._held, holder == self._token
        if led != self._held:
            get_logger().info("lease_taken" if self._held else "lease_lost", holder=holder)
        if self._held:
            self._until_s, self._waiting_since_s, self.holder = asked_s + _TTL_S, None, ""
        else:
            self._waiting_since_s = asked_s if self._waiting_since_s is None else self._waiting_since_s
            self.holder = holder or self.holder
        return self._held

    def stand_back(self) -> None:
        """Do not ask for the lease: the leader has another fleet, and we are no standby for that fleet."""
        self._held = self._unprotected = False
        self._waiting_since_s = None

    async def release(self, link: RedisLink) -> None:
        """Release the lease, so that another manager has it at once. Errors as in ``hold``, and KeyRefusedError."""
        if self._held:
            with translated_errors(link.config):
                await disclaim(link.client, keys.FLEET_LEASE, self._token)
