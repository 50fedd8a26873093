"""``python -m tests.bench.load --channel trades-all --count 200000``: tells how far it is in lines of JSON.

``{"port": 40001}`` when it listens, ``{"begun": true}`` when somebody has subscribed, and ``{"sent": 200000}`` when all
has been sent; 0 where the frames are not paced.
"""

import argparse
import ctypes
import gc
import json
import ssl
import sys
from array import array
from pathlib import Path

from tests.bench.load.server import Load, Server

_PR_SET_TIMERSLACK = 29
"""Linux wakes a sleeper up to 50 us late unless it is asked to be exact (prctl(2))."""


def _say(**facts: int) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Serve until killed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.load", description=__doc__)
    parser.add_argument("--channel", default="trades-all", help="trades-all, trades, books, tickers or candle1m")
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--rate", type=float, default=0.0, help="frames a second; 0: as fast as the client reads")
    parser.add_argument("--certificate", type=Path, help="speak TLS: a PEM file with key and certificate chain")
    parser.add_argument("--stamps", type=Path, help="where to write when each paced frame was sent")
    options = parser.parse_args()
    tls = None
    if options.certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(options.certificate)

    def done(stamps: "array[int]") -> None:
        if options.stamps:
            options.stamps.write_bytes(stamps.tobytes())
        _say(sent=len(stamps))

    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    server = Server(Load(options.channel, options.count, options.rate), tls, lambda: _say(begun=True), done)
    gc.collect()
    gc.freeze()
    gc.disable()
    _say(port=server.port)
    server.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
