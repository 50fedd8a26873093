"""``manager-cli export``: what a stream holds of a range of time, as a Parquet or CSV file."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from common.process.event_loop import run
from manager.cli.context import Tools, tell
from manager.cli.data.export.span import ExportSpan
from manager.cli.data.selection import RequestedType, choose, parse_kind
from manager.cli.effective import at_site
from manager.cli.patterns import is_pattern
from manager.cli.times import parse_past, parse_time
from tickfleet._util.durable import put_in_place
from tickfleet.contract.identity import DataType
from tickfleet.errors import EXIT_FAILURE, EXIT_OK, FleetError, UsageError
from tickfleet.reading.selection import StreamName

if TYPE_CHECKING:
    from manager.cli.data.export.copying import Copied, TableFile
    from tickfleet.redis.config import RedisConfig

PARQUET, CSV = ".parquet", ".csv"


class Decimals(Enum):
    """How prices and sizes are held."""

    TEXT = "text"
    DECIMAL = "decimal"
    FLOAT = "float"


def export(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="ID", help="Whose data, e.g. okx:BTC-USDT.")],
    kind: Annotated[str, typer.Argument(metavar="TYPE", help="trade, orderbook, ticker, or candles:1m.")],
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What to write, *.parquet or *.csv.")],
    from_time: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="From then on (default: all that there is).")
    ] = None,
    to_time: Annotated[str, typer.Option("--to", metavar="TIME", help="Up to then, exclusive.")] = "now",
    decimals: Annotated[
        Decimals, typer.Option(help="Prices and sizes: the exchange's own digits, exact numbers, or doubles.")
    ] = Decimals.TEXT,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE where it exists.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if anything may be missing.")] = False,
) -> None:
    """Write what a stream holds of a range of time into a file: every entry once, in the order of the stream.

    A TIME is 10m, -10m or 2h30m (so long ago), ISO 8601 (UTC where it names no zone), a unix time in s, ms, us or ns,
    the id of an entry, now, or oldest. The range is of the exchange's time, ts_event.

    Each entry is a row with its id and its type. The types gap, feed_status, missed and rewound (Redis came back older)
    say where data is missing or in doubt, unreadable means an entry of a later version; filter by type to leave
    them out. Times are timestamp[ns, UTC] in Parquet and integers (ns) in CSV; the levels of a book are
    list<struct<price, size>> in Parquet and JSON in CSV, where control characters are escaped and a text that a
    spreadsheet would carry out has a ' in front. Parquet has each text as it is, and needs pyarrow: pip install
    'tickfleet[parquet]'.

    What may be missing is reported at the end: gaps in the range, a beginning that retention had removed already, and
    whatever the coverage ledger does not confirm. FILE appears when it is whole; what exists is kept without --force.

    \b
    manager-cli export okx:BTC-USDT trade --from -1h btc.parquet
    manager-cli export okx:BTC-USDT trade --from 2026-03-29T10:00 --to 2026-03-29T11:00 --strict btc.csv && use-it
    manager-cli export okx:BTC-USDT candles:1m --from -1d --decimals float bars.parquet

    \b
    exit codes: 0 written, 1 not written, or with --strict written but something may be missing,
                2 wrong usage, no such collector or type, or it is not collected, 3 Redis cannot be reached
    """  # noqa: D301 - the backslash-b keeps the lines of the help apart
    tools: Tools = context.obj
    requested, now_ns = parse_kind(kind, ledger=True), tools.clock.now_ns()
    from_ns = 0 if from_time is None else parse_past("--from", from_time, now_ns)
    to_ns = parse_time(to_time, now_ns)
    if from_ns >= to_ns:
        raise UsageError(f"--from {from_time} is not before --to {to_time}")
    if is_pattern(name):
        raise UsageError("export is of one collector, not of a pattern (manager-cli list shows them)")
    data_type = _data_type(requested)
    _check_file(file, force)
    with at_site(tools) as site:
        stream = StreamName(choose(site, name, requested)[0], data_type, requested.interval)
        copied = _write(site.file.redis, stream, ExportSpan(from_ns, to_ns, requested.interval), file, decimals, force)
    sys.stdout.write(copied.tally.summary(str(file)) + "\n")
    warnings = copied.tally.warnings(copied.facts)
    for warning in warnings:
        tell(f"warning: {warning}")
    if warnings:
        tell(f"manager-cli coverage {name} --data {data_type.value} tells what is known of it")
    raise typer.Exit(EXIT_FAILURE if strict and warnings else EXIT_OK)


def _data_type(kind: RequestedType) -> DataType:
    """The one data type, of one stream, that is meant."""
    if kind.data_type is None:
        raise UsageError("the coverage ledger is no data (manager-cli coverage ID --json prints it)")
    if kind.data_type is DataType.CANDLES and not kind.interval:
        raise UsageError("candles have one stream per interval: name one, e.g. candles:1m")
    return kind.data_type


def _check_file(file: Path, force: bool) -> None:
    """Refuse what cannot work before anything is read."""
    if file.suffix not in (PARQUET, CSV):
        raise UsageError(f"FILE {str(file)!r} ends neither in {PARQUET} nor in {CSV}, which says what to write")
    if not file.parent.is_dir():
        raise UsageError(f"there is no folder {str(file.parent)!r}")
    if file.is_dir() or (file.exists() and not force):
        raise UsageError(f"{file} exists already" + ("" if file.is_dir() else "; --force replaces it"))
    if file.suffix == PARQUET:
        from tickfleet.reading.tables.arrow import schema  # slow to import, and CSV needs none

        try:
            schema(DataType.TRADE)
        except ModuleNotFoundError as error:
            raise FleetError(str(error)) from error


def _write(
    redis: "RedisConfig", stream: StreamName, span: ExportSpan, file: Path, decimals: Decimals, force: bool
) -> "Copied":
    """Write a file beside it first, which takes its place when it is whole, or is gone."""
    from manager.cli.data.export.copying import Copier  # see ``tools``

    beside = file.with_name(f".{file.name}.{os.getpid()}.part")
    done = list["Copied"]()

    async def work(table: "TableFile", progress: Callable[[float], None]) -> None:
        done.append(await Copier(redis, stream, span, table, progress).copy())

    try:
        with _progress(file.name) as progress, _table(beside, file.suffix, stream.data_type, decimals) as table:
            run(work(table, progress))
        if file.exists() and not force:
            raise FleetError(f"{file} has come into being meanwhile; --force replaces it")
        put_in_place(beside, file)
    except ValueError as error:
        raise FleetError(
            f"{file} was not written: an entry cannot be held so ({error}); try --decimals text"
        ) from error
    except OSError as error:
        raise FleetError(f"{file} cannot be written: {error.strerror or type(error).__name__}") from error
    except KeyboardInterrupt:
        raise FleetError(f"interrupted: {file} was not written") from None
    finally:
        beside.unlink(missing_ok=True)
    return done[0]


def _table(path: Path, suffix: str, data_type: DataType, decimals: Decimals) -> Any:
    """The file, as a context that gives a ``TableFile``."""
    if suffix == PARQUET:
        from tickfleet.reading.tables.arrow import ParquetFile  # see above

        return ParquetFile(path, data_type, decimals=decimals.value)
    from manager.cli.data.export.csv_file import CsvFile

    return CsvFile(path, data_type, floats=decimals is Decimals.FLOAT)


@contextmanager
def _progress(name: str) -> Iterator[Callable[[float], None]]:
    """A bar on stderr, where a person looks at that."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console  # slow to import
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=1.0)

        def show(done: float) -> None:
            bar.update(task, completed=done)

        yield show
