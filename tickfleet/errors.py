"""All errors of the project. The class says how to react; the message says what is wrong, where, and what to fix.

FleetError
 +- InvalidConfigurationError    exit 78: the operator must change something, a restart cannot help
 |   +- ExchangeNotSupportedError
 |   +- UnknownSymbolError
 |   +- SubscriptionRefusedError
 |   +- NotServedHereError
 +- UsageError                   exit 2: a command was called wrongly
 |   +- AlreadyCollectedError    exit 2: in the foreground, where another run collects the same
 +- SupersededError              exit 1: a newer run of this collector writes now
 +- RedisUnreachableError        exit 3: no answer from Redis
 +- SupervisorUnreachableError   exit 3: no answer from supervisord
 +- UndecodableFrameError        skip: count it, keep a sample, go on
 +- FeedError                    reconnect: this socket is of no more use, a new one may be
 |   +- ConnectionLostError, FeedSilentError, SubscriptionTimeoutError, InstrumentDoubtedError, PlannedReconnect
 |       +- TurnedAwayError
 +- ExchangeUnavailableError     retry later: the exchange's REST does not answer as it should
     +- NotTradedError, PlaceRefusedError

Messages of this family are written by us and carry no text from outside except names the operator gave and short
codes and states of an exchange, so they may go into a heartbeat; the text of foreign exceptions goes to the log only
(``exc_info``).
"""

from enum import Enum
from typing import ClassVar

EXIT_OK = 0
EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3
EXIT_BAD_CONFIGURATION = 78  # EX_CONFIG of sysexits.h; supervisord has the order not to restart it


class Recovery(Enum):
    """What the code that catches an error should do."""

    SKIP = "skip"
    RETRY = "retry"
    RECONNECT = "reconnect"
    EXIT = "exit"


class FleetError(Exception):
    """Base of all errors raised here."""

    recovery: ClassVar[Recovery] = Recovery.EXIT
    exit_code: ClassVar[int] = EXIT_FAILURE


class InvalidConfigurationError(FleetError):
    """A setting cannot work as it is."""

    exit_code = EXIT_BAD_CONFIGURATION


class ExchangeNotSupportedError(InvalidConfigurationError):
    """There is no adapter for the named exchange."""


class UnknownSymbolError(InvalidConfigurationError):
    """The exchange's instrument list does not have the symbol, or the exchange does not trade it now."""


class SubscriptionRefusedError(InvalidConfigurationError):
    """The exchange refused a channel for a reason that will not go away by itself."""


class NotServedHereError(InvalidConfigurationError):
    """The exchange does not serve this machine's location, and has said so twice."""


class UsageError(FleetError):
    """A command was given arguments it cannot use."""

    exit_code = EXIT_USAGE


class AlreadyCollectedError(UsageError):
    """Another run collects the same, and the caller has not asked to end it."""


class SupersededError(FleetError):
    """A newer run of the same collector has begun; this run must not write any more."""


class RedisUnreachableError(FleetError):
    """Redis does not answer, or refuses to work for us."""

    recovery = Recovery.RETRY
    exit_code = EXIT_UNREACHABLE


class SupervisorUnreachableError(FleetError):
    """supervisord does not answer on its socket."""

    recovery = Recovery.RETRY
    exit_code = EXIT_UNREACHABLE


class UndecodableFrameError(FleetError):
    """A frame is not what the exchange's protocol allows."""

    recovery = Recovery.SKIP


class FeedError(FleetError):
    """A socket has ended or is of no more use."""

    recovery = Recovery.RECONNECT


class ConnectionLostError(FeedError):
    """The socket could not be opened, or was closed by the other side or the network."""


class TurnedAwayError(ConnectionLostError):
    """The handshake of a socket was answered with an HTTP status.

    Attributes:
        ban_s: How long no process of this machine may connect; None: the answer did not say.
        moved_to: The WebSocket address of the redirect; empty if there is none that may be followed.
        final: If the exchange gives this answer twice, another try cannot help.
    """

    def __init__(self, message: str, ban_s: float | None = None, moved_to: str = "", *, final: bool = False) -> None:
        super().__init__(message)
        self.ban_s = ban_s
        self.moved_to = moved_to
        self.final = final


class FeedSilentError(FeedError):
    """The socket is open but what must arrive does not."""


class SubscriptionTimeoutError(FeedError):
    """The exchange has not answered a subscription in time, or asked us to come back later."""


class InstrumentDoubtedError(FeedError):
    """The exchange denies an instrument although it has sent its data; its list of instruments decides."""


class PlannedReconnect(FeedError):  # noqa: N818 - nothing went wrong: the exchange announced it
    """The exchange has announced that it will close this socket."""


class ExchangeUnavailableError(FleetError):
    """A REST call failed, timed out, or was turned away for now."""

    recovery = Recovery.RETRY


class PlaceRefusedError(ExchangeUnavailableError):
    """A REST answer says that the exchange does not serve this machine's location.

    One of the exchange's servers may be wrong, so one answer does not end a run: see ``NotServedHereError``. After the
    start, REST answers never end a run: the data come by sockets, and only a handshake that is refused twice for this
    reason ends it.
    """


class NotTradedError(ExchangeUnavailableError):
    """The exchange lists the symbol but does not trade it now; this may change.

    Attributes:
        state: The exchange's own word for it.
    """

    def __init__(self, message: str, state: str) -> None:
        super().__init__(message)
        self.state = state
