from msgspec.structs import replace

from collector_worker.integrity.tickers import TickerGate
from tickfleet.contract.events import Ticker


def test_the_latest_ticker_wins() -> None:
    gate, ticker = TickerGate(), Ticker(ts_event=5, ts_recv=6)

    times = (5, 5, 4, 6, 5, 7)
    assert [gate.admits(replace(ticker, ts_event=time)) for time in times] == [True, True, False, True, False, True]
