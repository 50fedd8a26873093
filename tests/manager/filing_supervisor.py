"""A supervisord in memory that reads the program files which the manager writes, as the real one does."""

from pathlib import Path

from manager.supervisord.client import Reread
from tests.manager.fakes import FakeSupervisor, ManualClock


class FilingSupervisor(FakeSupervisor):
    """A supervisord that reads program files. A program whose section has changed shows so until it is added anew."""

    def __init__(self, clock: ManualClock, folder: Path) -> None:
        super().__init__(clock)
        self._folder = folder
        self._taken: dict[str, str] = {}
        self._read: dict[str, str] = {}

    def reread(self) -> Reread:
        """Compare the files with what is known."""
        self._call("reread", "")
        self._read = {path.stem: path.read_text() for path in sorted(self._folder.glob("*.conf"))}
        known, read = self._taken, self._read
        return Reread(
            added=tuple(name for name in read if name not in known),
            changed=tuple(name for name in read if name in known and read[name] != known[name]),
            removed=tuple(name for name in known if name not in read),
        )

    def add(self, program: str) -> None:
        """Take up a program as it was last read."""
        super().add(program)
        self._taken[program] = self._read[program]

    def remove(self, program: str) -> None:
        """Give up a program."""
        super().remove(program)
        self._taken.pop(program, None)
