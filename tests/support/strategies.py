"""What properties are tested with: any event that the types allow."""

from hypothesis import strategies as st

from tickfleet.contract.events import (
    BookDelta,
    BookSnapshot,
    Candle,
    Event,
    FeedState,
    FeedStatus,
    Gap,
    Level,
    Ticker,
    Trade,
)

texts = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\ufffd"), max_size=20),
    st.sampled_from(["", "null", "0", "1.0", "true", "[]", "é", '"\\', "\x00\n"]),
)
"""Texts as they may stand in a field, also those that look like something else."""

times = st.integers(0, 2**63 - 1)
numbers = st.integers(-(2**63) + 1, 2**63 - 1)
decimals = st.decimals(0, 10**9, places=8).map(lambda number: format(number, "f"))
prices = decimals | decimals.map("-{}".format)
levels = st.lists(st.builds(Level, prices, decimals), max_size=4)
_maybe_text = st.none() | texts
_maybe_time = st.none() | times
_maybe_number = st.none() | numbers

trades = st.builds(
    Trade,
    times,
    times,
    texts,
    prices,
    decimals,
    st.sampled_from(["buy", "sell"]),
    st.sampled_from(["live", "backfill"]),
) | st.builds(Trade, times, times, texts, prices, decimals, st.just("sell"), st.just("live"), texts)
snapshots = st.builds(
    BookSnapshot,
    ts_event=times,
    ts_recv=times,
    bids=levels,
    asks=levels,
    reason=texts,
    seq=_maybe_number,
    prev_seq=_maybe_number,
)
deltas = st.builds(
    BookDelta, ts_event=times, ts_recv=times, bids=levels, asks=levels, seq=_maybe_number, prev_seq=_maybe_number
)
_TICKER_TEXTS = [name for name in Ticker.__struct_fields__ if not name.startswith("ts_")]
tickers = st.builds(Ticker, ts_event=times, ts_recv=times, **dict.fromkeys(_TICKER_TEXTS, st.none() | decimals))
candles = st.builds(
    Candle,
    ts_event=times,
    ts_recv=times,
    interval=texts,
    open_time=times,
    close_time=times,
    open=prices,
    high=prices,
    low=prices,
    close=prices,
    volume=decimals,
    quote_volume=st.none() | decimals,
    closed=st.booleans(),
)
gaps = st.builds(
    Gap,
    ts_event=times,
    ts_recv=times,
    reason=texts,
    from_id=_maybe_text,
    to_id=_maybe_text,
    from_ts=_maybe_time,
    to_ts=_maybe_time,
)
statuses = st.builds(FeedStatus, ts_event=times, ts_recv=times, state=st.sampled_from(FeedState), reason=texts)

events: st.SearchStrategy[Event] = st.one_of(trades, snapshots, deltas, tickers, candles, gaps, statuses)
"""Any event."""
