"""``manager-cli add`` and ``remove``: collectors that come and go at run time."""

from typing import Annotated, Any

import typer

from common.config.collector import TRANSPORTS
from manager.cli.orders.order_commands import AsJson, Timeout, Why
from manager.cli.orders.orders import Change, Order, addition, change, choose
from manager.cli.orders.submit import carry_out
from manager.desired.overrides import Desired, Stamp
from tickfleet.errors import UsageError


def add(
    context: typer.Context,
    exchange: Annotated[str, typer.Argument(help="E.g. okx.")],
    symbol: Annotated[str, typer.Argument(help="BASE-QUOTE, BASE-QUOTE-PERP or BASE-QUOTE-YYMMDD.")],
    data: Annotated[
        list[str] | None, typer.Option("--data", metavar="TYPE[,TYPE]", help="What to collect (default: as the file).")
    ] = None,
    intervals: Annotated[
        list[str] | None, typer.Option("--intervals", metavar="1m[,5m]", help="Of candles (default: as the file).")
    ] = None,
    param: Annotated[
        list[str] | None, typer.Option("--param", metavar="NAME=VALUE", help="One of the exchange's custom_params.")
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Record the raw frames too.")] = False,
    transport: Annotated[
        str,
        typer.Option("--transport", metavar="|".join(TRANSPORTS), help="What reads the socket (default: as the file)."),
    ] = "",
    why: Why = "",
    timeout: Timeout = 90.0,
    as_json: AsJson = False,
) -> None:
    """Add a collector, and wait until it runs.

    No other is touched. What is not said is as [defaults] in the fleet file have it. It stays, through restarts of
    manager and Redis, until it is removed; if the fleet file lists it later, the file's settings hold.

    \b
    manager-cli add okx SOL-USDT --data trade,orderbook
    manager-cli add okx BTC-USDT-PERP --data candles --intervals 1m,5m --param book_channel=books5

    \b
    exit codes: 0 it is running, 1 it is not (an unknown symbol, say: it stays misconfigured until it is removed),
                    or the manager is not there (it is added when it is),
                2 it is there already, or cannot work; 3 Redis or supervisord cannot be reached
    """  # noqa: D301 - the backslash-b keeps the lines of the help apart
    table = _table(exchange, symbol, data, intervals, param, raw, transport)

    def decide(desired: Desired, stamp: Stamp) -> list[Change]:
        return [addition(desired, table, stamp)]

    hint = f"take it out again: manager-cli remove {exchange}:{symbol}"
    raise typer.Exit(carry_out(context.obj, Order.ADD, why, decide, timeout, as_json=as_json, hint=hint))


def remove(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="ID...", help="Which collectors; no patterns here.")],
    why: Why = "",
    timeout: Timeout = 30.0,
    as_json: AsJson = False,
) -> None:
    """Take collectors out of the fleet.

    Waits until their processes have gone; their streams stay in Redis. One that the fleet file lists stays out until it
    is enabled or added again.

    \b
    manager-cli remove okx:SOL-USDT

    \b
    exit codes: 0 they have gone, 1 some have not, or the manager is not there (they are removed when it is),
                2 no such collector, 3 Redis or supervisord cannot be reached
    """  # noqa: D301 - the backslash-b keeps the lines of the help apart

    def decide(desired: Desired, stamp: Stamp) -> list[Change]:
        return [change(desired, Order.REMOVE, each, stamp) for each in choose(desired, names, Order.REMOVE)]

    raise typer.Exit(carry_out(context.obj, Order.REMOVE, why, decide, timeout, as_json=as_json))


def _table(
    exchange: str,
    symbol: str,
    data: list[str] | None,
    intervals: list[str] | None,
    params: list[str] | None,
    raw: bool,
    transport: str,
) -> dict[str, Any]:
    """The collector's table as it would stand under ``[[collectors]]``: only what is said."""
    table: dict[str, Any] = {"exchange": exchange, "symbol": symbol}
    if data:
        table["data_types"] = _parts(data)
    if intervals:
        table["candle_intervals"] = _parts(intervals)
    if params:
        table["custom_params"] = dict(_pair(text) for text in params)
    if raw:
        table["store_raw_data"] = True
    if transport:
        table["transport"] = transport
    return table


def _parts(texts: list[str]) -> list[str]:
    """``["trade,ticker", "candles"]`` as three words."""
    return [part.strip() for text in texts for part in text.split(",") if part.strip()]


def _pair(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not (found and name.strip()):
        raise UsageError(f"--param {text!r} is not NAME=VALUE")
    return name.strip(), value.strip()
