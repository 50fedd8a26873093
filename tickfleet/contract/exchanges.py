"""The exchanges whose streams there may be. What each of them can do is the fleet's to know."""

from tickfleet.contract.suggestions import did_you_mean
from tickfleet.errors import ExchangeNotSupportedError

EXCHANGES = ("binance", "okx")


def require_exchange(name: str) -> None:
    """See that there is such an exchange here.

    Raises:
        ExchangeNotSupportedError: There is none.
    """
    if name not in EXCHANGES:
        hint = f"{did_you_mean(name, EXCHANGES)} (supported: {', '.join(EXCHANGES)})"
        raise ExchangeNotSupportedError(f"exchange {name!r} is not supported{hint}")
