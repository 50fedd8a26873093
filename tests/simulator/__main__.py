"""Command line: ``python -m tests.simulator`` from the project root."""

from __future__ import annotations

import argparse
import asyncio
import errno
import ipaddress
import json
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.simulator.binance import BinanceOptions, BinanceSource
from tests.simulator.binance_instruments import DEFAULT_SYMBOLS, UnknownSymbolError
from tests.simulator.binance_replay import BinanceReplay
from tests.simulator.binance_weights import CONNECTIONS_PER_5_MIN, WEIGHT_PER_MINUTE
from tests.simulator.capture import CaptureError, read_capture
from tests.simulator.clock import SystemClock
from tests.simulator.faults import Schedule, read_schedule
from tests.simulator.faults_base import FaultError
from tests.simulator.faults_draw import draw_schedule
from tests.simulator.hub import MAX_BACKLOG_BYTES
from tests.simulator.okx import OkxOptions, OkxSource
from tests.simulator.okx_instruments import DEFAULT_INSTRUMENTS, UnknownInstrumentError
from tests.simulator.okx_replay import OkxReplay
from tests.simulator.server import Simulator
from tests.simulator.source import Source

_EXIT_USAGE = 2
_EPILOG = """\
One port speaks both protocols of the exchange:
  ws://127.0.0.1:PORT/ws/v5/public and /ws/v5/business   WebSocket of OKX
  http://127.0.0.1:PORT/api/v5/...                       REST of OKX
  ws://127.0.0.1:PORT/ws/<stream>/... and /stream?streams=<stream>/...   WebSocket of Binance
  http://127.0.0.1:PORT/api/v3/...                       REST of Binance
and, for tests, the simulator's own pages:
  /sim/trades?instId=&after=&limit=   all matches, oldest first
  /sim/book?instId=&seqId=&sz=        the book at a sequence number
  /sim/candles?instId=&bar=           closed candles
  /sim/connections, /sim/stats        open sockets, frames sent, replays finished
  /sim/do/drop?id=                    cut one connection, or all
  /sim/do/gap?instId=&n=              swallow the next n book updates
  /sim/do/notice                      announce a service upgrade (64008), or serverShutdown
  /sim/do/mute?on=1                   no data, but answers to pings (on=0 ends it)
  /sim/do/garbage?text=               send a text frame as it is
  /sim/do/state?instId=&state=        change an instrument's state (suspend, expired, ...)
  /sim/do/fault?kind=&...             begin one fault now; parameters as in a schedule
  /sim/do/calm                        end all faults
  /sim/do/schedule?seed=&duration_s=  draw faults and run them from now; also kinds=, instruments= (a,b)
  /sim/faults                         faults waiting, active and done, until when, and what each has hit

When it listens, it prints one JSON line: {"ready": true, "port": 12345}.

examples:
  python -m tests.simulator --port 8123 --instruments BTC-USDT,BTC-USDT-SWAP
  python -m tests.simulator --exchange binance --instruments BTCUSDT,ETHUSDT
  python -m tests.simulator --faults 42 --fault-duration-s 60
  python -m tests.simulator --replay ../shared/captures/okx-2022-05-13.jsonl.gz --speed 10
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run until a signal; returns the exit code: 0 after a signal, 2 if it could not start."""
    args = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO if args.verbose else logging.WARNING, stream=sys.stderr)
    logging.getLogger("websockets").setLevel(logging.WARNING)
    try:
        return asyncio.run(_run(args))
    except (CaptureError, FaultError, UnknownInstrumentError, UnknownSymbolError) as error:
        return _fail(str(error))
    except OSError as error:
        in_use = error.errno == errno.EADDRINUSE
        return _fail(f"port {args.port} is in use" if in_use else f"cannot listen: {error}")


async def _run(args: argparse.Namespace) -> int:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    clock = SystemClock()
    schedule = _schedule(args)
    source, backlog_bytes = _source(args, clock.now_ms()), int(args.backlog_bytes)
    async with Simulator(source, host=args.host, port=args.port, clock=clock, backlog_bytes=backlog_bytes) as simulator:
        sys.stdout.write(json.dumps({"ready": True, "port": simulator.port}) + "\n")
        sys.stdout.flush()
        if schedule is not None:
            simulator.faults.run(schedule)
        await stop.wait()
    return 0


def _schedule(args: argparse.Namespace) -> Schedule | None:
    if args.schedule:
        return read_schedule(args.schedule)
    if args.faults is None:
        return None
    return draw_schedule(args.faults, int(args.fault_duration_s * 1_000))


def _source(args: argparse.Namespace, now_ms: int) -> Source:
    return _binance(args, now_ms) if args.exchange == "binance" else _okx(args, now_ms)


def _okx(args: argparse.Namespace, now_ms: int) -> Source:
    if args.replay:
        return OkxReplay(read_capture(args.replay), args.speed)
    options = OkxOptions(
        instruments=args.instruments or _ids(DEFAULT_INSTRUMENTS),
        seed=args.seed,
        trades_per_s=args.trades_per_s,
        books_per_s=args.books_per_s,
        history_ms=int(args.history_s * 1_000),
        warmup_ms=int(args.warmup_s * 1_000),
        book_snapshot=args.book_snapshot,
    )
    return OkxSource(options, now_ms)


def _binance(args: argparse.Namespace, now_ms: int) -> Source:
    max_life_ms = int(args.max_life_s * 1_000)
    connect_limit = args.connect_limit or None
    if args.replay:
        return BinanceReplay(
            read_capture(args.replay),
            args.speed,
            head_s=args.head_s,
            max_life_ms=max_life_ms,
            connect_limit=connect_limit,
            weight_limit=args.weight_limit,
        )
    options = BinanceOptions(
        instruments=args.instruments or _ids(DEFAULT_SYMBOLS),
        seed=args.seed,
        trades_per_s=args.trades_per_s,
        books_per_s=args.books_per_s,
        history_ms=int(args.history_s * 1_000),
        warmup_ms=int(args.warmup_s * 1_000),
        weight_limit=args.weight_limit,
    )
    return BinanceSource(options, now_ms, max_life_ms=max_life_ms, connect_limit=connect_limit)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulator",
        description="A crypto exchange on a loopback port: generated from a seed, or replayed from a capture.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--host", type=_loopback, default="127.0.0.1", help="loopback address to listen on (%(default)s)")
    add("--port", type=_Number(int, 0, 65_535), default=0, help="port to listen on; 0 takes a free one")
    add("--exchange", choices=["okx", "binance"], default="okx", help="whose protocol to speak (%(default)s)")
    backlog = _Number(int, 1, MAX_BACKLOG_BYTES)
    backlog_help = "unsent bytes above which a reader is closed as too slow (%(default)s)"
    add("--backlog-bytes", type=backlog, default=MAX_BACKLOG_BYTES, metavar="N", help=backlog_help)
    add("--verbose", action="store_true", help="log connections and requests to stderr")
    market = parser.add_argument_group("generated market")
    add = market.add_argument
    add("--seed", type=int, default=1, help="same seed, same flow of orders (%(default)s)")
    add("--instruments", type=_ids, metavar="ID,ID", help=f"{DEFAULT_INSTRUMENTS}, or {DEFAULT_SYMBOLS}")
    rate = _Number(float, 0.0, 1_000.0)
    add("--trades-per-s", type=rate, default=5.0, metavar="N", help="taker orders per instrument (%(default)s)")
    books = _Number(float, 0.0, 100.0)
    add("--books-per-s", type=books, default=10.0, metavar="N", help="book pushes per instrument (%(default)s)")
    age = _Number(float, 1.0, 86_400.0)
    add("--history-s", type=age, default=3_600.0, metavar="S", help="age of what /sim/ remembers (%(default)s)")
    warmup = _Number(float, 0.0, 86_400.0)
    add("--warmup-s", type=warmup, default=30.0, metavar="S", help="market time before the start (%(default)s)")
    add(
        "--no-book-snapshot",
        dest="book_snapshot",
        action="store_false",
        help="books starts without a snapshot: clients must fetch one by REST",
    )
    binance = parser.add_argument_group("binance")
    add = binance.add_argument
    life = _Number(float, 0.1, 86_400.0)
    add("--max-life-s", type=life, default=86_400.0, metavar="S", help="age at which sockets are cut (%(default)s)")
    weight = _Number(int, 1, 10**9)
    add("--weight-limit", type=weight, default=WEIGHT_PER_MINUTE, metavar="N", help="REST per minute (%(default)s)")
    attempts = _Number(int, 0, 10**9)
    connect_help = f"connections per 5 minutes, {CONNECTIONS_PER_5_MIN} on the real one; 0 any number (%(default)s)"
    add("--connect-limit", type=attempts, default=0, metavar="N", help=connect_help)
    replay = parser.add_argument_group("replay")
    add = replay.add_argument
    add("--replay", type=Path, metavar="PATH", help="play a capture instead: a .jsonl.gz file, or a folder of them")
    speed = _Number(float, 0.0, 1e6)
    add("--speed", type=speed, default=1.0, metavar="X", help="1 its own pace, 10 ten times faster, 0 all at once")
    head_help = "binance: come no further before a snapshot was asked for"
    add("--head-s", type=_Number(float, 0.0, 86_400.0), metavar="S", help=head_help)
    faults = parser.add_argument_group("faults")
    add = faults.add_mutually_exclusive_group().add_argument
    add("--faults", type=int, metavar="SEED", help="draw faults by a seed and run them from the start")
    add("--schedule", type=Path, metavar="FILE", help="run the faults of a file (JSON) from the start")
    add = faults.add_argument
    duration = _Number(float, 0.1, 86_400.0)
    add("--fault-duration-s", type=duration, default=30.0, metavar="S", help="when drawn faults end (%(default)s)")
    return parser


def _loopback(text: str) -> str:
    try:
        loopback = text == "localhost" or ipaddress.ip_address(text).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise argparse.ArgumentTypeError(f"not a loopback address: {text}")
    return text


def _ids(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(",") if part)


class _Number:
    """An argument type: a number within bounds, inclusive."""

    def __init__(self, convert: type[int] | type[float], low: float, high: float) -> None:
        self._convert = convert
        self._low = low
        self._high = high

    def __call__(self, text: str) -> float:
        value = self._convert(text)
        if not self._low <= value <= self._high:  # false for nan, too
            raise argparse.ArgumentTypeError(f"{text} is not between {self._low} and {self._high}")
        return value


def _fail(message: str) -> int:
    sys.stderr.write(f"simulator: {message}\n")
    return _EXIT_USAGE


if __name__ == "__main__":
    sys.exit(main())
