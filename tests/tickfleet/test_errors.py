import pytest

from tickfleet import errors
from tickfleet.errors import FleetError, Recovery

FAMILY = {
    "FleetError": (Recovery.EXIT, 1),
    "InvalidConfigurationError": (Recovery.EXIT, 78),
    "ExchangeNotSupportedError": (Recovery.EXIT, 78),
    "UnknownSymbolError": (Recovery.EXIT, 78),
    "SubscriptionRefusedError": (Recovery.EXIT, 78),
    "NotServedHereError": (Recovery.EXIT, 78),
    "UsageError": (Recovery.EXIT, 2),
    "AlreadyCollectedError": (Recovery.EXIT, 2),
    "SupersededError": (Recovery.EXIT, 1),
    "RedisUnreachableError": (Recovery.RETRY, 3),
    "SupervisorUnreachableError": (Recovery.RETRY, 3),
    "UndecodableFrameError": (Recovery.SKIP, 1),
    "FeedError": (Recovery.RECONNECT, 1),
    "ConnectionLostError": (Recovery.RECONNECT, 1),
    "TurnedAwayError": (Recovery.RECONNECT, 1),
    "FeedSilentError": (Recovery.RECONNECT, 1),
    "SubscriptionTimeoutError": (Recovery.RECONNECT, 1),
    "InstrumentDoubtedError": (Recovery.RECONNECT, 1),
    "PlannedReconnect": (Recovery.RECONNECT, 1),
    "ExchangeUnavailableError": (Recovery.RETRY, 1),
    "NotTradedError": (Recovery.RETRY, 1),
    "PlaceRefusedError": (Recovery.RETRY, 1),
}


@pytest.mark.parametrize("name", FAMILY)
def test_a_class_says_what_to_do(name: str) -> None:
    kind: type[FleetError] = getattr(errors, name)

    assert issubclass(kind, FleetError)
    assert (kind.recovery, kind.exit_code) == FAMILY[name]


def test_the_family_is_complete_and_drawn_in_the_docstring() -> None:
    classes = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}

    assert classes == set(FAMILY)
    assert [name for name in classes if name not in str(errors.__doc__)] == []


def test_the_exit_codes_of_the_contract() -> None:
    assert (
        errors.EXIT_OK,
        errors.EXIT_FAILURE,
        errors.EXIT_USAGE,
        errors.EXIT_UNREACHABLE,
        errors.EXIT_BAD_CONFIGURATION,
    ) == (0, 1, 2, 3, 78)


@pytest.mark.parametrize("name", ["ExchangeNotSupportedError", "UnknownSymbolError", "SubscriptionRefusedError"])
def test_what_a_restart_cannot_cure_is_a_matter_of_configuration(name: str) -> None:
    assert issubclass(getattr(errors, name), errors.InvalidConfigurationError)
