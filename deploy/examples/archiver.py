"""Writes all that the collectors publish to Parquet files, every entry once, whatever happens to the process.

- Where they are, what they are called, and why a kill costs nothing: ``segment_files``.
- A row per entry (``layout``), ``gap`` and ``feed_status`` too. ``missed`` is where retention was
  faster than this reader, ``unreadable`` where an entry is none that this version knows.
- A file ends after ``--every-s``, at the end of its day, and when it, or all together, hold too much.
- SIGTERM: the open files are finished, within 5 s; what is not finished by then is removed, and said. What was in it,
  or in what a SIGKILL left, is read from Redis again.
"""

import argparse
import asyncio
import logging
import sys
from itertools import groupby
from math import inf
from pathlib import Path

from common.config.environment import read_environment
from common.process.service import run_service
from tickfleet._util.clock import Clock, SystemClock
from tickfleet.contract.identity import DataType
from tickfleet.errors import FleetError
from tickfleet.reading.entries import Chunk
from tickfleet.reading.subscriber import Entry, Missed, Rewound, StreamName, Subscriber
from tickfleet.reading.tables.arrow import ParquetFile, schema
from tickfleet.reading.tables.segment_files import SegmentFiles, day_of
from tickfleet.redis.config import RedisConfig

FILE_CELLS, ALL_CELLS = 2_000_000, 10_000_000  # 200,000 trades, some 40 MiB of memory; and five times that
ROWS_AT_ONCE = 100  # that wait as objects, before they go to the file
FILES_AT_ONCE = 20  # that are finished between two looks at Redis: each waits for the disk
LAST_S = 4.0  # for the open files at the end; what is not finished by then is read again
LOG = logging.getLogger("archiver")

EPILOG = """\
The Redis is that of the fleet: TICKFLEET_REDIS_URL, else what the fleet file names (TICKFLEET_FLEET, else
deploy/fleet.toml); TICKFLEET_REDIS_PASSWORD is its password. FOLDER keeps the place: start it again with the same one.

examples:
  .venv/bin/python deploy/examples/archiver.py                             all collectors, into var/archive
  .venv/bin/python deploy/examples/archiver.py 'okx:*' binance:BTC-USDT    quote patterns, or the shell expands them
  .venv/bin/python deploy/examples/archiver.py --folder /data --every-s 60

exit codes: 0 told to stop, 1 failed (also: another process writes to FOLDER), 3 no Redis at the start,
            78 a collector is misspelt, or nothing says where Redis is
"""


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

    def __init__(self, files: SegmentFiles, every_s: float, clock: Clock) -> None:
        self._files, self._every_s, self._clock = files, every_s, clock
        self._open: dict[StreamName, Segment] = {}
        self._ahead: dict[StreamName, list[Entry]] = {}  # what was missed, until an entry follows

    def write(self, chunk: Chunk) -> None:
        """Take what was read of one stream."""
        read = [row for row in chunk.whole() if not isinstance(row.event, Rewound)]  # of that nothing is missed here
        name, rows = chunk.name, [*self._ahead.pop(chunk.name, []), *read]
        if not chunk.ids:
            self._ahead[name] = rows
            return
        for day, group in groupby(rows, lambda row: day_of(chunk.ids[0] if isinstance(row.event, Missed) else row.id)):
            if name in self._open and self._open[name].day != day:
                self.finish(self._open[name])
            if name not in self._open:
                self._open[name] = Segment(name, day, self._files.unfinished(name), self._clock.monotonic_s())
            for row in group:
                self._open[name].add(row)

    def due(self) -> list[Segment]:
        """Some of the files whose time has come, the largest first."""
        ended_s = self._clock.monotonic_s() - self._every_s
        by_size = sorted(self._open.values(), key=lambda segment: -segment.cells)
        too_much = sum(segment.cells for segment in by_size) >= ALL_CELLS
        due = [one for one in by_size if one.cells >= FILE_CELLS or one.since_s <= ended_s]
        return due[:FILES_AT_ONCE] or by_size[:too_much]

    def finish(self, segment: Segment) -> None:
        """Bring a file to the disk and to its name."""
        segment.close()
        self._files.finish(segment.name, segment.first, segment.last)
        del self._open[segment.name]

    def close(self) -> None:
        """Finish the open files, as far as there is time."""
        end_s, before = self._clock.monotonic_s() + LAST_S, len(self._open)
        for segment in [*self._open.values()]:
            if self._clock.monotonic_s() < end_s:
                self.finish(segment)
        LOG.info("%d of %d open files are finished", before - len(self._open), before)

    def discard(self) -> None:
        """Remove what is open still, and say so."""
        for segment in self._open.values():
            place = f"{segment.name} from {segment.first} to {segment.last}"
            LOG.warning("not finished, and removed: %s; the next run reads that from Redis again", place)
            self._files.unfinished(segment.name).unlink(missing_ok=True)
        self._open.clear()


async def write_archive(root: Path, every_s: float, collectors: list[str], redis: RedisConfig) -> None:
    """Archive until cancelled."""
    files, clock = _files(root), SystemClock()
    archive = Archive(files, every_s, clock)
    if files.left_behind:
        LOG.info("removed %d files that a killed run left unfinished: they are read again", files.left_behind)
    try:
        async with Subscriber(collectors, "*", start=files.position(), redis=redis, first_wait_s=inf) as subscriber:
            async for batch in subscriber.batches(idle_s=min(every_s, 1.0)):
                for chunk in batch.chunks:
                    archive.write(chunk)
                for segment in archive.due():
                    archive.finish(segment)
                    await asyncio.sleep(0)  # a signal is heeded between two files: each waits for the disk
    except asyncio.CancelledError:  # after an error of the disk what is open is read again instead
        archive.close()
        raise
    finally:
        archive.discard()
        files.close()


def _files(root: Path) -> SegmentFiles:
    """The folder, seen to be one that can be written to before anything is read."""
    try:
        schema(DataType.TRADE)
        return SegmentFiles(root, ".parquet")
    except ModuleNotFoundError as error:
        raise FleetError(str(error)) from error
    except OSError as error:
        raise FleetError(f"{root} cannot be written: {error.strerror or type(error).__name__}") from error


def main() -> int:
    """Read the arguments, and run until SIGTERM; the exit code."""
    layout = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, epilog=EPILOG, formatter_class=layout)
    parser.add_argument("--folder", type=Path, help="where the files go (default: var/archive)")
    parser.add_argument("--every-s", type=float, default=300.0, help="how long a file grows, seconds (default: 300)")
    parser.add_argument(
        "collectors", metavar="COLLECTOR", nargs="*", default=["*"], help="okx:BTC-USDT, 'okx:*' (default: all)"
    )
    arguments = parser.parse_args()
    if not arguments.every_s > 0:
        parser.error("--every-s must be above 0")

    async def work(redis: RedisConfig) -> None:
        await write_archive(
            arguments.folder or read_environment().var / "archive", arguments.every_s, arguments.collectors, redis
        )

    return run_service("archiver", work)


if __name__ == "__main__":
    sys.exit(main())
