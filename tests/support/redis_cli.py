"""A stand-in for ``redis-cli`` where there is none: what the shell programs of the documents ask of it.

``redis-cli [-e] [--raw] [-u URL] COMMAND…``: each element of the answer on a line, however deep it is.
"""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis

from tests.support.processes import ROOT


def path_with_redis_cli(folder: Path, path: str) -> str:
    """A ``PATH`` on which ``redis-cli`` is: the machine's own, else this one, put into the folder."""
    if shutil.which("redis-cli", path=path):
        return path
    program = folder / "redis-cli"
    if not program.exists():  # else it may be running just now
        start = f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n{_START}"
        program.write_text(start, encoding="utf-8")
        program.chmod(0o700)
    return f"{folder}:{path}"


_START = "from tests.support.redis_cli import main\nsys.exit(main(sys.argv[1:]))\n"


def main(arguments: list[str]) -> int:
    """Run one command; the exit code."""
    url = "redis://127.0.0.1:6379/0"
    while arguments[0].startswith("-"):
        option = arguments.pop(0)
        url = arguments.pop(0) if option == "-u" else url
    client: Any = redis.Redis.from_url(url, decode_responses=True)
    client.response_callbacks.clear()  # the answer as it comes
    try:
        answer = client.execute_command(*arguments)
    except redis.RedisError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write("".join(f"{line}\n" for line in _flat(answer)))
    return 0


def _flat(answer: Any) -> Iterator[str]:
    if isinstance(answer, list):
        for each in answer:
            yield from _flat(each)
    else:
        yield "" if answer is None else str(answer)
