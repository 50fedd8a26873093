"""Make supervisord's collector programs equal to the fleet, and touch nothing that is equal already.

One file per collector; supervisord itself then says which groups differ from what it runs. Every step may be repeated:
the next attempt, even by another manager, finishes one that was cut short.
"""

import asyncio
import os
import tempfile
from collections.abc import Callable, Coroutine, Iterable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from manager.supervisord.async_client import Supervisor
from manager.supervisord.client import Reread
from tickfleet.contract.identity import PROGRAM_PREFIX, CollectorId
from tickfleet.errors import FleetError, InvalidConfigurationError

REPLACED_AT_ONCE = 10
"""How many changed programs are down at the same time: they are replaced in groups of this size."""


class Applied(Struct, frozen=True, kw_only=True):
    """Programs that were touched."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    @property
    def nothing(self) -> bool:
        """Whether nothing had to change."""
        return not (self.added or self.changed or self.removed)


class FilePlan(Struct, frozen=True, kw_only=True):
    """Files to write (name and text) and to remove."""

    write: dict[str, str]
    remove: tuple[str, ...]


def plan_files(wanted: Mapping[str, str], present: Mapping[str, str]) -> FilePlan:
    """Pure: which changes turn ``present`` (text by name) into ``wanted``."""
    return FilePlan(
        write={name: text for name, text in wanted.items() if present.get(name) != text},
        remove=tuple(name for name in present if name not in wanted),
    )


def plan_groups(wanted: Iterable[str], reread: Reread) -> Applied:
    """Pure: the part of what supervisord found that concerns collectors; other groups are the operator's."""
    ours = frozenset(wanted)
    return Applied(
        added=tuple(name for name in reread.added if name in ours),
        changed=tuple(name for name in reread.changed if name in ours),
        removed=tuple(name for name in reread.removed if name.startswith(PROGRAM_PREFIX) and name not in ours),
    )


def write_files(folder: Path, wanted: Mapping[str, str]) -> bool:
    """Make the collectors' files in a folder equal to ``wanted``; returns whether anything had to change.

    Other files in the folder stay as they are.

    Args:
        folder: Made where it is not there, for its owner alone.
        wanted: Text by file name; each name begins with ``PROGRAM_PREFIX``. Others of that kind are removed.

    Raises:
        OSError: The folder cannot be written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    plan = plan_files(wanted, _read_files(folder))
    for name, text in plan.write.items():
        _write_atomically(folder / name, text)
    for name in plan.remove:
        (folder / name).unlink(missing_ok=True)
    return bool(plan.write or plan.remove)


async def find_differences(supervisor: Supervisor, wanted: Iterable[str]) -> Applied:
    """Ask supervisord which collector programs differ from its files now."""
    return plan_groups(wanted, await supervisor.reread())


async def carry_out(supervisor: Supervisor, plan: Applied) -> None:
    """Add, replace and remove programs, each by itself; returns when the processes of the removed have gone.

    Raises:
        FleetError: From the first that failed, after all others have been dealt with.
    """
    gate, failures = asyncio.Semaphore(REPLACED_AT_ONCE), list[FleetError]()

    async def replace(program: str) -> None:
        async with gate:
            await remove(program)
            await supervisor.add(program)

    async def remove(program: str) -> None:
        await supervisor.stop(program)
        await supervisor.remove(program)

    async def step(do: Callable[[str], Coroutine[Any, Any, None]], program: str) -> None:
        try:
            await do(program)
        except FleetError as error:
            failures.append(error)

    async with asyncio.TaskGroup() as tasks:
        for do, programs in ((supervisor.add, plan.added), (replace, plan.changed), (remove, plan.removed)):
            for program in programs:
                tasks.create_task(step(do, program))
    if failures:
        raise failures[0]


def collector_name(program: str) -> str:
    """The id of a collector from its program's name; another program's name is left as it is."""
    try:
        return str(CollectorId.of_program(program))
    except InvalidConfigurationError:
        return program


def _read_files(folder: Path) -> dict[str, str]:
    files = (path for path in folder.glob(f"{PROGRAM_PREFIX}*") if path.is_file())
    return {path.name: path.read_text(encoding="utf-8", errors="replace") for path in files}


def _write_atomically(path: Path, text: str) -> None:
    """Replace a file in one step, so that nobody reads half of one; only its owner may read it."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
