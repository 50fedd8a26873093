import pytest

from manager.cli.data.selection import RequestedType, choose, parse_kind
from manager.cli.effective import at_site
from tests.manager.cli.stage import BTC, ETH, SOL, CliStage
from tickfleet.contract import keys
from tickfleet.contract.identity import DataType
from tickfleet.errors import UsageError


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("trade", RequestedType(DataType.TRADE)),
        ("orderbook", RequestedType(DataType.ORDERBOOK)),
        ("ticker", RequestedType(DataType.TICKER)),
        ("candles", RequestedType(DataType.CANDLES)),
        ("candles:5m", RequestedType(DataType.CANDLES, "5m")),
        ("coverage", RequestedType(None)),
    ],
)
def test_a_type_is_named_as_its_stream(text: str, kind: RequestedType) -> None:
    assert parse_kind(text, ledger=True) == kind
    assert str(kind) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trades", "there is no type 'trades'; did you mean 'trade'?"),
        ("trade:1m", "there is no type 'trade:1m'"),
        ("candles:2m", "candles have no interval '2m'"),
        ("candles:", "candles have no interval ''"),
        ("coverage", "there is no type 'coverage' (known: trade, orderbook, ticker, candles, candles:1m)"),
        ("", "there is no type ''"),
    ],
)
def test_a_type_that_there_is_not(text: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_kind(text, ledger=False)
    assert str(raised.value).startswith(message)


def test_a_pattern_means_those_that_collect_it(stage: CliStage) -> None:
    with at_site(stage.tools) as site:
        assert choose(site, "okx:*", RequestedType(DataType.TICKER)) == [BTC, SOL]
        assert choose(site, "all", RequestedType(None)) == [BTC, ETH, SOL]
        assert choose(site, "okx:*", RequestedType(DataType.CANDLES, "1m")) == [BTC, SOL]
        with pytest.raises(UsageError, match=r"none of the collectors that 'okx:E\*' means collects ticker"):
            choose(site, "okx:E*", RequestedType(DataType.TICKER))
        with pytest.raises(UsageError, match="no collector matches 'binance:"):
            choose(site, "binance:*", RequestedType(DataType.TICKER))


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("okx:BTC-USTD", "trade", "there is no collector 'okx:BTC-USTD'; did you mean 'okx:BTC-USDT'?"),
        ("okx-BTC-USDT", "trade", "there is no collector 'okx-BTC-USDT'; did you mean 'okx:BTC-USDT'?"),
        ("okx:ETH-USDT", "orderbook", "okx:ETH-USDT does not collect orderbook; it collects trade"),
        ("okx:ETH-USDT", "candles:1m", "okx:ETH-USDT does not collect candles:1m; it collects trade"),
        ("okx:BTC-USDT", "candles:1w", "it collects trade, orderbook, ticker, candles:1m"),
    ],
)
def test_what_nobody_collects_is_told(stage: CliStage, name: str, kind: str, message: str) -> None:
    with at_site(stage.tools) as site, pytest.raises(UsageError) as raised:
        choose(site, name, parse_kind(kind, ledger=True))
    assert message in str(raised.value)


def test_what_was_collected_once_is_still_there(stage: CliStage, capsys: pytest.CaptureFixture[str]) -> None:
    stage.redis.xadd(keys.stream(ETH, DataType.TICKER), {"type": "ticker"})
    stage.redis.xadd(keys.stream(ETH, DataType.CANDLES, "5m"), {"type": "candle"})
    with at_site(stage.tools) as site:
        assert choose(site, "okx:ETH-USDT", RequestedType(DataType.TICKER)) == [ETH]
        assert choose(site, "okx:ETH-USDT", RequestedType(DataType.CANDLES)) == [ETH]
        stage.fleet_path.write_text('[[collectors]]\nexchange = "okx"\nsymbol = "BTC-USDT"\n')
    with at_site(stage.tools) as site:
        assert choose(site, "okx:ETH-USDT", RequestedType(DataType.TICKER)) == [ETH]
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "manager-cli: okx:ETH-USDT does not collect ticker now: this is what was collected before"
    assert len(told) == 3
