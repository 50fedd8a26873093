"""The append-only file of an embedded Redis or Valkey: checks its end, and cuts off a damaged end.

A power cut may leave zeros, garbage or half a command behind the last write; then the server does not load the file at
all. The part before is intact, so the file is cut behind its last complete command. The cut-off part is kept beside it;
a copy of the whole file may not fit, if a full disk caused the damage. If there are complete commands behind the
damage, nothing is cut unless a person orders it.

Since Redis 7.0 the file is a folder: a base, then files with what came later, in the order that a manifest gives
(https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/). In older versions it is one file. It has
commands as clients send them, and lines that begin with ``#`` between them. ``redis-check-aof`` cannot be used here:
the wheel with the embedded server does not have it, and the one of Valkey 9 reports an intact base as broken, and
``--fix`` empties it.
"""

import mmap
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from tickfleet._util.durable import make_folder, put_in_place, sync
from tickfleet.errors import FleetError

FOLDER, OLD_FILE = "appendonlydir", "appendonly.aof"
"""The defaults of ``appenddirname`` and ``appendfilename``, which redis.conf leaves as they are."""

_MANIFEST = re.compile(r"file (?P<name>\S+) seq (?P<number>\d+) type (?P<type>[bi])(?:\s|$)")
_COMMAND = re.compile(rb"\*[1-9]\d{0,9}\r\n\$\d{1,10}\r\n(?!\r\n\*)")
_TAIL_BYTES = 1 << 20
_WORD_BYTES = 64
"""More than any command's word has."""
_DUMPS, _DUMP_BYTES = (b"REDIS", b"VALKEY"), 6
"""A base, or an old file after a rewrite, begins with a dump, which is no sequence of commands."""

_Bytes = bytes | mmap.mmap
DumpEnd = Callable[[Path], int]
Knows = Callable[[bytes, bytes], bool]
"""Whether the server has a command, by its word and, of one that has subcommands, the next."""


class DamagedError(FleetError):
    """The append-only file is damaged, and nothing can be cut off without losing intact commands."""


class Cut(Struct, frozen=True, kw_only=True):
    """The part that was cut off the end of a file.

    Attributes:
        at_ns: When.
        file: Its name.
        copy: The file with the cut-off part; appended to the file, it restores the old content.
        kept_bytes, lost_bytes: The sizes of the remaining and of the cut-off part.
    """

    at_ns: int
    file: str
    copy: str
    kept_bytes: int
    lost_bytes: int

    def __str__(self) -> str:
        return (
            f"the end of Redis' {self.file} was damaged: {self.lost_bytes} bytes behind its last whole command were "
            f"cut off, {self.kept_bytes} are kept; what was cut off is {self.copy}"
        )


class Scan(Struct, frozen=True):
    """How far a sequence of commands is intact.

    Attributes:
        end: The offset behind the last complete command outside an open transaction.
        bad: The offset of the first incomplete command or line; the length if all are complete.
        goes_on: Whether there is a complete command somewhere behind that offset.
        unknown: The name of the command at ``bad``, if it is complete but the server does not know it.
    """

    end: int
    bad: int
    goes_on: bool = False
    unknown: bytes = b""


# --- pure: bytes ------------------------------------------------------------------------------------------------------


def scan(data: _Bytes, start: int = 0, knows: Knows | None = None) -> Scan:
    """Read commands from ``start`` on as far as they are complete. A transaction counts once its EXEC is there."""
    end = bad = start
    opened = False
    while bad < len(data) and (found := _item(data, bad)):
        at, (word, second) = found
        if knows and word and not knows(word, second):
            return Scan(end, bad, goes_on=True, unknown=word)
        bad, word = at, word.upper()
        opened = word == b"MULTI" or (opened and word != b"EXEC")
        if not opened:
            end = bad
    later = _COMMAND.finditer(data, bad + 1)
    return Scan(end, bad, any(_item(data, match.start()) for match in later))


def scan_end(tail: bytes) -> Scan | None:
    """The same of the last bytes of a file, from the first whole command in them on; None: there is none."""
    starts = (match.start() for match in _COMMAND.finditer(tail))
    return next((found for start in starts if (found := scan(tail, start)).bad > start), None)


def _item(data: _Bytes, at: int) -> tuple[int, tuple[bytes, bytes]] | None:
    """The end of a command and its first two words, or the end of a ``#`` line; None if it is incomplete."""
    line_end = data.find(b"\r\n", at, at + 1024)
    if line_end < 0:
        return None
    if data[at : at + 1] == b"#":
        return line_end + 2, (b"", b"")
    count = _number(data[at:line_end], b"*")
    if not count:
        return None
    at, parts = line_end + 2, [b"", b""]
    for each in range(count):
        line_end = data.find(b"\r\n", at, at + 32)
        length = _number(data[at:line_end], b"$") if line_end >= 0 else None
        if length is None:
            return None
        at = line_end + 2 + length + 2
        if data[at - 2 : at] != b"\r\n":
            return None
        if each < len(parts):
            parts[each] = data[line_end + 2 : min(at - 2, line_end + 2 + _WORD_BYTES)]
    return at, (parts[0] or b"-", parts[1])


def _number(line: bytes, sign: bytes) -> int | None:
    digits = line[1:]
    return int(digits) if line[:1] == sign and digits.isdigit() and len(digits) <= 10 else None


def files_of(manifest: str) -> list[str]:
    """The names of the files in the order in which they are loaded: the base, then what came later."""
    found = [match for line in manifest.splitlines() if (match := _MANIFEST.match(line))]
    return [match["name"] for match in sorted(found, key=lambda each: (each["type"] == "i", int(each["number"])))]


# --- the folder of a server -------------------------------------------------------------------------------------------


def files(folder: Path) -> list[Path]:
    """The files that the server in this folder will load, in order; none if it has none yet.

    Raises:
        OSError: They cannot be read.
    """
    manifest = folder / FOLDER / f"{OLD_FILE}.manifest"
    if manifest.is_file():
        return [folder / FOLDER / name for name in files_of(manifest.read_text(encoding="utf-8", errors="replace"))]
    return [path for path in [folder / OLD_FILE] if path.is_file()]


def state(folder: Path) -> str:
    """A text from the files' names, sizes and times; it stays the same as long as nobody writes to them."""
    stats = [(path.name, path.stat()) for path in files(folder) if path.is_file()]
    return "".join(f"{name} {stat.st_size} {stat.st_mtime_ns}\n" for name, stat in stats)


def mend(
    folder: Path, now_ns: int, *, dump_end: DumpEnd | None = None, knows: Knows | None = None, forced: bool = False
) -> list[Cut]:
    """Cut off a damaged end, so that the server loads the rest; what was cut, none if nothing is wrong.

    Args:
        folder: The server's.
        now_ns: The time.
        dump_end: Returns where the dump at the beginning of a file ends; raises ``DamagedError`` if the dump is
            damaged. If given, everything is checked, which takes longer than loading it; else only the end of the last
            written file is.
        knows: If given, and everything is checked, a command that the server does not know counts as damage, too.
        forced: Cut at the first damage, wherever it is, and empty the files behind it.

    Raises:
        DamagedError: The damage is not at the end; nothing was changed.
        OSError: It cannot be read, copied or written.
    """
    paths = files(folder)
    for at, path in enumerate(paths):
        if not path.is_file():
            raise DamagedError(f"{path} is not there, and the manifest beside it names it")
        later = [each for each in paths[at + 1 :] if each.is_file() and each.stat().st_size]
        found = None if later and dump_end is None else _scan_file(path, dump_end, knows)
        if found is None or found.end == path.stat().st_size:
            continue
        if not forced and found.unknown:
            word = found.unknown.decode(errors="backslashreplace")
            raise DamagedError(f"{path} is damaged at byte {found.bad}: this server has no command {word!r}")
        if not forced and (later or found.goes_on):
            raise DamagedError(f"{path} is damaged at byte {found.bad}, and whole commands stand behind that")
        return [_cut(folder, path, found.end, now_ns), *[_cut(folder, each, 0, now_ns) for each in later]]
    return []


def _scan_file(path: Path, dump_end: DumpEnd | None, knows: Knows | None) -> Scan | None:
    """How far a file is whole; None: nothing in it, or nothing to be seen at its end."""
    if not path.stat().st_size:
        return None
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[:_DUMP_BYTES].startswith(_DUMPS):
            return scan(data, dump_end(path), knows) if dump_end else None
        before = 0 if dump_end else max(len(data) - _TAIL_BYTES, 0)
        found = scan_end(data[before:]) if before else None
        return Scan(found.end + before, found.bad + before, found.goes_on) if found else scan(data, 0, knows)


def _cut(folder: Path, path: Path, end: int, now_ns: int) -> Cut:
    """First save the part and write a note, then cut, then report: a power cut in between loses nothing.

    Raises:
        OSError: The cut is not possible, e.g. on a full disk; nothing was changed, and no partial file is left.
    """
    kept = damaged(folder) / f"{path.name}.{now_ns}"
    note = kept.with_name(f"{kept.name}{_NOTE}.new")
    cut = Cut(
        at_ns=now_ns,
        file=path.name,
        copy=str(kept),
        kept_bytes=end,
        lost_bytes=path.stat().st_size - end,
    )
    try:
        make_folder(kept.parent)
        with path.open("rb") as whole, kept.open("wb") as piece:
            kept.chmod(0o600)
            whole.seek(end)
            shutil.copyfileobj(whole, piece)
        sync(kept)
        note.write_bytes(msgspec.json.encode(cut))
        with path.open("r+b") as file:
            file.truncate(end)
    except OSError as error:
        for half in (kept, note):
            with suppress(OSError):
                half.unlink()
        raise OSError(error.errno, error.strerror, error.filename or str(kept)) from error
    sync(path)
    put_in_place(note, kept.with_name(kept.name + _NOTE))
    return cut


# --- what was cut, for those who tell of it ---------------------------------------------------------------------------

_NOTE, _TOLD = ".cut", ".told"


def refused(folder: Path) -> Path:
    """The file with the reason why the server is not started on these files; it exists as long as this is so."""
    return folder / "refused"


def damaged(folder: Path) -> Path:
    """The folder of cut-off parts, each with a note."""
    return folder / "damaged"


def cuts(folder: Path) -> list[Cut]:
    """All cuts whose cut-off part is still kept, oldest first."""
    return [cut for path in [*_notes(folder, _NOTE), *_notes(folder, _TOLD)] for cut in _read(path)]


def take_cuts(folder: Path) -> Iterator[Cut]:
    """Yields the cuts that were not reported yet; each counts as reported once the next one is requested.

    Raises:
        OSError: A note cannot be marked.
    """
    for path in _notes(folder, _NOTE):
        yield from _read(path)
        path.replace(path.with_suffix(_TOLD))


def _notes(folder: Path, ending: str) -> list[Path]:
    return sorted(damaged(folder).glob(f"*{ending}"))


def _read(path: Path) -> list[Cut]:
    try:
        return [msgspec.json.decode(path.read_bytes(), type=Cut)]
    except (OSError, msgspec.MsgspecError):
        return []
