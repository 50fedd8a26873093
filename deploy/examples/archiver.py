"""Writes all that the collectors publish to Parquet files, every entry once, whatever happens to the process.

    python deploy/examples/archiver.py [--folder var/archive] [--every-s 300] [COLLECTOR ...]

- Where they are, what they are called, and why a kill costs nothing: ``common.reading.id_files``.
- A row per entry (``common.reading.layout``), ``gap`` and ``feed_status`` too. ``missed`` stands where retention was
  faster than this reader, ``unreadable`` where an entry is none that this version knows.
- A file ends after ``--every-s``, at the end of its day, and when it, or all together, hold too much.
- SIGTERM: the open files are finished. SIGKILL: what was in them is read from Redis again.
"""

import argparse
import asyncio
import logging
from collections.abc import Iterable
from itertools import groupby
from math import inf
from pathlib import Path

from common.clock import Clock, SystemClock
from common.event_loop import run
from common.lifecycle import run_until_signal
from common.reading.arrow import ParquetFile
from common.reading.entries import Chunk
from common.reading.id_files import IdFiles, day_of
from common.settings import read_environment
from common.subscriber import Entry, Missed, StreamName, Subscriber

FILE_CELLS, ALL_CELLS = 2_000_000, 10_000_000  # 200,000 trades, some 40 MiB of memory; and five times that
ROWS_AT_ONCE = 100  # that wait as objects, before they go to the file
FILES_AT_ONCE = 20  # that are finished between two looks at Redis: each waits for the disk
LAST_S = 4.0  # for the open files at the end; what is not finished by then is read again


class Segment:
    """A file that is being written: entries of one stream and one day."""

    def __init__(self, name: StreamName, day: str, path: Path, now_s: float) -> None:
        self.name, self.day, self.since_s = name, day, now_s
        self.first = self.last = ""
        self.cells = 0
        self._file = ParquetFile(path, name.data_type)
        self._waiting: list[Entry] = []

    def add(self, row: Entry) -> None:
        """Write one row."""
        if not isinstance(row.event, Missed):
            self.first, self.last = self.first or row.id, row.id
        self.cells += 10 + 2 * sum(len(getattr(row.event, side, ())) for side in ("bids", "asks"))
        self._waiting.append(row)
        if len(self._waiting) >= ROWS_AT_ONCE:
            self._file.write(self._waiting)
            self._waiting = []

    def close(self) -> None:
        """Write the rest."""
        self._file.write(self._waiting)
        self._file.close()


class Archive:
    """What is being written below a folder.

    Args:
        files: The folder.
        every_s: How long a file grows.
        clock: The time.
    """

    def __init__(self, files: IdFiles, every_s: float, clock: Clock) -> None:
        self._files, self._every_s, self._clock = files, every_s, clock
        self._open: dict[StreamName, Segment] = {}
        self._ahead: dict[StreamName, list[Entry]] = {}  # what was missed, until an entry follows

    def write(self, chunk: Chunk) -> None:
        """Take what was read of one stream."""
        name, rows = chunk.name, [*self._ahead.pop(chunk.name, []), *chunk.whole()]
        if not chunk.ids:
            self._ahead[name] = rows
            return
        for day, group in groupby(rows, lambda row: day_of(chunk.ids[0] if isinstance(row.event, Missed) else row.id)):
            if name in self._open and self._open[name].day != day:
                self._finish([self._open[name]])
            if name not in self._open:
                self._open[name] = Segment(name, day, self._files.unfinished(name), self._clock.monotonic_s())
            for row in group:
                self._open[name].add(row)

    def rotate(self) -> None:
        """Finish some of the files whose time has come, the largest first."""
        ended_s = self._clock.monotonic_s() - self._every_s
        by_size = sorted(self._open.values(), key=lambda segment: -segment.cells)
        too_much = sum(segment.cells for segment in by_size) >= ALL_CELLS
        due = [one for one in by_size if one.cells >= FILE_CELLS or one.since_s <= ended_s]
        self._finish(due[:FILES_AT_ONCE] or by_size[:too_much])

    def close(self) -> None:
        """Finish the open files, as far as there is time."""
        self._finish(self._open.values(), self._clock.monotonic_s() + LAST_S)

    def _finish(self, segments: Iterable[Segment], end_s: float = inf) -> None:
        for segment in [*segments]:
            if self._clock.monotonic_s() < end_s:
                segment.close()
                self._files.finish(segment.name, segment.first, segment.last)
                del self._open[segment.name]


async def write_archive(root: Path, every_s: float, collectors: list[str]) -> None:
    """Archive until cancelled."""
    files, clock = IdFiles(root, ".parquet"), SystemClock()
    archive = Archive(files, every_s, clock)
    try:
        async with Subscriber(collectors, "*", start=files.position(), first_wait_s=inf) as subscriber:
            async for batch in subscriber.batches(idle_s=min(every_s, 1.0)):
                for chunk in batch.chunks:
                    archive.write(chunk)
                archive.rotate()
    except asyncio.CancelledError:  # after an error of the disk what is open is read again instead
        archive.close()
        raise
    finally:
        files.close()


def main() -> None:
    """Read the arguments, and run until SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=read_environment().var / "archive")
    parser.add_argument("--every-s", type=float, default=300.0)
    parser.add_argument("collectors", metavar="COLLECTOR", nargs="*", default=["*"])
    asked = parser.parse_args()
    run(run_until_signal(lambda: write_archive(asked.folder, asked.every_s, asked.collectors)))


if __name__ == "__main__":
    main()
