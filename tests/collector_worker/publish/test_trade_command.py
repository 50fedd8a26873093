import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from collector_worker.publish.trade_command import TradeCommand
from tests.support.strategies import decimals, times
from tickfleet.contract.codec import encode_trade
from tickfleet.contract.events import Trade
from tickfleet.redis.protocol import pack_command

KEYS = ("md:v1:{okx:BTC-USDT}:trade", "md:v1:{binance:币安人生-USDT}:trade")

numbers = st.integers(0, 10**30).map(str)
trades = st.builds(
    Trade,
    ts_event=times | st.integers(10**18 - 1, 10**19),
    ts_recv=times | st.integers(10**18 - 1, 10**19),
    trade_id=numbers,
    price=decimals | st.just("1" * 200),
    size=decimals,
    side=st.sampled_from(["buy", "sell"]),
    origin=st.sampled_from(["live", "backfill"]),
    count=st.none() | numbers,
)


@given(st.sampled_from(KEYS), trades, numbers, st.integers(1, 10**9), st.booleans())
def test_it_is_the_command_that_the_packer_makes(
    key: str, trade: Trade, entry_id: str, maxlen: int, bounded: bool
) -> None:
    packed = TradeCommand(key, maxlen).pack(entry_id, trade, bounded=bounded)
    bound = ("MAXLEN", "~", maxlen) if bounded else ()
    assert packed == pack_command(("XADD", key, *bound, entry_id, *encode_trade(trade)))


@pytest.mark.parametrize("changed", [{"price": "\u0661"}, {"size": "\xe9"}, {"trade_id": "\u20ac"}])
def test_a_text_whose_length_would_be_wrong_is_refused(changed: dict[str, str]) -> None:
    now = 1_767_225_600_000_000_000
    trade = replace(Trade(now, now, "1", "1", "1", "buy"), **changed)
    with pytest.raises(UnicodeEncodeError):
        TradeCommand(KEYS[0], 1).pack("1-1", trade, bounded=True)
