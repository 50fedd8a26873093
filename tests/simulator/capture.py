"""Reading recorded exchange sessions: gzip-compressed JSON lines of what was on the wire."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

import msgspec


class CaptureError(Exception):
    """A capture that cannot be used; the message is one line for a person."""


class _Row(msgspec.Struct):
    """One line of a capture file.

    Attributes:
        ns: Receive time, integer nanoseconds since the Unix epoch.
        kind: ``ws_in`` the exchange sent `text`; ``http`` a GET of `url` answered `text`; the others say what the
            recording client did.
    """

    ns: int
    kind: Literal["ws_open", "ws_out", "ws_in", "http"]
    url: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class CapturedAnswer:
    """One REST answer.

    Attributes:
        path: Path of the URL.
        params: Its query.
        body: The body, byte for byte.
    """

    path: str
    params: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Capture:
    """The incoming side of a recording.

    Attributes:
        frames: (receive time in ns, text) of every frame, in the order received.
        answers: REST answers in the order received.
    """

    frames: list[tuple[int, bytes]] = field(default_factory=list)
    answers: list[CapturedAnswer] = field(default_factory=list)


def read_capture(path: Path) -> Capture:
    """Read a whole capture into memory; one that was cut off, because its recorder was killed, as far as it goes.

    Args:
        path: A file, or a folder whose files follow each other by their names, as a collector records them.

    Raises:
        CaptureError: The file is missing, not gzip, damaged, or a line is not a capture row; or a folder has none.
    """
    capture = Capture()
    files = sorted(path.glob("*.jsonl.gz")) if path.is_dir() else [path]
    if not files:
        raise CaptureError(f"folder {path} holds no capture (.jsonl.gz)")
    for file in files:
        _read_into(capture, file)
    return capture


def _read_into(capture: Capture, path: Path) -> None:
    try:
        for row in _rows(path):
            if row.kind == "ws_in":
                capture.frames.append((row.ns, row.text.encode()))
            elif row.kind == "http":
                url = urlsplit(row.url)
                capture.answers.append(CapturedAnswer(url.path, dict(parse_qsl(url.query)), row.text.encode()))
    except EOFError:
        pass  # cut off: what was flushed before has been read
    except (OSError, zlib.error) as error:
        raise CaptureError(f"cannot read capture {path}: {error}") from error


def _rows(path: Path) -> Iterator[_Row]:
    decoder = msgspec.json.Decoder(_Row)
    with gzip.open(path) as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield decoder.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise CaptureError(f"capture {path}, line {number}: {error}") from error
