"""The compiled modules, if they could be built."""

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collector_worker.fastpath.sender import Sender
    from collector_worker.fastpath.trade_parser import FrameEntry, TradeParser


class Compiled(NamedTuple):
    """The classes in them."""

    frame_entry: "type[FrameEntry]"
    parser: "type[TradeParser]"
    sender: "type[Sender]"


def compiled() -> Compiled | None:
    """The compiled classes; None if there was no C compiler at the installation."""
    try:
        parser, sender = (import_module(f"{__package__}.{name}") for name in ("trade_parser", "sender"))
    except ImportError:
        return None
    return Compiled(parser.FrameEntry, parser.TradeParser, sender.Sender)
