"""Reads an operator's files: UTF-8 that nobody else can change and, if they are secret, nobody else can read."""

import os
import shlex
import stat
from pathlib import Path

from tickfleet.errors import InvalidConfigurationError

_OTHERS_USE = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def read_own(path: Path, *, secret: bool = False) -> str:
    """The text of a file, without the byte order mark that some editors put in front.

    Raises:
        InvalidConfigurationError: It cannot be read, is not UTF-8, or others may change it (with ``secret``: read it).
    """
    try:
        with path.open("rb") as file:
            mode, content = os.fstat(file.fileno()).st_mode, file.read()
    except FileNotFoundError as error:
        raise InvalidConfigurationError(f"{path}: there is no such file") from error
    except IsADirectoryError as error:
        raise InvalidConfigurationError(f"{path}: is a folder, not a file") from error
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise InvalidConfigurationError(f"{path}: the file cannot be read (check its permissions)") from error
    if secret:
        _refuse_readable(path, mode)
    elif stat.S_ISREG(mode) and mode & _OTHERS_WRITE:  # what comes through a pipe has no permissions of its own
        raise InvalidConfigurationError(
            f"{path}: others may change it ({stat.filemode(mode)}), and it says where the fleet connects to;"
            f" run: chmod go-w {shlex.quote(str(path))}"
        )
    return _decoded(path, content)


def refuse_readable(path: Path) -> None:
    """Check that nobody else can read a file with a secret.

    Raises:
        InvalidConfigurationError: Others can read it.
    """
    try:
        _refuse_readable(path, path.stat().st_mode)
    except OSError as error:
        raise InvalidConfigurationError(f"{path}: the file cannot be read (check its permissions)") from error


def _refuse_readable(path: Path, mode: int) -> None:
    if mode & _OTHERS_USE:
        raise InvalidConfigurationError(
            f"{path} holds a secret and others can read it; run: chmod 600 {shlex.quote(str(path))}"
        )


def _decoded(path: Path, content: bytes) -> str:
    if content.startswith(_UTF_16) or b"\0" in content[:2]:
        quoted = shlex.quote(str(path))
        raise InvalidConfigurationError(
            f"{path}: is written in UTF-16, must be UTF-8;"
            f" run: iconv -f UTF-16 -t UTF-8 {quoted} > new && mv new {quoted}"
        )
    try:
        return content.decode("utf-8-sig")
    except ValueError:  # no cause: it would hold what is there
        raise InvalidConfigurationError(f"{path}: is not text in UTF-8; save it as that") from None
