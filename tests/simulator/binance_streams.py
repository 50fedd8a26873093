"""Stream names, and the paths that subscribe them (sheet, section 1)."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import msgspec

RAW = "/ws"
COMBINED = "/stream"

PARTIAL_DEPTHS = (5, 10, 20)
CUTS = (0, 1)
"""Servers of the exchange."""


class Stream(msgspec.Struct, frozen=True, omit_defaults=True):
    """A topic: one stream in one of the two forms of its frames.

    Attributes:
        stream: The name as the client wrote it; only one in lower case, with a known symbol, carries data.
        combined: Whether frames are wrapped with the name.
        cut: Which of the exchange's servers sends it, 0 or 1: each cuts the windows of the depth streams at moments
            of its own (section 7); all else is the same from both.
    """

    stream: str
    combined: bool = False
    cut: int = 0


def name(symbol: str, channel: str) -> str:
    """The stream of a symbol, e.g. ``btcusdt@depth@100ms``."""
    return f"{symbol.lower()}@{channel}"


def topic(stream: str, *, combined: bool, cut: int) -> Stream:
    """The topic that a connection to one of the servers gets under a name."""
    return Stream(stream, combined=combined, cut=cut if "@depth" in stream else 0)


def is_socket(target: str) -> bool:
    """Whether a socket is found under a request target."""
    path = urlsplit(target).path
    return path in (RAW, COMBINED) or path.startswith(f"{RAW}/")


def of_target(target: str) -> tuple[list[str], bool]:
    """What a request target subscribes: stream names in order without doubles, and whether frames are combined.

    ``/ws/a/b`` gives raw frames of a and b, ``/stream?streams=a/b`` combined ones. The 1024 streams that a
    connection may have do not fit into the longest target that the server reads.
    """
    url = urlsplit(target)
    combined = url.path == COMBINED
    if combined:
        fields = dict(part.partition("=")[::2] for part in url.query.split("&"))
        text = fields.get("streams", "")
    else:
        text = url.path.removeprefix(RAW)
    names = unquote(text).split("/")  # not as a form: a "+" is part of a name (section 4.4)
    return list(dict.fromkeys(part for part in names if part)), combined


def wrap(stream: str, payload: bytes) -> bytes:
    """The combined form of a raw frame."""
    return b'{"stream":"%b","data":%b}' % (stream.encode(), payload)
