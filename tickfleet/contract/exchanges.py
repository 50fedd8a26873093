"""The known exchanges, and how each spells assets. What an exchange offers is in the fleet's configuration package."""

import unicodedata
from string import ascii_lowercase

from msgspec import Struct

from tickfleet.contract.suggestions import did_you_mean
from tickfleet.errors import ExchangeNotSupportedError

MAX_ASSET_CHARACTERS = 20


class AssetGrammar(Struct, frozen=True):
    """How an exchange spells asset names, within the contract's limits. Its own list says which assets exist.

    Attributes:
        never: Characters that appear in none of its names.
        all_capitals: Names have no lower-case letter of any script.
    """

    never: str = ""
    all_capitals: bool = False

    def admits(self, asset: str) -> bool:
        """Whether an asset may have this name.

        The contract admits letters, digits and marks of any script, ``_`` and ``.``. It admits no character that has a
        meaning in an id, a Redis key or a pattern.
        """
        return (
            len(asset) <= MAX_ASSET_CHARACTERS
            and all(sign in "_." or unicodedata.category(sign)[0] in "LMN" for sign in asset)
            and not any(sign in self.never for sign in asset)
            and not (self.all_capitals and any(unicodedata.category(sign) == "Ll" for sign in asset))
        )

    @property
    def capitals(self) -> bool:
        """Whether names have no lower-case ``a`` to ``z``, so that ``btc`` can only mean ``BTC``."""
        return not self.admits("a")


ANY_ASSET = AssetGrammar()
"""Of an exchange that we know nothing of: Hyperliquid lists ``kPEPE``, Kraken ``AAPLx``."""

ASSETS = {
    # Binance states the range of a symbol in its refusal of one (-1100): any script, no small letters of ours.
    "binance": AssetGrammar(never=ascii_lowercase),
    # "Instrument ids are upper case" (OKX sheet, section 3); families have a "_" (USD_UM_XPERP).
    "okx": AssetGrammar(all_capitals=True),
}
"""By exchange. A reader asks it too: a misspelt id is refused, not waited for."""

EXCHANGES = tuple(ASSETS)


def assets_of(exchange: str) -> AssetGrammar:
    """How an exchange spells assets; for an unknown exchange, everything that the contract admits."""
    return ASSETS.get(exchange, ANY_ASSET)


def require_exchange(name: str) -> None:
    """Check that the exchange is known here.

    Raises:
        ExchangeNotSupportedError: There is none.
    """
    if name not in EXCHANGES:
        hint = f"{did_you_mean(name, EXCHANGES)} (supported: {', '.join(EXCHANGES)})"
        raise ExchangeNotSupportedError(f"exchange {name!r} is not supported{hint}")
