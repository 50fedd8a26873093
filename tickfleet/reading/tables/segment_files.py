"""Files of a stream's entries, with their ids in the file names. Each entry is in one file, also after a kill.

    root/okx/BTC-USDT/trade/2026-01-01/1767225600012-7_1767225899871-512.parquet

A file is named after its first and its last entry, and gets this name once it is complete and on the disk. So **the
names are the position**: a new reader continues after the newest file, and reads entries of an unfinished file again.

The day comes from the entries' ids, in UTC. Ids never go back (``ts_event`` may), so neither files nor days of a stream
overlap. A trade within seconds of midnight may be in the day before or after that of its ``ts_event``.
"""

import fcntl
import os
from datetime import UTC, datetime
from pathlib import Path

from tickfleet._util.durable import make_folder, put_in_place
from tickfleet.contract.identity import CollectorId, DataType
from tickfleet.errors import FleetError, InvalidConfigurationError
from tickfleet.reading.position import Mark, Position, id_order
from tickfleet.reading.selection import StreamName

_LAST_S = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp())


def day_of(entry_id: str) -> str:
    """The UTC day of an id, ``2026-01-01``; a time beyond the last possible date belongs to that date."""
    return datetime.fromtimestamp(min(id_order(entry_id)[0] // 1_000, _LAST_S), UTC).date().isoformat()


class SegmentFiles:
    """The files below a folder. One process at a time; unfinished files of a killed process are removed.

    Args:
        root: The folder; it is made if it does not exist.
        suffix: Of the files, e.g. ``.parquet``.

    Raises:
        FleetError: Another process has it.
        OSError: It cannot be written.
    """

    def __init__(self, root: Path, suffix: str) -> None:
        self._root = root
        self._suffix = suffix
        self._unfinished = root / ".unfinished"  # one folder for all: it can be cleaned without a look at the others
        make_folder(self._unfinished)
        self._lock = os.open(self._unfinished, os.O_RDONLY)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise FleetError(f"another process writes to {root}") from error
        left = [*self._unfinished.iterdir()]
        for path in left:
            path.unlink()
        self.left_behind = len(left)
        """How many unfinished files an earlier process left, and were removed."""

    def position(self) -> Position:
        """Behind the newest file of each stream.

        Raises:
            InvalidConfigurationError: A file has a foreign name: to start again silently would repeat entries.
        """
        read_to: dict[StreamName, Mark] = {}
        for folder in sorted(self._root.glob("*/*/*")):
            for day in sorted(folder.iterdir(), reverse=True):
                ends = [file.name.removesuffix(self._suffix) for file in day.glob(f"*{self._suffix}")]
                if ends:
                    try:
                        last = max((end.partition("_")[2] for end in ends), key=id_order)
                        read_to[_stream_of(folder)] = Mark(last)
                    except ValueError as error:
                        raise InvalidConfigurationError(f"{day} holds a file whose name is none of ours") from error
                    break
        return Position(read_to)

    def unfinished(self, name: StreamName) -> Path:
        """Where to write the next file of a stream."""
        return self._unfinished / (_folder_of(name).replace("/", "_") + self._suffix)

    def finish(self, name: StreamName, first: str, last: str) -> Path:
        """Sync the ``unfinished`` file to the disk and give it its name; both ids are of one day.

        Raises:
            OSError: It cannot be done.
        """
        path = self._root / _folder_of(name) / day_of(first) / f"{first}_{last}{self._suffix}"
        put_in_place(self.unfinished(name), path)
        return path

    def close(self) -> None:
        """Release the folder for other processes."""
        os.close(self._lock)


def _folder_of(name: StreamName) -> str:
    """``okx/BTC-USDT/trade``, ``okx/BTC-USDT/candles-1m``."""
    kind = "-".join(filter(None, (name.data_type.value, name.interval)))
    return f"{name.collector.exchange}/{name.collector.file_name}/{kind}"


def _stream_of(folder: Path) -> StreamName:
    """The stream of such a folder.

    Raises:
        ValueError: It is none.
    """
    exchange, symbol, kind = folder.parts[-3:]
    data_type, _, interval = kind.partition("-")
    return StreamName(CollectorId.of_file_name(exchange, symbol), DataType(data_type), interval)
