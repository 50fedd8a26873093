"""The XADD of a trade, written out by hand: the hottest line of the system; in C it would take three times as long."""

from tickfleet.contract.codec import encode_trade
from tickfleet.contract.events import Trade
from tickfleet.redis.protocol import pack_command

_2001, _2286 = 10**18, 10**19
"""Times between have nineteen digits."""


class _Texts(dict[int, str]):
    """Small numbers as texts: a lookup takes half the time of formatting."""

    def __missing__(self, number: int) -> str:
        return str(number)


_TEXT = _Texts((number, str(number)) for number in range(100))

_ENDS = {
    (side, origin): f"\r\n$4\r\nside\r\n${len(side)}\r\n{side}\r\n$6\r\norigin\r\n${len(origin)}\r\n{origin}\r\n"
    for side in ("buy", "sell")
    for origin in ("live", "backfill")
}


class TradeCommand:
    """Packs trades for one stream.

    Args:
        key: Of the stream.
        maxlen: Its bound.
    """

    def __init__(self, key: str, maxlen: int) -> None:
        self._command = ("XADD", key), ("XADD", key, "MAXLEN", "~", maxlen)
        bound = str(maxlen)
        command = f"$4\r\nXADD\r\n${len(key.encode())}\r\n{key}\r\n$"
        limit = f"6\r\nMAXLEN\r\n$1\r\n~\r\n${len(bound)}\r\n{bound}\r\n$"
        self.beginnings = f"*19\r\n{command}".encode(), f"*22\r\n{command}{limit}".encode()
        """What comes before the length of the entry id, without the bound and with it."""

    def pack(self, entry_id: str, trade: Trade, *, bounded: bool) -> bytes:
        """The command, equal to ``pack_command`` of ``encode_trade``; ``bounded``: with the stream's bound.

        Raises:
            UnicodeEncodeError: A text is not ASCII, so its length in bytes would differ.
        """
        if trade.count is not None or not (_2001 <= trade.ts_event < _2286 and _2001 <= trade.ts_recv < _2286):
            return pack_command((*self._command[bounded], entry_id, *encode_trade(trade)))
        trade_id, price, size = trade.trade_id, trade.price, trade.size
        return self.beginnings[bounded] + (
            f"{_TEXT[len(entry_id)]}\r\n{entry_id}\r\n$4\r\ntype\r\n$5\r\ntrade\r\n"
            f"$8\r\nts_event\r\n$19\r\n{trade.ts_event}\r\n$7\r\nts_recv\r\n$19\r\n{trade.ts_recv}\r\n"
            f"$8\r\ntrade_id\r\n${_TEXT[len(trade_id)]}\r\n{trade_id}\r\n"
            f"$5\r\nprice\r\n${_TEXT[len(price)]}\r\n{price}\r\n$4\r\nsize\r\n${_TEXT[len(size)]}\r\n{size}"
            f"{_ENDS[trade.side, trade.origin]}"
        ).encode("ascii")
