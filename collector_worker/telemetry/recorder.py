"""Records raw frames in the format of real captures: gzip-compressed JSON Lines, one object per frame.

``{"ns":…,"kind":"ws_open"|"ws_in"|"ws_out"|"http","url":…,"text":…}`` in the order in which things happened, so that
the simulator can replay them. Each second, the frames recorded so far become readable in the file. So a SIGKILL costs
at most the last second, and a cut-off file can be read up to there. A new file begins at a certain size and at midnight
UTC. The oldest files are removed when all files of a collector together exceed their limit.
"""

import gzip
import io
import os
import zlib
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from common.process.log import get_logger
from tickfleet._util.clock import Clock
from tickfleet.contract.identity import CollectorId

FLUSH_EVERY_S = 1.0
FILE_BYTES = 64 * 1024 * 1024
TOTAL_BYTES = 2 * 1024 * 1024 * 1024
_COMPRESSION = 6
_encode = msgspec.json.Encoder().encode


class FrameRecorder:
    """The recording of one collector under ``folder``."""

    def __init__(
        self,
        folder: Path,
        collector: CollectorId,
        clock: Clock,
        *,
        file_bytes: int = FILE_BYTES,
        total_bytes: int = TOTAL_BYTES,
    ) -> None:
        self._folder = folder / collector.exchange / collector.file_name
        self._clock = clock
        self._file_bytes = file_bytes
        self._total_bytes = total_bytes
        self._raw: io.BufferedWriter | None = None
        self._gzip: gzip.GzipFile | None = None
        self._day = ""
        self._flush_due_s = 0.0
        self._broken = False

    def opened(self, url: str) -> None:
        """A WebSocket was opened."""
        self._write({"ns": self._clock.now_ns(), "kind": "ws_open", "url": url})

    def sent(self, text: str) -> None:
        """We sent a text frame."""
        self._write({"ns": self._clock.now_ns(), "kind": "ws_out", "text": text})

    def received(self, frame: bytes, recv_ns: int) -> None:
        """The exchange sent a frame; bytes that are not valid text are replaced."""
        self._write({"ns": recv_ns, "kind": "ws_in", "text": frame.decode(errors="replace")})

    def answered(self, url: str, body: bytes) -> None:
        """A REST GET was answered."""
        text = body.decode(errors="replace")
        self._write({"ns": self._clock.now_ns(), "kind": "http", "url": url, "text": text})

    def _write(self, row: dict[str, int | str]) -> None:
        """Write, but never at the cost of data: if the disk is full or gone, recording ends with one log line."""
        if self._broken:
            return
        try:
            self._file().write(_encode(row) + b"\n")
            self._flush()
        except OSError:
            self._give_up()

    def _give_up(self) -> None:
        self._broken = True
        get_logger().error("raw_recording_stopped", folder=str(self._folder), exc_info=True)

    def _file(self) -> gzip.GzipFile:
        now = datetime.fromtimestamp(self._clock.now_ns() / 1e9, UTC)
        full = self._raw is not None and self._raw.tell() >= self._file_bytes
        if self._gzip is None or full or now.strftime("%Y%m%d") != self._day:
            self.close()
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._day = now.strftime("%Y%m%d")
            path = self._folder / f"{now.strftime('%Y%m%dT%H%M%S.%f')}Z.jsonl.gz"
            self._raw = path.open("xb")
            self._gzip = gzip.GzipFile(fileobj=self._raw, mode="wb", compresslevel=_COMPRESSION, mtime=0)
            self._forget_oldest(path)
        return self._gzip

    def _flush(self) -> None:
        now_s = self._clock.monotonic_s()
        if self._gzip is not None and self._raw is not None and now_s >= self._flush_due_s:
            self._flush_due_s = now_s + FLUSH_EVERY_S
            if not os.fstat(self._raw.fileno()).st_nlink:  # somebody has removed it: what comes goes to a new one
                self.close()
                return
            self._gzip.flush(zlib.Z_SYNC_FLUSH)
            self._raw.flush()

    def tick(self) -> None:
        """Flush frames that a quiet market has left unflushed; call it about once a second."""
        if not self._broken:
            try:
                self._flush()
            except OSError:
                self._give_up()

    def _forget_oldest(self, current: Path) -> None:
        sizes = {path: _size(path) for path in sorted(self._folder.glob("*.jsonl.gz"))}
        total = sum(sizes.values())
        for path, size in sizes.items():
            if total + self._file_bytes <= self._total_bytes or path == current:
                return
            total -= size
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Finish the current file."""
        if self._gzip is not None and self._raw is not None:
            try:
                self._gzip.close()
                self._raw.close()
            except OSError:
                self._give_up()
            self._gzip = self._raw = None


def _size(path: Path) -> int:
    """0 if somebody has tidied up in the same moment: that is no reason to stop recording."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
