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

from tests.simulator.capture import CaptureError, read_capture
from tests.simulator.clock import SystemClock
from tests.simulator.okx import OkxOptions, OkxSource
from tests.simulator.okx_instruments import DEFAULT_INSTRUMENTS, UnknownInstrumentError
from tests.simulator.okx_replay import OkxReplay
from tests.simulator.server import Simulator
from tests.simulator.source import Source

_EXIT_USAGE = 2
_EPILOG = """\
One port speaks both protocols of the exchange:
  ws://127.0.0.1:PORT/ws/v5/public and /ws/v5/business   WebSocket
  http://127.0.0.1:PORT/api/v5/...                       REST
and, for tests, the simulator's own pages:
  /sim/trades?instId=&after=&limit=   all matches, oldest first
  /sim/book?instId=&seqId=&sz=        the book at a sequence number
  /sim/candles?instId=&bar=           closed candles
  /sim/connections, /sim/stats        open sockets, frames sent, replays finished
  /sim/do/drop?id=                    cut one connection, or all
  /sim/do/gap?instId=&n=              swallow the next n book updates
  /sim/do/notice                      announce a service upgrade (64008)
  /sim/do/mute?on=1                   no data, but answers to pings (on=0 ends it)
  /sim/do/garbage?text=               send a text frame as it is
  /sim/do/state?instId=&state=        change an instrument's state (suspend, expired, ...)

When it listens, it prints one JSON line: {"ready": true, "port": 12345}.

examples:
  python -m tests.simulator --port 8123 --instruments BTC-USDT,BTC-USDT-SWAP
  python -m tests.simulator --replay ../shared/captures/okx-2022-05-13.jsonl.gz --speed 10
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run until a signal; returns the exit code: 0 after a signal, 2 if it could not start."""
    args = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO if args.verbose else logging.WARNING, stream=sys.stderr)
    logging.getLogger("websockets").setLevel(logging.WARNING)
    try:
        return asyncio.run(_run(args))
    except (CaptureError, UnknownInstrumentError) as error:
        return _fail(str(error))
    except OSError as error:
        in_use = error.errno == errno.EADDRINUSE
        return _fail(f"port {args.port} is in use" if in_use else f"cannot listen: {error}")


async def _run(args: argparse.Namespace) -> int:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    clock = SystemClock()
    async with Simulator(_source(args, clock.now_ms()), host=args.host, port=args.port, clock=clock) as simulator:
        sys.stdout.write(json.dumps({"ready": True, "port": simulator.port}) + "\n")
        sys.stdout.flush()
        await stop.wait()
    return 0


def _source(args: argparse.Namespace, now_ms: int) -> Source:
    if args.replay:
        return OkxReplay(read_capture(args.replay), args.speed)
    options = OkxOptions(
        instruments=args.instruments,
        seed=args.seed,
        trades_per_s=args.trades_per_s,
        books_per_s=args.books_per_s,
        history_ms=int(args.history_s * 1_000),
        warmup_ms=int(args.warmup_s * 1_000),
        book_snapshot=args.book_snapshot,
    )
    return OkxSource(options, now_ms)


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
    add("--exchange", choices=["okx"], default="okx", help="whose protocol to speak (%(default)s)")
    add("--verbose", action="store_true", help="log connections and requests to stderr")
    market = parser.add_argument_group("generated market")
    add = market.add_argument
    add("--seed", type=int, default=1, help="same seed, same flow of orders (%(default)s)")
    add("--instruments", type=_ids, default=_ids(DEFAULT_INSTRUMENTS), metavar="ID,ID", help=DEFAULT_INSTRUMENTS)
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
    replay = parser.add_argument_group("replay")
    add = replay.add_argument
    add("--replay", type=Path, metavar="FILE", help="play a capture (.jsonl.gz) instead of a generated market")
    speed = _Number(float, 0.0, 1e6)
    add("--speed", type=speed, default=1.0, metavar="X", help="1 its own pace, 10 ten times faster, 0 all at once")
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
