"""Which channel lives on which path and what it is asked for (sheet, sections 1, 3 and 4)."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import msgspec

from tests.simulator.okx_bars import BARS

PUBLIC = "/ws/v5/public"
BUSINESS = "/ws/v5/business"
PATHS = (PUBLIC, BUSINESS)
INST_TYPES = ("SPOT", "MARGIN", "SWAP", "FUTURES", "OPTION")


class Arg(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """What a client subscribes to, as it is in requests, acks and frames. Unknown members are dropped."""

    channel: str
    inst_id: str | None = None
    inst_type: str | None = None
    inst_family: str | None = None
    uly: str | None = None


class _Target(Enum):
    """What an arg must name."""

    INSTRUMENT = "an existing instId"
    TYPE = "an instType"
    NOTHING = "nothing"
    LOGIN = "nothing that would help: the channel needs a login"


_DATA = {
    PUBLIC: ("tickers", "trades", "books", "books5", "bbo-tbt"),
    BUSINESS: ("trades-all", *(f"candle{bar}" for bar in sorted(BARS))),
}
_SILENT = {
    PUBLIC: ("books-rpi", "funding-rate", "open-interest", "mark-price", "index-tickers", "price-limit"),
    BUSINESS: tuple(f"{kind}-candle{bar}" for kind in ("mark-price", "index") for bar in sorted(BARS)),
}
"""Channels that exist, so they are acknowledged, but carry nothing here."""

CHANNELS: dict[str, tuple[str, _Target]] = {
    **{name: (path, _Target.INSTRUMENT) for path, names in _DATA.items() for name in names},
    **{name: (path, _Target.INSTRUMENT) for path, names in _SILENT.items() for name in names},
    **dict.fromkeys(
        ("instruments", "liquidation-orders", "adl-warning", "opt-summary", "option-trades"), (PUBLIC, _Target.TYPE)
    ),
    "status": (PUBLIC, _Target.NOTHING),
    "books-l2-tbt": (PUBLIC, _Target.LOGIN),
    "books50-l2-tbt": (PUBLIC, _Target.LOGIN),
}


def canonical(arg: Arg) -> Arg:
    """The arg without members that its channel does not ask for; frames are matched and labelled by it."""
    _, target = CHANNELS.get(arg.channel, (None, None))
    if target is _Target.INSTRUMENT:
        return Arg(arg.channel, inst_id=arg.inst_id)
    if target is _Target.NOTHING:
        return Arg(arg.channel)
    return arg


def refusal(path: str, arg: Arg, exists: Callable[[str], bool]) -> tuple[str, str] | None:
    """Why an arg cannot be subscribed on a path, as (code, message); None if it can.

    Args:
        path: Path of the connection.
        arg: What is asked for.
        exists: Whether an instId exists.
    """
    if arg.uly is not None:
        return "64000", "The uly parameter is no longer supported, please use instFamily."
    home, target = CHANNELS.get(arg.channel, (None, None))
    if home is None:
        return _no_such(arg)
    if home != path:
        return "64001", f"This channel has been migrated to {home}. Please subscribe using the new URL."
    if target is _Target.LOGIN:
        return "60011", "Please log in"
    if target is _Target.TYPE and arg.inst_type not in INST_TYPES:
        return _no_such(arg)
    if target is _Target.INSTRUMENT and (arg.inst_id is None or not exists(arg.inst_id)):
        return _no_such(arg)
    return None


def _no_such(arg: Arg) -> tuple[str, str]:
    target = arg.inst_id or arg.inst_type
    return "60018", (
        f"Wrong URL or channel:{arg.channel},instId:{target} doesn't exist. "
        "Please use the correct URL, channel and parameters referring to API document."
    )
