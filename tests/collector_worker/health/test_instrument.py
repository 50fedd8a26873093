"""What becomes of an instrument while it is collected: in its hash, in the heartbeat, in the log."""

import asyncio
import json
from collections.abc import Callable
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

import collector_worker.health.instrument as module
from collector_worker.exchanges import ExchangeFactory
from collector_worker.exchanges.adapter import Instrument
from collector_worker.health.instrument import InstrumentWatch, Rhythm
from collector_worker.integrity.book_sync import BookSync
from collector_worker.telemetry.telemetry import Telemetry
from common.config.collector import ExchangeCollectorConfig
from tests.support.clock import ManualClock
from tests.support.pipeline_rig import RecordingPublisher
from tests.support.shelf import shelf
from tests.support.waiting import until
from tickfleet.contract.health import WorkerState
from tickfleet.contract.identity import DataType
from tickfleet.errors import ExchangeUnavailableError

FACTS = {
    "contract_value": "", "contract_multiplier": "", "contract_currency": "", "contract_type": "",
    "settle_currency": "", "listed_at_ms": "", "expires_at_ms": "",
}  # fmt: skip
OKX_FACTS = {
    "symbol": "BTC-USDT", "native": "BTC-USDT", "state": "live", "tick_size": "0.1", "lot_size": "0.001",
    "min_size": "0.01", **FACTS,
}  # fmt: skip
BINANCE_FACTS = {**OKX_FACTS, "native": "BTCUSDT", "state": "TRADING"}
BUSY = ExchangeUnavailableError("busy")
SYMBOL_IS_GONE = b'{"code":-1121,"msg":"Invalid symbol."}'


def okx(code: str = "0", state: str = "live", tick: str = "0.1", *, listed: bool = True) -> bytes:
    row = {
        "instId": "BTC-USDT", "instType": "SPOT", "baseCcy": "BTC", "quoteCcy": "USDT", "state": state, "tickSz": tick,
        "lotSz": "0.001", "minSz": "0.01",
    }  # fmt: skip
    return json.dumps({"code": code, "data": [row] if listed else []}).encode()


def binance(status: str = "TRADING", tick: str = "0.1", *, listed: bool = True) -> bytes:
    filters = [
        {"filterType": "PRICE_FILTER", "tickSize": tick},
        {"filterType": "LOT_SIZE", "stepSize": "0.001", "minQty": "0.01"},
    ]
    row = {"symbol": "BTCUSDT", "status": status, "baseAsset": "BTC", "quoteAsset": "USDT", "filters": filters}
    return json.dumps({"symbols": [row] if listed else []}).encode()


class Rig:
    """A watch over an instrument of one of the exchanges, which answers what the test says."""

    def __init__(
        self, exchange: str, *answers: bytes | Exception, random: Random | None = None, opening: bool = False
    ) -> None:
        clock = ManualClock()
        config = ExchangeCollectorConfig(exchange, "BTC-USDT", (DataType.TRADE,))
        self.telemetry = Telemetry(config, clock.now_ns())
        self.telemetry.feed_is("public", WorkerState.RUNNING, 1)
        self.telemetry.heard("public")
        self.publisher = RecordingPublisher(self.telemetry, clock)
        self.rest = shelf(*answers)
        facts = OKX_FACTS if exchange == "okx" else BINANCE_FACTS
        made = ExchangeFactory.create_collector(config)
        self.book = BookSync(made.book_checksum, made.checksum_depth, crossed_is_legal=opening)
        context = (
            self.book,
            made,
            self.rest,
            self.publisher,
            self.telemetry,
            random or Random(1),
            Rhythm(every_s=0, soon_s=0),
        )
        self.watch = InstrumentWatch(config.id, Instrument(**facts, crossed_is_legal=opening), *context)

    async def logs_of_run(self) -> list[dict[str, Any]]:
        """Let the watch take all the answers; what it logs of them."""
        with capture_logs() as logs:
            taken = len(self.rest.requests) + len(self.rest.answers)
            task = asyncio.create_task(self.watch.run())
            await until(lambda: len(self.rest.requests) > taken)  # the next question comes behind what an answer led to
            task.cancel()
            await asyncio.wait([task])
        return [{name: value for name, value in line.items() if name != "log_level"} for line in logs]

    @property
    def facts(self) -> list[dict[str, Any]]:
        """What was written into the hash, each time."""
        return [dict(fields) for key, fields in self.publisher.hashes if key.endswith("}:instrument")]

    @property
    def state(self) -> tuple[WorkerState, str]:
        beat = self.telemetry.snapshot(1, 0.0)
        return beat.state, beat.last_error


async def test_the_hash_is_written_at_the_start() -> None:
    rig = Rig("okx")
    rig.watch.publish()
    assert rig.publisher.hashes == [("md:v1:{okx:BTC-USDT}:instrument", OKX_FACTS)]


@pytest.mark.parametrize(
    ("exchange", "answer", "facts", "path", "units"),
    [
        ("okx", okx, OKX_FACTS, "/api/v5/public/instruments?instType=SPOT&instId=BTC-USDT", 1.0),
        ("binance", binance, BINANCE_FACTS, "/api/v3/exchangeInfo?symbol=BTCUSDT", 20.0),
    ],
)
async def test_what_changes_is_written_and_logged(
    exchange: str, answer: Callable[..., bytes], facts: dict[str, str], path: str, units: float
) -> None:
    rig = Rig(exchange, answer(), answer(tick="0.01"), answer(tick="0.01"))
    logs = await rig.logs_of_run()
    assert rig.facts == [facts, {**facts, "tick_size": "0.01"}, {**facts, "tick_size": "0.01"}]
    assert rig.rest.requests == [(path, units)] * 4
    assert logs == [{"event": "instrument_changed", "tick_size": "0.01"}]
    assert rig.state == (WorkerState.RUNNING, "")


NOT_TRADED = {
    "suspended at OKX": ("okx", okx(state="suspend"), okx(), "suspend",
                         "OKX does not trade BTC-USDT now (its state is 'suspend')"),
    "gone from OKX": ("okx", okx("51001"), okx(), "delisted", "OKX lists no instrument for symbol BTC-USDT"),
    "expired at OKX": ("okx", okx(state="expired"), okx(), "delisted", "OKX lists no instrument for symbol BTC-USDT"),
    "halted at Binance": ("binance", binance("HALT"), binance(), "HALT",
                          "Binance does not trade BTC-USDT now (its status is 'HALT')"),
    "gone from Binance": ("binance", SYMBOL_IS_GONE, binance(), "delisted",
                          "Binance lists no instrument for symbol BTC-USDT"),
    "left out by Binance": ("binance", binance(listed=False), binance(), "delisted",
                            "Binance lists no instrument for symbol BTC-USDT"),
}  # fmt: skip


@pytest.mark.parametrize(("exchange", "gone", "back", "state", "why"), NOT_TRADED.values(), ids=NOT_TRADED)
async def test_a_symbol_that_is_not_traded_any_more_degrades_and_does_not_end(
    exchange: str, gone: bytes, back: bytes, state: str, why: str
) -> None:
    rig = Rig(exchange, gone, gone)
    logs = await rig.logs_of_run()
    facts = OKX_FACTS if exchange == "okx" else BINANCE_FACTS
    assert rig.facts == [{**facts, "state": state}] * 2  # all of it, so that none is lost where Redis is away
    assert rig.state == (WorkerState.RUNNING, why)
    assert logs == [{"event": "instrument_changed", "state": state}]

    rig.rest.answers.append(back)
    logs = await rig.logs_of_run()
    assert rig.facts[2:] == [facts]
    assert rig.state[0] is WorkerState.RUNNING
    assert logs == [{"event": "instrument_changed", "state": facts["state"]}]


@pytest.mark.parametrize(
    "useless", [BUSY, b"", b"<html>", okx("50011"), okx(listed=False)], ids=["busy", "empty", "html", "limit", "no row"]
)
async def test_an_answer_that_is_of_no_use_harms_nothing(useless: bytes | Exception) -> None:
    rig = Rig("okx", useless, okx(tick="5"))
    logs = await rig.logs_of_run()
    assert rig.facts == [{**OKX_FACTS, "tick_size": "5"}]
    assert [line["event"] for line in logs] == ["instrument_unasked", "instrument_changed"]
    assert rig.state == (WorkerState.RUNNING, "")


async def test_a_useless_answer_says_nothing_of_a_symbol_that_was_gone() -> None:
    rig = Rig("okx", okx("51001"), BUSY)
    await rig.logs_of_run()
    assert rig.state == (WorkerState.RUNNING, "OKX lists no instrument for symbol BTC-USDT")


async def test_a_book_may_be_crossed_no_longer_than_until_the_market_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig("okx", okx(state="preopen"), okx(), okx(), opening=True)
    rig.watch._rhythm = Rhythm()
    legal: list[bool] = []
    pauses_s: list[float] = []

    async def quick(pause_s: float) -> None:
        legal.append(rig.book.crossed_is_legal)
        pauses_s.append(pause_s)

    monkeypatch.setattr(module, "asyncio", SimpleNamespace(sleep=quick))
    await rig.logs_of_run()
    drawn = Random(1)
    assert legal == [True, True, False, False]
    assert pauses_s == [length_s * drawn.uniform(0.75, 1.25) for length_s in (300.0, 300.0, 3600.0, 3600.0)]


async def test_it_looks_each_hour_and_sooner_while_the_symbol_is_not_traded(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig("okx", okx(), okx(state="suspend"), okx())
    rig.watch._rhythm = Rhythm()
    pauses_s: list[float] = []

    async def quick(pause_s: float) -> None:
        pauses_s.append(pause_s)

    monkeypatch.setattr(module, "asyncio", SimpleNamespace(sleep=quick))
    await rig.logs_of_run()
    drawn = Random(1)
    assert pauses_s == [length_s * drawn.uniform(0.75, 1.25) for length_s in (3600.0, 3600.0, 300.0, 3600.0)]
