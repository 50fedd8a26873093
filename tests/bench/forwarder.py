"""The forwarder, a program in C that is beside the collectors (``forwarder.c``): built where it is measured."""

import subprocess
from pathlib import Path

from tests.support.processes import ROOT

_COMPILER = "cc"
_COMPILE_S = 60.0
_SOURCE = ROOT / "tests" / "bench" / "forwarder.c"


class CompilerMissingError(Exception):
    """The forwarder cannot be built here; the message says why."""


def build_forwarder(folder: Path = ROOT / "var" / "bench") -> Path:
    """The program, built anew by the machine's C compiler.

    Raises:
        CompilerMissingError: There is none, or it fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "forwarder"
    command = [_COMPILER, "-O2", "-o", str(program), str(_SOURCE)]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=_COMPILE_S)
    except (OSError, subprocess.SubprocessError) as error:
        raise CompilerMissingError(f"{_SOURCE.name} cannot be compiled ({type(error).__name__})") from error
    return program
